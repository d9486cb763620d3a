# curves.tsv -> a panel for each metric: its course in the runs that differ in more than a number.
set terminal pngcairo size 1200,800 noenhanced font "sans,10"
cells(column) = system(sprintf("awk -F '\\t' 'NR > 1 && $1 !~ /-[0-9.]+$/ && $%d != \"\" && !seen[$1]++ { printf \"%%s \", $1 }' %s", column, data))
rows(cell, column) = sprintf("< awk -F '\\t' '$1 == \"%s\" && $%d != \"\" { print $2 + 1, $%d }' %s", cell, column, column, data)
metrics = system("head -n 1 " . data . " | cut -f 3-")
all = cells(3)
# A cell has one colour in all panels.
colour(cell) = sum [i = 1:words(all)] (word(all, i) eq cell ? i : 0)
set multiplot layout 2, 2 title "the course of the training: means of each epoch, first seed"
set xlabel "epoch"
set grid ytics
set key outside right
do for [column = 3:2 + words(metrics)] {
    set title word(metrics, column - 2)
    plot for [cell in cells(column)] rows(cell, column) using 1:2 with lines lw 2 lc colour(cell) title cell
}
unset multiplot
