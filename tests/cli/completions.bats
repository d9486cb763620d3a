#!/usr/bin/env bats
# What bash, zsh and fish offer on TAB, asked of the shells themselves, compared with what --help shows.
load helpers

setup() {
    COMPLETIONS=$(dirname "$(readlink -f "$NNCLR_BIN/nnclr-prep")")/completions
    export COMPLETIONS
    cd "$BATS_TEST_TMPDIR"
    mkdir here
    cd here
    touch 'my shard.tar'
    for program in $(programs); do
        expectations "$program"
    done >../expected
    cut -f 1 ../expected >../lines
    [ "$(wc -l <../lines)" -ge 100 ]
}

programs() {
    basename -a "$NNCLR_ROOT"/cmd/nnclr-*.c | sed 's/\.c$//'
}

# Lines of a command line, and after a tab what should be offered there: words in order, or "files",
# or "nothing".
expectations() { # PROGRAM
    local help option values
    help=$("$1" --help)
    expect_words "$1 -" "$(grep -E '^  (-.,|   ) --' <<<"$help" | grep -oE '(^  -[a-zA-Z0-9]|^ +(-., )?--[a-z0-9-]+)' | grep -oE -- '-+[A-Za-z0-9-]+(, --.*)?' | tr -s ', ' '\n')"
    expect_words "$1 --" "$(grep -oE '^  (-.,|   ) --[a-z0-9-]+' <<<"$help" | grep -oE -- '--.*')"
    # --order sorted|random
    while read -r option values; do
        expect_words "$1 $option " "${values//|/ }"
        expect_words "$1 $option=" "${values//|/ }"
    done < <(sed -nE 's/^  (-.,|   ) (--[a-z0-9-]+ [a-z0-9+-]+(\|[a-z0-9+-]+)+).*/\2/p' <<<"$help")
    # an input or an output; anything else is a number or a text
    while read -r option values; do
        case $values in
        FILE | PATH | SHARD | CHECKPOINT | RUN | OUT.*) printf '%s\tfiles\n' "$1 $option " "$1 $option=" ;;
        [A-Z][A-Z][A-Z]*) grep -qw -- "$values" <<<"$(sed '/^$/q' <<<"$help")" || printf '%s\tnothing\n' "$1 $option " ;; # no operand
        [A-Z]*) printf '%s\tnothing\n' "$1 $option " "$1 $option=" ;;
        esac
    done < <(sed -nE 's/^  (-.,|   ) (--[a-z0-9-]+ [^ ]+).*/\2/p' <<<"$help")
    printf '%s\tnothing\n' "$1 -j " "$1 -q -j "
    printf '%s\tfiles\n' "$1 " "$1 -q " "$1 my" "$1 -- " "$1 -q -- my"
}

expect_words() { # LINE WORDS
    printf '%s\t%s\n' "$1" "$(tr -s ' \n' '\n\n' <<<"$2" | sort -u | paste -sd ' ')"
}

# From lines "NUMBER of the line, word" to lines as expected.
judge() {
    sed -E 's/ +$//; s/\\//g' | LC_ALL=C sort -u | awk -F '\t' -v lines=../lines '
        $2 == "my shard.tar" { $2 = "files" }
        $2 != "" && !(($1, $2) in seen) { seen[$1, $2]; offered[$1] = offered[$1] (offered[$1] == "" ? "" : " ") $2 }
        END { while ((getline line < lines) > 0) print line "\t" (offered[++n] == "" ? "nothing" : offered[n]) }' >../got
    # in the order of one locale
    while IFS=$'\t' read -r line words; do
        expect_words "$line" "$words"
    done <../got | diff ../expected -
}

@test "one file for each program and shell, and nothing else" {
    for shell in bash zsh fish; do
        diff <(programs) <(ls "$COMPLETIONS/$shell")
    done
}

# The words of a line are cut as readline does, at blanks and at "=". An empty COMPREPLY leaves file
# names to readline, unless compopt was told otherwise.
@test "bash: every option of --help and no others, choices, files" {
    cat >../ask.bash <<'END'
for file in "$COMPLETIONS"/bash/*; do
    . "$file"
done
compopt() { [ "$*" = "+o default" ] && files=; }
while IFS= read -r COMP_LINE; do
    n=$((n + 1)) files=files
    COMP_POINT=${#COMP_LINE}
    read -ra COMP_WORDS <<<"${COMP_LINE//=/ = }"
    [[ $COMP_LINE != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    program=${COMP_LINE%% *}
    [[ $(complete -p "$program") =~ ^complete\ -o\ default\ -F\ ([^ ]+)\ $program$ ]] || exit 1
    "${BASH_REMATCH[1]}" "$program" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" || exit 1
    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=("$files")
    printf "$n\t%s\n" "${COMPREPLY[@]}"
done
END
    bash ../ask.bash <../lines >../answers
    judge <../answers
}

@test "bash at a terminal: TAB finishes options, choices after a blank and after =, and names with blanks" {
    need script
    cat >../setup.bash <<END
PS1=
. '$COMPLETIONS/bash/nnclr-prep'
nnclr-prep() { printf '<%s>' "\$@" >../typed; }
: >../ready
END
    {
        printf '. ../setup.bash\n'
        until [ -e ../ready ]; do sleep 0.1; done
        printf 'nnclr-prep --pix\t--ord\tso\t--order=ra\t--size my\t --root my\tm\t\nexit\n'
    } | timeout 100 script -qec 'bash --norc --noprofile -i' /dev/null >../log
    cat ../log
    [ "$(cat ../typed)" = '<--pixels><--order><sorted><--order=random><--size><my><--root><my shard.tar><my shard.tar>' ]
}

# All lines are typed into one zsh, whose compadd tells what would be offered; ^T ends a line.
@test "zsh: every option of --help and no others, choices, files" {
    need zsh
    need script
    mkdir ../functions
    for program in $(programs); do
        cp "$COMPLETIONS/zsh/$program" "../functions/_$program"
    done
    cat >../setup.zsh <<'END'
PROMPT= RPROMPT= asked=1
fpath=(${PWD:h}/functions $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    local hits=()
    [[ " $* " == *" -"[ODA]" "* ]] || { builtin compadd -A hits "$@"; print -rl -- "$asked"$'\t'$^hits >>../answers }
    builtin compadd "$@"
}
next() { asked=$((asked + 1)); zle kill-whole-line }
zle -N next
bindkey '^I' complete-word '^T' next
: >../ready
END
    {
        printf '. ../setup.zsh\n'
        until [ -e ../ready ]; do sleep 0.1; done
        while IFS= read -r line; do
            printf '%s\t\x14' "$line"
        done <../lines
        printf 'exit\n'
    } | timeout 100 script -qec 'zsh -f -i' /dev/null >../log
    judge <../answers
}

@test "fish: every option of --help and no others, choices, files" {
    need fish
    cat >../ask.fish <<'END'
for file in $COMPLETIONS/fish/*
    source $file
end
set n 0
while read -l line
    set n (math $n + 1)
    for word in (complete -C "$line" | string replace -r '\t.*' '')
        string match -q -- '*=' "$line"; and set word (string replace -r '^--[a-z0-9-]+=' '' -- $word)
        printf '%s\t%s\n' $n (string replace -a '\\' '' -- $word)
    end
end
END
    HOME=$BATS_TEST_TMPDIR fish --no-config ../ask.fish <../lines >../answers
    judge <../answers
}
