# What the command-line tests share.
#   NNCLR_BIN        folder of the programs under test (default: build/)
#   NNCLR_SHAPES     the program that draws labelled pictures
#   NNCLR_TEST_DATA  real and broken pictures; tests that need them skip if it is unset

NNCLR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
NNCLR_BIN=$(cd "${NNCLR_BIN:-$NNCLR_ROOT/build}" && pwd)
# build/nnclr-* are links into the folder of one set of flags, where the examples are too.
: "${NNCLR_SHAPES:=$(dirname "$(readlink -f "$NNCLR_BIN/nnclr-prep")")/examples/shapes/make-shapes}"
INJECT=$(dirname "$(readlink -f "$NNCLR_BIN/nnclr-prep")")/inject.so
export NNCLR_ROOT NNCLR_BIN NNCLR_SHAPES
PATH=$NNCLR_BIN:$PATH

# tensors.py and others are there for the scripts in the tests.
export PYTHONPATH=$NNCLR_ROOT/tests/reference${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1

bats_require_minimum_version 1.5.0

# A command that fails before a pipe fails the test.
set -o pipefail

export CHECKPOINT=checkpoint.safetensors.zst # of a run

# What most files of tests want; those that want more have functions of their own.
setup() {
    cd "$BATS_TEST_TMPDIR"
}

teardown() {
    end_left_running
}

# Steps of a few milliseconds.
# The method as it was published, which the preset is not.
PLAIN="--pred 64 --view-weight 0 --soft 0"
TINY="--preset tiny $PLAIN --size 8 --batch 8 --queue 20"
tiny() { # [option...]
    nnclr-pretrain $TINY "$@"
}

need_data() { # [path below the data folder]
    if [ ! -e "${NNCLR_TEST_DATA:-/nonexistent}/${1:-}" ]; then
        skip "no test data (NNCLR_TEST_DATA)"
    fi
}

need() { # command
    command -v "$1" >/dev/null || skip "no $1"
}

need_python() { # MODULE[,MODULE...]: $python has them
    for python in "${NNCLR_PYTHON:-python3}" /usr/bin/python3; do
        if "$python" -c "import $1" 2>/dev/null; then return; fi
    done
    skip "no python3 with $1"
}

# The folder of COUNT pictures of 32x32 in ten classes (COUNT a multiple of ten), drawn once per
# test file.
shapes() { # COUNT
    local folder=$BATS_FILE_TMPDIR/shapes-$1
    if [ ! -d "$folder" ]; then
        "$NNCLR_SHAPES" --count $(($1 / 10)) --test 0 --size 32 "$folder.part"
        mv "$folder.part" "$folder"
    fi
    echo "$folder/train"
}

# $BATS_TEST_TMPDIR/NAME.tar.zst: a labelled shard of COUNT pictures.
make_shard() { # NAME COUNT
    local packed=$BATS_FILE_TMPDIR/shard-$2.tar.zst
    if [ ! -e "$packed" ]; then
        nnclr-prep -q -o "$packed" "$(shapes "$2")"
    fi
    cp "$packed" "$BATS_TEST_TMPDIR/$1.tar.zst"
}

# In the folder of the file, for setup_file: a shard, a run on it, and the rows of its pixels.
make_run() { # EMBEDDINGS
    cd "$BATS_FILE_TMPDIR" || return
    nnclr-prep -q -o s.tar.zst "$(shapes 40)"
    nnclr-pretrain -q $TINY --steps 1 -o run s.tar.zst
    nnclr-embed -q --pixels 2 -o "$1" s.tar.zst
}

# CIFAR-10's archive as it is published, with five times TRAIN and once TEST pictures. Picture i has
# label i modulo ten; its bytes are the class's name again and again, the last third its own.
cifar10_binary() { # FILE TRAIN TEST
    local folder=$BATS_TEST_TMPDIR/cifar-binary/cifar-10-batches-bin batch i
    local names=(airplane automobile bird cat deer dog frog horse ship truck)
    mkdir -p "$folder"
    printf '%s\n' "${names[@]}" '' >"$folder/batches.meta.txt"
    for batch in data_batch_{1..5}:"$2" test_batch:"$3"; do
        for i in $(seq 0 $((${batch#*:} - 1))); do
            printf "\\$(printf %o $((i % 10)))"
            head -c 2048 < <(yes "${names[i % 10]}")
            head -c 1024 < <(yes "${batch%:*} $((i * 7919))" | tr 'a-z0-9' '\1-\377')
        done >"$folder/${batch%:*}.bin"
    done
    tar -C "$BATS_TEST_TMPDIR/cifar-binary" -czf "$1" cifar-10-batches-bin
    rm -r "$BATS_TEST_TMPDIR/cifar-binary"
}

# Runs a command whose output is judged: $output is stdout, $stderr is stderr, both kept from the
# terminal; fails unless the exit status is the expected one.
expect() { # STATUS COMMAND...
    local status_wanted=$1
    shift
    run --separate-stderr "$@"
    if [ "$status" -ne "$status_wanted" ]; then
        echo "$*: exit status $status, not $status_wanted"
        echo "stdout: $(head -c 2000 <<<"$output" | tr -d '\0')"
        echo "stderr: $stderr"
        return 1
    fi
}

# One message on stderr, of this program, that contains TEXT.
expect_message() { # PROGRAM TEXT
    if [ "${#stderr_lines[@]}" -ne 1 ] || [[ $stderr != "$1: "* ]] || [[ $stderr != *"$2"* ]]; then
        echo "stderr is not one sentence of $1 with \"$2\":"
        echo "$stderr"
        return 1
    fi
}

# The command ends with that status, says nothing on stdout, and one sentence that contains TEXT. A
# function stands for the program that it runs.
refuses() { # STATUS TEXT COMMAND...
    local program=$3
    if [[ $(declare -f "$program") =~ nnclr-[a-z-]+ ]]; then
        program=${BASH_REMATCH[0]}
    fi
    expect "$1" "${@:3}" || return 1
    expect_message "$program" "$2" || return 1
    if [ -n "$output" ]; then
        echo "${*:3}: it is refused, and yet there is output: $output"
        return 1
    fi
}

# The same for each row of standard input, of which the arguments follow those of the command.
refuses_each() { # COMMAND... <STATUS|ARGUMENTS|TEXT
    local status_wanted arguments text rows=0
    while IFS='|' read -r status_wanted arguments text; do
        refuses "$status_wanted" "$text" "$@" $arguments </dev/null || {
            echo "row: $status_wanted|$arguments|$text"
            return 1
        }
        rows=$((rows + 1))
    done
    [ "$rows" -gt 0 ]
}

# cmp and diff; but two sides that are both empty are not alike, because then nothing shows that
# what should have filled them worked. "differ" is for what must not be alike: neither side is empty
# there.
cmp() { compare 0 cmp "$@"; }
diff() { compare 0 diff "$@"; }
differ() { compare 1 cmp -s "$@"; }

compare() { # STATUS PROGRAM [option...] A B
    local wanted=$1 program=$2 operand operands=() empty=0 status=0
    local copy=$BATS_RUN_TMPDIR/compared-$BASHPID
    shift 2
    for operand; do
        if [ "$operand" = - ] || [ -p "$operand" ]; then # a pipe becomes a file, whose size can be asked for
            cat "$operand" >"$copy.${#operands[@]}"
            operand=$copy.${#operands[@]}
        fi
        operands+=("$operand")
        [[ $operand == -* || -s $operand ]] || empty=$((empty + 1))
    done
    command "$program" "${operands[@]}" || status=$?
    rm -f "$copy".*
    if [ "$status" -ne "$wanted" ] || [ "$empty" -gt 0 ]; then
        echo "$program $*: exit status $status, not $wanted, and $empty sides are empty"
        return 1
    fi
}

# What is compared between two runs: metrics.jsonl without the one value that is a measurement of time.
timeless() { # RUN
    sed -E 's/,"images_per_s":[^,}]*//' "$1/metrics.jsonl"
}

step_of() { # CHECKPOINT: the step in its metadata
    zstdcat "$1" | grep -ao '"nnclr.step":"[0-9]*"' | grep -o '[0-9]*'
}

# Fails, and shows them, unless the filter holds for the lines of a run, an array. No lines at all
# do not count as all.
lines_say() { # RUN FILTER
    jq -es "def all(f): length > 0 and (map(f) | all); $2" "$1/metrics.jsonl" >/dev/null || {
        echo "of $1 it does not hold that $2"
        cat "$1/metrics.jsonl"
        return 1
    }
}

# The folder holds these files and nothing else, hidden ones included.
expect_files() { # FOLDER NAME...
    local folder=$1
    shift
    diff <(cd "$folder" && echo files: && ls -A | sort) <(echo files: && printf '%s\n' "$@" | sed '/^$/d' | sort)
}

# Flips one bit of a file in place.
flip_bit() { # FILE OFFSET
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "$(printf '\\x%02x' $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Runs a command whose calls on files below the current folder fail as PLAN says
# (tests/inject/inject.c).
injected() { # PLAN COMMAND...
    local plan=$1
    shift
    env NNCLR_INJECT="$plan" NNCLR_INJECT_FOLDER="$PWD" LD_PRELOAD="$INJECT" \
        ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS-}" "$@"
}

# ---- programs that are stopped, or left running ----

# Starts the command so that it stops itself at the calls of PLAN on files below run/, or below
# $stop_below; $pid. A shell starts background commands with INT ignored; python gives it back.
start_unwatched() { # PLAN COMMAND...
    INJECT=$INJECT python3 -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.environ.update(NNCLR_INJECT=sys.argv[1], NNCLR_INJECT_FOLDER=os.path.abspath(sys.argv[2]),
                  LD_PRELOAD=os.environ["INJECT"],
                  ASAN_OPTIONS="verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", ""))
os.execvp(sys.argv[3], sys.argv[3:])' "$1" "${stop_below:-run}" "${@:2}" 3>&- &
    pid=$!
}

start() { # PLAN COMMAND...: until it has stopped
    start_unwatched "$@"
    until_stopped
}

is_stopped() { # PID
    grep -q '^State:.T' "/proc/$1/status" 2>/dev/null
}

until_stopped() {
    for _ in $(seq 2000); do
        if is_stopped "$pid"; then return; fi
        sleep 0.01
    done
    echo "never stopped"
    return 1
}

# Sends the signals and lets the program go on.
send() { # [SIGNAL...]
    local signal
    for signal in "$@"; do
        kill "-$signal" "$pid"
    done
    kill -CONT "$pid"
}

ends_with() { # STATUS: that of a shell, 128 + N for signal N
    local status=0
    wait "$pid" || status=$?
    pid=
    [ "$status" -eq "$1" ] || { echo "exit status $status, not $1"; return 1; }
}

# In a teardown: what a failed test left running.
end_left_running() {
    [ -z "${pid:-}" ] || kill -9 "$pid" 2>/dev/null || true
}

# Runs a shell command whose standard output is a pipe that nobody reads any more.
into_closed_pipe() { # COMMAND
    bash -c "exec 3> >(:); wait \$!; exec $1 >&3 3>&-"
}

# Runs a shell command with a terminal as its standard output, and prints what it showed.
in_terminal() { # COMMAND
    script -qec "$1" /dev/null </dev/null
}
