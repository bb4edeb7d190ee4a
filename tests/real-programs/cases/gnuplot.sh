# needs: gnuplot
# Plots to text and SVG, a fit, functions.
. "$LIB"
awk 'BEGIN { for (i = 0; i < 500; i++) print i / 50, sin(i / 50) + (i * 7919 % 100) / 1000 }' >d
cat >p <<'G'
set terminal dumb 60 18; plot sin(x) notitle, 'd' every 20 notitle
set terminal svg; set output 'o.svg'; splot x**2 + y**2 notitle
set output; set fit quiet logfile 'l'; f(x) = a * sin(b * x) + c; a = 1; b = 1.1; c = 0; fit f(x) 'd' via a, b, c; print sprintf('%.3f %.3f %.3f', a, b, c)
do for [i=1:300] { s = sprintf('%d', i); v = i**2 }; print v, strlen(s); stats 'd' nooutput; print sprintf('%.4f', STATS_mean_y)
G
gnuplot p; grep -c '<path' o.svg; set +e; gnuplot -e 'plot nothing' 2>&1 | grep -c undefined; exit 0
