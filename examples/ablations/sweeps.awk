# run.json of the base, then table.tsv -> parameter, value, method, mean and deviation of top1
BEGIN {
    OFS = "\t"
    print "parameter", "value", "method", "top1_mean", "top1_std"
}
FILENAME ~ /\.json$/ { # one setting a line; the last number of proj is the embedding's
    gsub(/[",:]/, " ")
    if ($1 ~ /^(queue|batch|neighbours|temperature)$/)
        base[$1] = $2 + 0
    if ($1 == "proj")
        inside = 1
    else if (inside && $1 == "]")
        inside = 0
    else if (inside)
        base["dim"] = $1
    next
}
FNR == 1 {
    FS = "\t"
    next
}
{
    $0 = $0 # split at tabs from here on
    if ($1 == "base")
        for (parameter in base)
            rows[parameter] = rows[parameter] row(parameter, base[parameter])
    else if (match($1, /-[0-9.]+$/)) {
        parameter = substr($1, 1, RSTART - 1)
        rows[parameter] = rows[parameter] row(parameter, substr($1, RSTART + 1))
    }
}
function row(parameter, value) {
    return parameter OFS value OFS $2 OFS $4 OFS $5 "\n"
}
END {
    for (parameter in rows)
        if (split(rows[parameter], lines, "\n") > 2) # more than the base
            printf "%s", rows[parameter] | "sort -t '\t' -k 3,3 -k 1,1 -k 2,2g"
}
