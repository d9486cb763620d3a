# How far the work is, on a terminal of any width and elsewhere, and Ctrl-C in the middle of it.
load helpers

TINY="-j 1 $TINY --proj 16,8 --pred 16"

setup() {
    need python3
    cd "$BATS_TEST_TMPDIR"
}

# A terminal of python: what(PATTERN) waits for it in what the program writes.
terminal() { # COMMAND..., a script on standard input
    cat - >../terminal.script
    timeout 60 python3 - "$@" <<'END'
import fcntl, os, pty, re, select, signal, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:])
text = ""
def more():
    global text
    try:
        text += os.read(fd, 4096).decode()
        return True
    except OSError:
        return False
def size(columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
def wait_for(pattern, start=0):
    while not (found := re.compile(pattern).search(text, start)):
        if not more():
            sys.exit("no %r in %r" % (pattern, text))
    return found
def drawn(count): # the next lines of progress, as they are on the screen
    global text
    text, lines = "", []
    for _ in range(count):
        found = wait_for(r"\r([^\r\n\033]+)\033\[K")
        lines.append(found[1])
        text = text[found.end():]
    return lines
def press(key):
    os.write(fd, key)
def status():
    while more():
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
exec(open("../terminal.script").read())
END
}

@test "a line of progress fits the terminal's width of the moment, and loses its end first" {
    make_shard s 40
    terminal env -u COLUMNS nnclr-pretrain $TINY --steps 1000000 -o run s.tar.zst <<'END'
wait_for("training resnet18 x0.125 on 40 pictures of s.tar.zst: 200000 epochs, 1000000 steps of 8; a checkpoint every 10m in run\r\n")
steps = r"\d+ steps of 1000000 \(0 %\)"
left = ", .+ left"
for columns, wanted in (
        (200, "nnclr-pretrain: %s%s, .+, loss [\\d.]+, nn_acc [\\d.]+$" % (steps, left)),
        (0, "nnclr-pretrain: %s%s" % (steps, left)),
        (64, "nnclr-pretrain: %s%s$" % (steps, left)),
        (50, steps + left),
        (30, steps + "$"),
        (9, r"\d+ s"),
        (1, "$")):
    size(columns)
    line = drawn(2)[1] if columns != 1 else "" # the first may have been on its way
    if len(line) > (columns or 80) - 1 or not re.match(wanted, line):
        sys.exit("%d columns: %r" % (columns, line))
press(b"\x03")
wait_for(r"\r\033\[Knnclr-pretrain: finishing this step; again: quit now\r\n")
wait_for(r"nnclr-pretrain: run: stopped after step \d+ of 1000000; go on with --resume -o run\r\n")
assert status() == -signal.SIGINT
END
}

@test "if the terminal does not know its width, COLUMNS does" {
    make_shard s 40
    COLUMNS=30 terminal nnclr-pretrain $TINY --steps 1000000 -o run s.tar.zst <<'END'
assert re.match(r"\d+ steps of 1000000 \(0 %\)$", drawn(1)[0])
press(b"\x03")
assert status() == -signal.SIGINT
END
}

@test "work that is soon done says nothing, not even on a terminal" {
    make_shard s 20
    terminal nnclr-embed --pixels 4 -o a.emb s.tar.zst <<'END'
assert status() == 0 and text == ""
END
}

# The command is given INT when it has shown progress, dies of it at once, and leaves nothing. The
# files that it writes have names from the start, as if O_TMPFILE were not known.
ends_by_interrupt() {
    mkdir out
    NNCLR_INJECT=open:1:EPERM NNCLR_INJECT_FOLDER=$PWD/out LD_PRELOAD=$INJECT \
        ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS-}" terminal "$@" <<'END'
size(300)
shown = drawn(1)[0]
if not re.search(r"^nnclr-[a-z]+: \d+ [a-z]+( of \d+ \(\d+ %\), .+ left)?, ", shown):
    sys.exit("not a line of progress: " + shown)
press(b"\x03")
began = time.time()
assert status() == -signal.SIGINT
assert time.time() - began < 10
assert not re.search(r"nnclr-[a-z]+: (?!\d)", text), text
END
    [ -z "$(ls -A out)" ]
    rmdir out
}

@test "INT ends every program that works for long at once, and leaves no file" {
    local many
    make_shard s 200
    nnclr-embed -q --pixels 16 -o a.emb s.tar.zst
    nnclr-pretrain -q $TINY --steps 1 -o run s.tar.zst
    many=$(printf 's.tar.zst %.0s' {1..100})
    ends_by_interrupt nnclr-embed -j 1 -m run/checkpoint.safetensors.zst --size 64 -o out/b.emb $many
    ends_by_interrupt nnclr-embed -j 1 --pixels 256 -o out/b.emb $many
    ends_by_interrupt nnclr-views -j 1 --preset cifar --size 128 -o out/v $many
    ends_by_interrupt nnclr-views -j 1 --preset cifar --size 128 -n 4000 --sheet out/v.png $many
    ends_by_interrupt nnclr-lineval -j 1 --methods linear --epochs 1000000 -o out/c a.emb a.emb
    ends_by_interrupt nnclr-lineval -j 1 --augment -m run/checkpoint.safetensors.zst -o out/c s.tar.zst s.tar.zst
}
