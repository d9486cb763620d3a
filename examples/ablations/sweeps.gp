# sweeps.tsv -> a panel for each parameter: accuracy by the first method, mean and deviation.
set terminal pngcairo size 1200,700 noenhanced font "sans,10"
parameters = system("awk -F '\\t' 'NR > 1 && !seen[$1]++ { printf \"%s \", $1 }' " . data)
method = system("awk -F '\\t' 'NR == 2 { print $3 }' " . data)
rows(p) = sprintf("< awk -F '\\t' '$1 == \"%s\" && $3 == \"%s\" { print $2, $4, $5 + 0 }' %s", p, method, data)
columns = words(parameters) < 3 ? 2 : 3
set multiplot layout (words(parameters) + columns - 1) / columns, columns \
    title "top-1 accuracy (" . method . ") where one setting changes: mean and deviation over the seeds"
set logscale x 2
set offsets graph 0.05, graph 0.05, graph 0.05, graph 0.05
set grid ytics
set key off
do for [p in parameters] {
    set xlabel p
    plot rows(p) using 1:2:xtic(1) with lines lc rgb "#1f5fa8", \
         rows(p) using 1:2:3 with errorbars pt 7 lc rgb "#1f5fa8"
}
unset multiplot
