#!/usr/bin/env bats
# Labels: one number for one class in every program, whoever gives it.
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# 8x8 pictures NAME..., each with colours of its own.
draw() { # NAME...
    local name
    for name in "$@"; do
        {
            printf 'P6\n8 8\n255\n'
            printf '%s' "$name" | cksum | awk '{ srand($1 % 99991); for (i = 0; i < 192; i++) printf "%c", 1 + int(rand() * 120) }' | LC_ALL=C head -c 192
        } >"$name"
    done
}

# Twelve pictures with labels 2, 3 and 10: numbers.tar.zst.
number_shard() {
    mkdir n
    LC_ALL=C draw n/{a..l}
    for name in {a..l}; do
        case $name in
        [a-d]) printf '%s\t10\n' $name ;;
        [e-h]) printf '%s\t2\n' $name ;;
        *) printf '%s\t3\n' $name ;;
        esac
    done >list
    nnclr-prep -q --list list -o numbers.tar.zst n
}

@test "a label that is a number is that number in every program" {
    number_shard
    [ "$(nnclr-prep --list-contents numbers.tar.zst | awk -F '\t' 'NR > 1 { print $2, $3, $4 }' | sort -u | head -n 4)" = "10 10 a
10 10 b
10 10 c
10 10 d" ]
    nnclr-prep --list-contents numbers.tar.zst | awk -F '\t' 'NR > 1 { print $4 "\t" $2 }' | cmp - list
    if command -v zstdcat >/dev/null; then
        [ "$(zstdcat numbers.tar.zst | tar xOf - 000000000.cls)" = 10 ]
        [ "$(zstdcat numbers.tar.zst | tar xOf - 000000011.cls)" = 3 ]
    fi
    nnclr-embed -q --pixels 4 -o n.emb numbers.tar.zst
    nnclr-export --format tsv -o - n.emb | awk -F '\t' 'NR == 1 || $2 != $3 { print }' >seen
    [ "$(cat seen)" = "$(nnclr-export --format tsv n.emb | head -n 1)" ]
    nnclr-export --format tsv n.emb | cut -f 2 | sed 1d | cmp - <(cut -f 2 list)
    nnclr-lineval --methods knn -k 1 --predictions p.tsv n.emb n.emb
    tail -n +2 p.tsv | cut -f 1-3 | cmp - <(awk -F '\t' '{ print $1 "\t" $2 "\t" $2 }' list)
    # Joined with itself and with fewer classes nothing is renumbered.
    grep -v 10 list >fewer
    nnclr-prep -q --list fewer -o fewer.tar.zst n
    nnclr-prep --list-contents fewer.tar.zst numbers.tar.zst | awk -F '\t' 'NR > 1 && $2 != $3' >wrong
    [ ! -s wrong ]
    nnclr-embed -q --pixels 4 -o both.emb fewer.tar.zst numbers.tar.zst
    nnclr-export --format tsv both.emb | awk -F '\t' 'NR > 1 && $2 != $3' >wrong
    [ ! -s wrong ]
}

@test "a network that learns labels that are numbers has a row for each of them, in their order" {
    need python3
    number_shard
    nnclr-pretrain -q --preset tiny --engine cpu --size 16 --steps 1 --batch 4 --queue 8 -o run numbers.tar.zst
    nnclr-finetune -q -m run --epochs 1 --batch 4 -o tuned numbers.tar.zst
    nnclr-export -o net.safetensors tuned
    python3 - <<'END'
import json, struct
data = open("net.safetensors", "rb").read()
header = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
assert header["fc.weight"]["shape"][0] == 11, header["fc.weight"]
assert json.loads(header["__metadata__"]["classes"]) == [str(i) for i in range(11)]
END
}

@test "folders whose names are numbers are classes by name, as to ImageFolder" {
    mkdir -p f/2 f/10 f/3
    LC_ALL=C draw f/2/a f/10/b f/3/c
    nnclr-prep -q -o f.tar.zst f
    [ "$(nnclr-prep --list-contents f.tar.zst | awk -F '\t' 'NR > 1 { print $2, $3 }')" = "0 10
1 2
2 3" ]
}

@test "classes of several shards are renumbered by name where none has all in order" {
    mkdir -p a/cat a/dog b/bee b/dog
    LC_ALL=C draw a/cat/1 a/dog/1 b/bee/1 b/dog/2
    nnclr-prep -q -o a.tar.zst a
    nnclr-prep -q -o b.tar.zst b
    [ "$(nnclr-prep --list-contents a.tar.zst b.tar.zst | awk -F '\t' 'NR > 1 { print $2, $3 }')" = "1 cat
2 dog
0 bee
2 dog" ]
}

@test "a label too large to be a row is the name of a class" {
    mkdir n
    LC_ALL=C draw n/a n/b n/c
    printf 'a\t1099511627776\nb\t7\nc\t1099511627776\n' >list
    nnclr-prep -q --list list -o large.tar.zst n
    [ "$(nnclr-prep --list-contents large.tar.zst | awk -F '\t' 'NR > 1 { print $2, $3 }')" = "0 1099511627776
1 7
0 1099511627776" ]
    printf 'a\t999999\nb\t7\n' >list
    nnclr-prep -q --list list -o many.tar.zst n
    [ "$(nnclr-prep --list-contents many.tar.zst | awk -F '\t' 'NR > 1 { print $2, $3 }')" = "999999 999999
7 7" ]
}

@test "a list with the marks and line ends of Windows" {
    mkdir n
    LC_ALL=C draw n/a n/b
    printf '\357\273\277a\tcat\r\n\r\nb\tdog\r\n' >list
    nnclr-prep -q --list list -o c.tar.zst n
    [ "$(nnclr-prep --list-contents c.tar.zst | awk -F '\t' 'NR > 1 { print $3, $4 }')" = "cat a
dog b" ]
    printf '\357\273\277a\r\nb\r\n' >list
    nnclr-prep -q --list list -o d.tar.zst n
    [ "$(nnclr-prep --list-contents d.tar.zst | cut -f 3,4 | tail -n +2)" = "$(printf '\ta\n\tb')" ]
    # Where they are part of a name they are that.
    LC_ALL=C draw $'n/\357\273\277x' $'n/x\r'
    printf '\357\273\277x\nx\r\n' >list
    nnclr-prep -q --list list -o e.tar.zst n
    [ "$(nnclr-prep --list-contents e.tar.zst | cut -f 4 | tail -n +2)" = $'\357\273\277x\nx\\r' ]
    printf '\377\376a\000' >list
    expect 1 nnclr-prep --list list -o u.tar.zst n
    expect_message nnclr-prep "list: is UTF-16 text; save the list as UTF-8"
}

@test "a table made into a list gives the same shard, whatever the names hold" {
    mkdir names
    local class
    for class in plain $'tab\tbed' $'new\nline' 'back\slash' '\t' '\\x41' 'x\x41' $'\377' $'z\200\\' '"q'"'" ' blank ' $'c\302\205one' $'\r' ü '#' '-'; do
        mkdir "names/$class"
        LC_ALL=C draw "names/$class/"{$'a\tb',$'a\nb','a\b','a\\b','a\tb','\n','\x01','\x41','\xff',$'\xff','q"'"'",' ',$'e\r',$'\357\273\277m','-','é'}
    done
    nnclr-prep -q -o names.tar.zst names
    nnclr-prep --list-contents names.tar.zst >table
    [ "$(wc -l <table)" -eq 257 ]
    awk -F '\t' 'NR > 1 { print $4 "\t" $3 }' table >list
    nnclr-prep -q --list list -o again.tar.zst names
    cmp names.tar.zst again.tar.zst
    awk -F '\t' 'NR > 1 { print $4 "\t" $3 "\r" }' table >list # with the line ends of Windows
    nnclr-prep -q --list list -o again.tar.zst names
    cmp names.tar.zst again.tar.zst
    # A list that find makes knows no escapes.
    (cd names && find . -type f -name 'a\\b' ! -name $'*\n*' ! -path $'*\n*' ! -path $'*\t*' | sort) >list
    nnclr-prep -q --list list -o found.tar.zst names
    [ "$(nnclr-prep --list-contents found.tar.zst | tail -n +2 | wc -l)" -eq "$(wc -l <list)" ]
}
