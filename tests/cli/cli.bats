#!/usr/bin/env bats
# What all programs have in common.
load helpers

setup() {
    [ -x "$NNCLR_BIN/nnclr-prep" ] # otherwise the loops below have nothing to do
}

programs() {
    local path
    for path in "$NNCLR_ROOT"/cmd/nnclr-*.c; do
        basename "$path" .c
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

@test "a mistyped option: the nearest is named" {
    while IFS='|' read -r words wanted; do
        expect 2 $words
        expect_message "${words%% *}" "$wanted (try ${words%% *} --help)"
    done <<'END'
nnclr-pretrain --tempreature 1|--tempreature: no such option; did you mean --temperature?
nnclr-pretrain --temprature=1|--temprature: no such option; did you mean --temperature?
nnclr-pretrain --neighbors 4|--neighbors: no such option; did you mean --neighbours?
nnclr-pretrain --batch-size 4|--batch-size: no such option; did you mean --batch?
nnclr-pretrain --threds 1|--threds: no such option; did you mean --threads?
nnclr-pretrain -resume|-r: no such option; did you mean --resume?
nnclr-lineval --kk 3|--kk: no such option
nnclr-prep --temperature|--temperature: no such option
nnclr-prep --a-very-long-name-that-no-option-of-any-program-has|--a-very-long-name-that-no-option-of-any-program-has: no such option
END
}

@test "the beginning of a long name stands for it, alone, with =, and when it brings defaults" {
    cd "$BATS_TEST_TMPDIR"
    make_shard s 10
    expect 0 nnclr-prep --list-c --js s.tar.zst
    [[ $output == '['* ]]
    # the whole name goes before others that begin like it
    refuses 2 '--list: needs a value: FILE' nnclr-prep --list
    # messages say the whole name
    refuses 2 '--temperature: needs a number from 1e-06 to 1000000, not "x"' nnclr-pretrain --tempera=x
    for words in '--preset tiny' '--pres tiny' --pres=tiny '--preset cifar --pres tiny'; do
        expect 0 nnclr-pretrain $words --help
        [[ $output == *"--size N "*"(default: 32)"*"--augment"* ]]
    done
    # no preset: values of other options, and what follows --
    for words in '--probe --preset --arch=resnet18 --probe tiny' '--init --pres tiny' '-o --preset=tiny'; do
        expect 0 nnclr-pretrain $words --help
        [[ $output == *"--size N "*"(default: 224)"*"--augment"* ]]
    done
    while IFS='|' read -r words wanted; do
        expect 2 $words
        expect_message "${words%% *}" "$wanted (try ${words%% *} --help)"
    done <<'END'
nnclr-prep --l x|--l: is ambiguous: it may be --list or --list-contents
nnclr-prep --s=3|--s: is ambiguous: it may be --size, --seed, --shard-size or 2 others
nnclr-pretrain --pre tiny|--pre: is ambiguous: it may be --preset, --pred, --prefix or --precision
nnclr-lineval --m=|--m: is ambiguous: it may be --methods or --model
END
}

@test "-o is --output, and -k is --neighbours, in every program that has them" {
    cd "$BATS_TEST_TMPDIR"
    for program in $(programs); do
        "$program" --help
    done >help
    while read -r letter name argument count; do
        grep -E "^  (-$letter, |    )--($name|$letter) |^  -$letter, " help >found
        [ "$(wc -l <found)" -eq "$count" ]
        [ "$(grep -cE "^  -$letter, --$name ($argument) " found)" -eq "$count" ]
    done <<'END'
o output FILE|RUN 7
k neighbours K 3
END
}

@test "an option's old name works, and says so" {
    mkdir "$BATS_TEST_TMPDIR/here"
    cd "$BATS_TEST_TMPDIR/here"
    make_shard s 20
    expect 0 nnclr-embed --pixels 4 --out a.emb ../s.tar.zst
    [ "$stderr" = 'nnclr-embed: --out is deprecated: it is called --output now' ]
    expect 0 nnclr-lineval --methods knn --k=3 a.emb a.emb
    [ "$stderr" = 'nnclr-lineval: --k is deprecated: it is called --neighbours now' ]
    [[ $output == *"k=3 "* ]]
    expect 0 nnclr-lineval -q --methods knn --k 3 a.emb a.emb
    [ -z "$stderr" ]
    expect 0 nnclr-queue-inspect -q --k 3 --queries 1 a.emb
    [ "${#lines[@]}" -eq 4 ]
    expect 0 nnclr-views -q --preset tiny --out v.tensors ../s.tar.zst
    refuses 2 '--k: needs a whole number from 1' nnclr-lineval --k 0 a.emb a.emb
    # what --output once chose is known by these two words; anything else is a file
    for value in features projection; do
        expect 2 nnclr-embed --pixels 4 --output $value ../s.tar.zst
        [ "${stderr_lines[0]}" = "nnclr-embed: --output $value is deprecated: it is called --layer $value now" ]
        [[ ${stderr_lines[1]} == 'nnclr-embed: --pixels has no network: leave --layer out'* ]]
        expect_files . a.emb v.tensors
    done
    expect 0 nnclr-embed -q --pixels 4 -o features ../s.tar.zst
    expect 0 nnclr-embed -q --pixels 4 --output=./projection ../s.tar.zst
    expect 0 nnclr-embed -q --pixels 4 --output feature ../s.tar.zst
    expect_files . a.emb v.tensors features projection feature
}

@test "a missing value, a value where there is none, and a number out of range: exit 2" {
    for program in $(programs); do
        refuses 2 '-j: needs a value: N' "$program" -j
        refuses 2 '--threads: needs a value: N' "$program" --threads
        refuses 2 '--quiet: takes no value' "$program" --quiet=yes
        for value in 0 -1 abc 1.5 4097 99999999999999999999 ''; do
            refuses 2 "--threads: needs a whole number from 1 to 4096, not \"$value\"" "$program" --threads "$value"
        done
    done
}

@test "an empty argument, as from a variable that is not set: exit 2" {
    for program in $(programs); do
        refuses 2 "an argument is empty: it must be the name of a file" "$program" ''
        refuses 2 "an argument is empty: it must be the name of a file" "$program" -- ''
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
        run -141 into_closed_pipe "$program --help"
        [ -z "$output" ]
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

@test "what a terminal obeys or hides is escaped in messages, and a long one keeps its end" {
    # A control character of two bytes and of one, a turn of the direction, one without width.
    local name=$'a\xc2\x9bb\x9bc\xe2\x80\xaed\xe2\x80\x8de\xe2\x81\xa6\xc3\xa4'
    expect 1 nnclr-prep -o "$BATS_TEST_TMPDIR/x" "$name"
    expect_message nnclr-prep 'a\xc2\x9bb\x9bc\xe2\x80\xaed\xe2\x80\x8de\xe2\x81\xa6'$'\xc3\xa4: No such file'
    refuses 1 "deep/deep/" nnclr-prep -o "$BATS_TEST_TMPDIR/x" "$(printf 'deep/%.0s' $(seq 600))end"
    [[ $stderr == *"..."*"deep/end: No such file or directory" ]]
    expect 2 nnclr-prep "--list-$(printf 'long%.0s' $(seq 1000))" x
    [[ $stderr == *"(try nnclr-prep --help)" ]]
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

@test "every option that a message names is one that a program has" {
    local of_mpirun=--bind-to
    cd "$BATS_TEST_TMPDIR"
    for program in $(programs); do
        "$program" --help
    done | grep -oE '^ +(-., )?--[a-z0-9-]+' | { grep -oE -- '--[a-z0-9-]+' && echo "$of_mpirun"; } | sort -u >known
    (cd "$NNCLR_ROOT" && grep -rhoE '"([^"\\]|\\.)*"' lib cmd --include='*.[ch]') |
        grep -oE -- '(^|[^a-z0-9-])--[a-z][a-z0-9-]*' | grep -oE -- '--.*' | sort -u >named
    [ "$(wc -l <named)" -ge 50 ]
    run -0 comm -13 known named
    [ -z "$output" ]
}

@test "manual pages are free of warnings" {
    need mandoc
    run mandoc -T lint -W warning "$NNCLR_ROOT"/man/*.[1-9]
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a message with a long name is whole" {
    name=$(printf 'a%.0s' {1..3000})
    refuses 2 "unlike $name.npy; " nnclr-prep -o "$name.npy" pictures
    [[ $stderr == *"(try nnclr-prep --help)" ]]
    # The library's are shortened in the middle: what and why stay.
    expect 1 nnclr-prep -q -o out.tar.zst "$name"
    [[ $stderr == "nnclr-prep: aaa"*"aaa...aaa"*"aaa: File name too long" ]]
}
