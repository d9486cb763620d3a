# OUT/CELL.SEED.run/metrics.jsonl... -> the means of each epoch: cell, epoch and some of the metrics
BEGIN {
    OFS = "\t"
    count = split("loss nn_acc nn_initial z_rank", names, " ")
    printf "cell\tepoch"
    for (i = 1; i <= count; i++)
        printf "\t%s", names[i]
    print ""
}
FNR == 1 || number("epoch") != epoch { end_epoch() }
FNR == 1 {
    cell = FILENAME
    sub(/\.[0-9]+\.run\/metrics\.jsonl$/, "", cell)
    sub(/.*\//, "", cell)
}
{
    epoch = number("epoch")
    for (i = 1; i <= count; i++) {
        value = number(names[i])
        if (value != "") {
            sum[i] += value
            steps[i]++
        }
    }
}
END { end_epoch() }
function end_epoch() {
    if (cell != "") {
        printf "%s\t%s", cell, epoch
        for (i = 1; i <= count; i++)
            printf "\t%s", steps[i] ? sum[i] / steps[i] : ""
        print ""
    }
    split("", sum)
    split("", steps)
}
# A number of this line; empty if it is null.
function number(name) {
    return match($0, "\"" name "\":-?[0-9][^,}]*") ? \
        substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : ""
}
