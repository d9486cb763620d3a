# OUT/CELL.SEED.accuracy... -> cell, method, seeds, mean and deviation of top1, n
BEGIN {
    FS = OFS = "\t"
    print "cell", "method", "seeds", "top1_mean", "top1_std", "n"
}
FNR == 1 {
    for (i = 1; i <= NF; i++)
        column[$i] = i
    cell = FILENAME
    sub(/.*\//, "", cell)
    sub(/(\.[0-9]+)?\.accuracy$/, "", cell)
    next
}
{
    key = cell OFS $column["method"]
    if (!(key in count))
        order[++keys] = key
    value = $column["top1"]
    delta = value - mean[key]
    mean[key] += delta / ++count[key]
    square[key] += delta * (value - mean[key])
    n[key] = $column["n"]
}
END {
    for (i = 1; i <= keys; i++) {
        key = order[i]
        deviation = count[key] > 1 ? sprintf("%.4f", sqrt(square[key] / (count[key] - 1))) : ""
        print key, count[key], sprintf("%.4f", mean[key]), deviation, n[key]
    }
}
