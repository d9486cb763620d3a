# shellcheck shell=bash
# What the scripts that compare with a peer share; sourced by them.

# Each is of the numbers on standard input, one per line.
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
spread() { sort -g | awk 'NR == 1 { low = $1 } END { printf "%.4g..%.4g", low, $1 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# The median step of a training run, in pictures/s, each of them two views; two steps warm up.
run_rate() { # RUN
    tail -n +3 "$1/metrics.jsonl" | sed -E 's/.*"images_per_s": ?([0-9.eE+-]+).*/\1/' | median
}

# A file of views that nnclr-pretrain --views reads, as wide as SIZE.
make_views() { # BIN_FOLDER SIZE FILE SHARD
    "$1/nnclr-views" -q --preset tiny --augment byol --size "$2" --order training --u8 -o "$3" "$4"
}

# PyTorch at its best: huge pages, and none returned to the system between steps.
at_best() { # COMMAND...
    env OMP_PROC_BIND=true \
        GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=34359738368:glibc.malloc.trim_threshold=68719476736:glibc.malloc.top_pad=268435456 \
        "$@"
}
