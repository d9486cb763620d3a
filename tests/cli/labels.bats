#!/usr/bin/env bats
# Labels: one number for one class in every program, wherever it comes from.
load helpers

# Draws 8x8 pictures NAME..., each with colours of its own.
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
    [ "$(nnclr-prep --list-contents numbers.tar.zst | awk -F '\t' 'NR > 1 { print $2, $3, $4 }' | sort -u | sed -n 1,4p)" = "10 10 a
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
    diff seen <(nnclr-export --format tsv n.emb | sed -n 1p)
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
import json
from tensors import load
about, tensors = load("net.safetensors")
assert tensors["fc.weight"].shape[0] == 11
assert json.loads(about["classes"]) == [str(i) for i in range(11)]
END
}

@test "folders whose names are numbers are classes by name, as for ImageFolder" {
    mkdir -p f/2 f/10 f/3
    LC_ALL=C draw f/2/a f/10/b f/3/c
    nnclr-prep -q -o f.tar.zst f
    [ "$(nnclr-prep --list-contents f.tar.zst | awk -F '\t' 'NR > 1 { print $2, $3 }')" = "0 10
1 2
2 3" ]
}

@test "classes of several shards are renumbered by name if none has all in order" {
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
    diff <(nnclr-prep --list-contents d.tar.zst | cut -f 3,4 | tail -n +2) <(printf '\ta\n\tb\n')
    # Two lists put together; lines of an old Mac, the last one without an end.
    printf 'a\tcat\n\357\273\277b\tdog\n' >list
    nnclr-prep -q --list list -o m.tar.zst n
    cmp c.tar.zst m.tar.zst
    for end in '' '\r'; do
        printf "a\tcat\r\rb\tdog$end" >list
        nnclr-prep -q --list list -o m.tar.zst n
        cmp c.tar.zst m.tar.zst
    done
    # If they are part of a name, they stay part of it.
    LC_ALL=C draw $'n/\357\273\277x' $'n/x\r'
    printf '\357\273\277x\nx\r\n' >list
    nnclr-prep -q --list list -o e.tar.zst n
    diff <(nnclr-prep --list-contents e.tar.zst | cut -f 4 | tail -n +2) <(printf '%s\n' '\xef\xbb\xbfx' 'x\r')
    printf '\377\376a\000' >list
    refuses 1 "list: is UTF-16 text; save the list as UTF-8" nnclr-prep --list list -o u.tar.zst n
}

@test "a table made into a list gives the same shard, whatever the names hold" {
    mkdir names
    local class name pictures=(
        $'a\tb' $'a\nb' 'a\b' 'a\\b' 'a\tb' '\n' '\x01' '\x41' '\xff' $'\xff' 'q"'"'" ' ' $'e\r' $'\357\273\277m' '-' 'é'
    )
    for class in plain $'tab\tbed' $'new\nline' 'back\slash' '\t' '\\x41' 'x\x41' $'\377' $'z\200\\' '"q'"'" ' blank ' $'c\302\205one' $'\r' ü '#' '-'; do
        mkdir "names/$class"
        for name in "${pictures[@]}"; do
            LC_ALL=C draw "names/$class/$name"
        done
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

# Three copies of one picture in a/, one of them in b/ too, and a test picture that is in b/.
plant() { # ODD
    mkdir -p p/a p/b t/a
    LC_ALL=C draw p/a/{1,2,3} p/b/{1,2,3} t/a/1 "p/a/$1"
    cp "p/a/$1" "p/a/z$1"
    cp "p/a/$1" "p/b/z$1"
    cp t/a/1 "p/b/leak$1"
    nnclr-prep -q -o p.tar.zst p
    nnclr-prep -q -o t.tar.zst t
    nnclr-embed -q --pixels 8 -o p.emb p.tar.zst
    nnclr-embed -q --pixels 8 -o t.emb t.tar.zst
}

contents() { # SHARD: class and name of its records
    nnclr-prep --list-contents "$1" | tail -n +2 | cut -f 3,4
}

@test "--exclude takes the reports on copies, whatever the names hold" {
    local odd
    for odd in plain $'tab\tbed' 'back\slash' '\x41' $'\377\n' ' "q" ' $'m\r'; do
        plant "$odd"
        expect 0 nnclr-queue-inspect --report duplicates p.emb
        [[ $stderr == *"nnclr-prep --exclude would leave out 1" ]]
        echo "$output" >duplicates
        expect 0 nnclr-queue-inspect --report leaks --query t.emb p.emb
        [[ $stderr == *"nnclr-prep --exclude would leave out 1 of what is here" ]]
        echo "$output" >leaks
        # of three copies the second of the same class goes, and of the leak what is here
        expect 0 nnclr-prep --exclude duplicates -o a.tar.zst p
        expect_message nnclr-prep "pictures: 9 packed, 0 left out, 1 excluded, 0 relabelled; classes: 2; "
        contents p.tar.zst | grep -vxF "$(awk -F '\t' '$10 == "yes" { print $4 "\t" $5 }' duplicates)" | diff - <(contents a.tar.zst)
        expect 0 nnclr-prep --exclude leaks -o b.tar.zst p
        [[ $stderr == *"pictures: 9 packed, 0 left out, 1 excluded"* ]]
        contents p.tar.zst | grep -v /leak | diff - <(contents b.tar.zst)
        # both, with the line ends of Windows, through a pipe, after a plain name
        expect 0 nnclr-prep --exclude <(echo ./b/2; sed 's/$/\r/' duplicates leaks) -o c.tar.zst p
        contents a.tar.zst | grep -v -e /leak -e b/2 | diff - <(contents c.tar.zst)
        rm -r p t
    done
}

@test "--relabel and --exclude take the report on labels, and lists" {
    mkdir -p l/dark l/light
    for i in 0 1 2 3 4 5 6 7 8; do
        printf 'P6\n2 1\n255\n\1\1\1%b' "$(printf '\\0%o' $((90 + i)) 90 90)" >l/dark/$i
        printf 'P6\n2 1\n255\n%b\1\1\1' "$(printf '\\0%o' $((90 + i)) 90 90)" >l/light/$i
    done
    mv l/dark/3 $'l/light/was\tdark'
    nnclr-prep -q -o l.tar.zst l
    nnclr-embed -q --pixels 2 -o l.emb l.tar.zst
    expect 0 nnclr-queue-inspect -k 4 --report labels l.emb
    [[ $stderr == *"1 of 18 labels have more votes against them than for them: nnclr-prep --relabel would change them, --exclude leave them out" ]]
    echo "$output" >doubtful
    expect 0 nnclr-prep --relabel doubtful -o r.tar.zst l
    [[ $stderr == *"pictures: 18 packed, 0 left out, 0 excluded, 1 relabelled; classes: 2; "* ]]
    contents l.tar.zst | sed 's/.*was/dark\tlight\/was/' | diff - <(contents r.tar.zst)
    expect 0 nnclr-prep --exclude - -o x.tar.zst l <doubtful
    contents l.tar.zst | grep -v was | diff - <(contents x.tar.zst)
    # the same from some columns, from a list, and from a table of contents that was changed by hand
    cut -f 5,6 doubtful >columns
    printf 'light/was\tdark\tdark\n' >lines
    nnclr-prep --list-contents l.tar.zst | sed 's/light\(.*was\)/dark\1/' >table
    for file in columns lines table; do
        nnclr-prep -q --relabel $file -o again.tar.zst l
        cmp r.tar.zst again.tar.zst
    done
    # in an archive, and in the order of a list; a new class; what is excluded may be relabelled
    tar cf l.tar -C l .
    printf 'dark/1\tgray\nlight/1\tgray\n' >lines
    nnclr-prep -q --relabel lines --exclude <(echo light/1) -o tar.tar.zst l.tar
    [ "$(contents tar.tar.zst | sed -n 2p)" = $'gray\tdark/1' ]
    [ "$(contents tar.tar.zst | wc -l)" -eq 17 ]
    nnclr-prep -q --list lines --exclude <(echo light/1) -o list.tar.zst l
    [ "$(contents list.tar.zst)" = $'gray\tdark/1' ]
    # a picture whose name could be a header is a picture
    printf 'P6\n1 1\n255\nabc' | tee l/light/x >l/dark/x
    mkdir f
    cp l/dark/1 f/name
    cp l/dark/2 f/other
    nnclr-prep -q --relabel <(printf 'name\tclass\nother\tb\n') -o f.tar.zst f
    [ "$(contents f.tar.zst)" = $'class\tname\nb\tother' ]
}

@test "what --exclude and --relabel cannot do is refused, and nothing is written" {
    mkdir -p m/a n/a
    LC_ALL=C draw m/a/1 n/a/1 m/a/2
    printf 'a/1\na/3\n' >list
    refuses 1 "list: line 2: a/3: there is no such picture in the input" nnclr-prep --exclude list -o x.tar.zst m
    printf 'a/1\na/2\n' >list
    refuses 1 "list: no picture is left: it names all 2" nnclr-prep --exclude list -o x.tar.zst m
    refuses 1 "list: line 1: a/1: no class: give lines of name, tab and class, or the report labels" \
        nnclr-prep --relabel list -o x.tar.zst m
    refuses 1 "list: line 1: a/1: several pictures have that name: pack one input at a time" \
        nnclr-prep --exclude list -o x.tar.zst m n
    printf 'row\tname\tlabel\n1\t\ta\n' >list
    refuses 1 "list: line 2: no name: nnclr-queue-inspect knows those of a support set only from the SHARDs" \
        nnclr-prep --exclude list -o x.tar.zst m
    refuses 1 "nowhere: No such file" nnclr-prep --exclude nowhere -o x.tar.zst m
    refuses 2 "standard input can be given only once" nnclr-prep --exclude - --relabel - -o x.tar.zst m
    refuses 2 "--exclude does not go with --list-contents" nnclr-prep --list-contents --exclude list m
    refuses 2 "list is an input, and would be overwritten" nnclr-prep --exclude list -o list m
    [ ! -e x.tar.zst ]
}

@test "a tar of WebDataset: .cls are the labels, and other files beside pictures are not broken ones" {
    mkdir -p w/sub.d
    LC_ALL=C draw w/000.ppm w/001.ppm w/001.mask.ppm w/002.v2.ppm w/sub.d/003.ppm w/004.ppm
    printf 7 >w/000.cls
    printf '\357\273\277 10\r\n' >w/001.cls
    printf 2 >w/002.v2.cls
    printf 5 >w/002.cls # less near than that of the same name up to the last dot
    printf 0 >w/sub.d/003.cls
    echo '{}' | tee w/000.json w/001.txt w/002.v2.json >w/sub.d/003.caption.txt
    (cd w && tar cf ../w.tar --sort=name .)
    expect 0 nnclr-prep -o w.tar.zst w.tar
    expect 0 nnclr-prep -o f.tar.zst w
    cmp w.tar.zst f.tar.zst
    [ "$(nnclr-prep --list-contents w.tar.zst | cut -f 2,4 | tail -n +2)" = "7	000.ppm
10	001.mask.ppm
10	001.ppm
2	002.v2.ppm
	004.ppm
0	sub.d/003.ppm" ]
    for name in 000 001 002.v2 sub.d/003; do printf 'bird no. %s' "${name%/*}" >w/$name.cls; done
    nnclr-prep -q -o names.tar.zst w
    [ "$(nnclr-prep --list-contents names.tar.zst | cut -f 3 | tail -n +2 | sort -u | sed -n 1,3p)" = "
bird no. 000
bird no. 001" ]
}

@test "a .cls that says nothing leaves its picture out; one without a picture is not a picture" {
    mkdir w
    LC_ALL=C draw w/0.ppm w/1.ppm w/2.ppm w/4.ppm
    printf 7 | tee w/0.cls >w/3.cls
    printf '\n' >w/1.cls
    head -c 5000 /dev/zero | tr '\0' 1 >w/2.cls
    printf 'no picture' >w/4.jpg
    tar cf w.tar w
    for input in w w.tar; do
        expect 3 nnclr-prep -o w.tar.zst $input
        [ "$(grep -c 'its label is neither a number nor a name' <<<"$stderr")" -eq 2 ]
        [ "$(grep -c 3.cls <<<"$stderr")" -eq 1 ]
        [ "$(grep -c 4.jpg <<<"$stderr")" -eq 1 ]
        [[ $stderr == *"pictures: 2 packed, 4 left out"* ]]
    done
}

@test "a .cls that cannot be read leaves its picture out" {
    mkdir w
    LC_ALL=C draw w/0.ppm w/1.ppm w/2.ppm
    ln -s nowhere w/0.cls
    ln -s nowhere w/1.cls
    expect 3 nnclr-prep -o w.tar.zst w
    [ "$(grep -c 'its label is neither a number nor a name' <<<"$stderr")" -eq 2 ]
    [[ $stderr == *"pictures: 1 packed, 2 left out"* ]]
}

@test "what systems leave in folders is passed over, in archives too" {
    mkdir -p p/a/@eaDir p/__MACOSX/a p/lost+found
    LC_ALL=C draw p/a/1.ppm p/a/@eaDir/thumb.ppm p/__MACOSX/a/2.ppm
    for name in Thumbs.db desktop.ini .DS_Store ._1.ppm; do echo x >p/a/$name; done
    tar cf p.tar p
    expect 0 nnclr-prep -o p.tar.zst p
    expect 0 nnclr-prep --root p -o q.tar.zst p.tar
    cmp p.tar.zst q.tar.zst
    [ "$(nnclr-prep --list-contents q.tar.zst | cut -f 3,4 | tail -n +2)" = "a	a/1.ppm" ]
}

@test "pictures beside folders of classes are counted, and the message says what to do" {
    mkdir -p f/a
    LC_ALL=C draw f/1.ppm f/2.ppm f/a/x.ppm
    echo text >f/README
    tar cf f.tar -C f .
    for input in f f.tar; do
        expect 3 nnclr-prep -o f.tar.zst $input
        [[ ${stderr_lines[0]} == "nnclr-prep: 1.ppm: 2 pictures next to the class folders are passed over; "*--list* ]]
        [[ ${stderr_lines[1]} == *"pictures: 1 packed, 2 left out"* ]]
    done
    expect 0 nnclr-prep --skip-bad -o f.tar.zst f
    rm f/?.ppm
    expect 0 nnclr-prep -o f.tar.zst f
}

@test "links in an archive count as in the folder" {
    mkdir -p d/a d/b d/.store d/c/deep pool
    LC_ALL=C draw d/a/1.ppm d/a/2.ppm d/.store/s.ppm pool/p.ppm d/c/deep/3.ppm
    ln -s ../a/1.ppm d/b/link.ppm
    ln -s link.ppm d/b/chain.ppm # a link to a link
    ln -s ../c/deep d/b/folder
    ln -s folder/3.ppm d/b/through.ppm # through a link to a folder
    ln -s ../../pool/p.ppm d/b/outside.ppm
    ln -s ../.store/s.ppm d/a/hidden.ppm
    ln d/a/2.ppm d/c/hard.ppm
    ln pool/p.ppm d/c/pool.ppm
    ln -s .. d/c/up # a circle
    ln -s z d/z1 # a folder that comes later
    mkdir d/z
    LC_ALL=C draw d/z/4.ppm
    nnclr-prep -q -o folder.tar.zst d
    [ "$(nnclr-prep --list-contents folder.tar.zst | wc -l)" -eq 14 ]
    tar --sort=name -cf sorted.tar d pool
    tar -cf pool-first.tar pool d
    tar -czf packed.tar.gz d pool
    for archive in sorted.tar pool-first.tar packed.tar.gz; do
        expect 0 nnclr-prep --root d -o archive.tar.zst $archive
        cmp archive.tar.zst folder.tar.zst
    done
    ln -s d top
    tar cf top.tar top d pool
    expect 0 nnclr-prep --root top -o archive.tar.zst top.tar
    cmp archive.tar.zst folder.tar.zst
}

@test "links that multiply folders, and folders without end, are refused in time" {
    need python3
    python3 - <<'END'
import io, tarfile
def pack(name, entries):
    with tarfile.open(name, "w") as tar:
        for path, link in entries:
            member = tarfile.TarInfo(path)
            member.type, member.linkname = (tarfile.SYMTYPE, link) if link else (tarfile.REGTYPE, "")
            tar.addfile(member)
pack("bomb.tar", [(f"l{i}/{j}", f"../l{i + 1}") for i in range(9) for j in range(9)] + [("l9/x.ppm", None)])
pack("deep.tar", [("a/" * 2000 + "x.ppm", None)])
END
    refuses 1 "bomb.tar: links make over 100000 folders of it" nnclr-prep -o x.tar.zst bomb.tar
    refuses 1 "deep.tar: over 1000 folders inside each other" nnclr-prep -o x.tar.zst deep.tar
}

@test "a root may be hidden, in a tar from a pipe too" {
    mkdir -p .d/a
    LC_ALL=C draw .d/a/1.ppm
    tar cf d.tar .d
    expect 0 nnclr-prep --root .d -o folder.tar.zst .
    expect 0 nnclr-prep --root .d -o pipe.tar.zst - <d.tar
    cmp folder.tar.zst pipe.tar.zst
}

@test "links that lead nowhere are named, and do not stop the program" {
    mkdir -p d/a
    LC_ALL=C draw d/a/1.ppm out.ppm
    ln -s loop1.ppm d/a/loop2.ppm
    ln -s loop2.ppm d/a/loop1.ppm
    ln -s gone.ppm d/a/dangling.ppm
    ln -s "$PWD/out.ppm" d/a/absolute.ppm
    ln -s ../../../out.ppm d/a/above.ppm
    tar cf d.tar d
    expect 3 nnclr-prep --root d -o x.tar.zst d.tar
    [[ $stderr == *"a/loop1.ppm: a link that leads in a circle"* ]]
    [[ $stderr == *"a/loop2.ppm: a link that leads in a circle"* ]]
    [[ $stderr == *"a/dangling.ppm: a link to what the archive does not have"* ]]
    [[ $stderr == *"a/absolute.ppm: a link that leads out of the archive"* ]]
    [[ $stderr == *"a/above.ppm: a link that leads out of the archive"* ]]
    [[ $stderr == *"pictures: 1 packed, 5 left out"* ]]
    mkdir pool
    LC_ALL=C draw pool/p.ppm
    ln -s ../../pool/p.ppm d/a/p.ppm
    tar cf d.tar d pool
    expect 3 nnclr-prep --root d -o x.tar.zst - <d.tar
    [[ $stderr == *"a/p.ppm: a link to what is not taken, and a pipe is read once; give the archive as a file"* ]]
}

@test "a root that is missing, or wrong, gets a hint" {
    mkdir -p d/a d/b
    LC_ALL=C draw d/a/1.ppm d/b/2.ppm
    tar cf d.tar d
    expect 0 nnclr-prep -o x.tar.zst d.tar
    [[ ${stderr_lines[0]} == "nnclr-prep: d: everything is below it, which makes one class; with nnclr-prep --root d its folders are the classes" ]]
    expect 0 nnclr-prep --root d -o x.tar.zst d.tar
    [ "${#stderr_lines[@]}" -eq 1 ]
    cp d/a/1.ppm d/1.ppm
    tar -cf mixed.tar d
    expect 0 nnclr-prep -o mixed.shard mixed.tar
    [[ ${stderr_lines[0]} == "nnclr-prep: d: everything is below it"* ]]
    rm d/1.ppm
    expect 1 nnclr-prep --root ds -o y.tar.zst d.tar
    expect_message nnclr-prep "d.tar: no files there below ds; --root takes a folder of it, and it holds d/a/1.ppm"
    refuses 1 "d/ds: no such folder; --root takes one that lies below the input" nnclr-prep --root ds -o y.tar.zst d
    [ ! -e y.tar.zst ]
}
