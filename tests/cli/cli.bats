#!/usr/bin/env bats
# What all programs have in common.
load helpers

setup() {
    [ -x "$NNCLR_BIN/nnclr-prep" ] # else the loops below have nothing to do
}

programs() {
    local path
    for path in "$NNCLR_BIN"/nnclr-*; do
        basename "$path"
    done
}

@test "--help: on stdout, exit 0, at most 100 columns, with the options that all have" {
    for program in $(programs); do
        expect 0 "$program" --help
        [ -z "$stderr" ]
        [[ ${lines[0]} == "Usage: $program "* ]]
        for option in '-h, --help' '-V, --version' '-q, --quiet' '-v, --verbose' '-j, --threads N'; do
            [[ $output == *"$option"* ]] || { echo "$program --help lacks $option"; return 1; }
        done
        [ "$(wc -L <<<"$output")" -le 100 ]
    done
}

@test "--help shows the default of -j: the CPUs that this process may use" {
    need taskset
    cpu=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')
    for program in $(programs); do
        expect 0 taskset -c "$cpu" "$program" --help
        [[ $output == *"-j, --threads N"*"(default: 1)"* ]]
    done
}

@test "--version: name and version on stdout" {
    for program in $(programs); do
        expect 0 "$program" --version
        [[ $output =~ ^$program\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
        expect 0 "$program" -V
    done
}

@test "an unknown option: one sentence, exit 2, nothing on stdout" {
    for program in $(programs); do
        for option in --nonsense -Z --nonsense=3; do
            expect 2 "$program" "$option"
            [ -z "$output" ]
            expect_message "$program" "no such option (try $program --help)"
        done
    done
}

@test "a missing value, a value where there is none, and a number out of range: exit 2" {
    for program in $(programs); do
        expect 2 "$program" -j
        expect_message "$program" '-j: needs a value: N'
        expect 2 "$program" --threads
        expect_message "$program" '--threads: needs a value: N'
        expect 2 "$program" --quiet=yes
        expect_message "$program" '--quiet: takes no value'
        for value in 0 -1 abc 1.5 4097 99999999999999999999 ''; do
            expect 2 "$program" --threads "$value"
            expect_message "$program" "--threads: needs a whole number from 1 to 4096, not \"$value\""
        done
    done
}

@test "an empty argument, as from a variable that is not set: exit 2" {
    for program in $(programs); do
        expect 2 "$program" ''
        expect_message "$program" "an argument is empty: a file's name is needed there"
        expect 2 "$program" -- ''
        expect_message "$program" "an argument is empty: a file's name is needed there"
    done
    for arguments in 'nnclr-prep -o' 'nnclr-embed -m' 'nnclr-lineval --predictions' \
        'nnclr-queue-inspect --sheet' 'nnclr-pretrain -o'; do
        expect 2 $arguments ''
        expect_message "${arguments% *}" "${arguments#* }: needs "
    done
}

@test "no operand: exit 2 and a sentence, no crash" {
    for program in $(programs); do
        expect 2 "$program"
        [ -z "$output" ]
        expect_message "$program" ''
    done
}

@test "--help into a full disk fails; into a closed pipe dies quietly of SIGPIPE" {
    for program in $(programs); do
        run bash -c "'$program' --help >/dev/full"
        [ "$status" -eq 1 ]
        [ "$output" = "$program: standard output: No space left on device" ]
        # the reader is gone before the first byte
        run bash -c "(sleep 0.2; exec '$program' --help) | true; echo \${PIPESTATUS[0]}"
        [ "$output" = 141 ]
    done
}

@test "a closed stdout is an error, and no file takes its place" {
    for program in $(programs); do
        run bash -c "'$program' --version >&-"
        [ "$status" -eq 1 ]
        [ "$output" = "$program: standard output: Bad file descriptor" ]
    done
}

@test "control characters of a name do not reach the terminal" {
    expect 1 nnclr-prep -o "$BATS_TEST_TMPDIR/x" "$(printf 'no\033[31msuch\nfolder')"
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr != *$'\033'* ]]
}

@test "every program has a manual page that names every option of --help" {
    need mandoc
    for program in $(programs); do
        page=$(mandoc -T ascii "$NNCLR_ROOT/man/$program.1" | sed 's/.\x08//g')
        for option in $("$program" --help | grep -oE '^ +(-., )?--[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+'); do
            grep -qE -- "(^|[^a-z-])$option([^a-z-]|$)" <<<"$page" || { echo "$program.1 lacks $option"; return 1; }
        done
    done
}

@test "manual pages are free of warnings" {
    need mandoc
    run mandoc -T lint -W warning "$NNCLR_ROOT"/man/*.[1-9]
    echo "$output"
    [ "$status" -eq 0 ]
}
