# needs: sort join comm
# Threads, keys, temporary files, merges.
. "$LIB"
words 120000 5 | awk '{ print (($1 * 7919) % 120011), $3, $4 }' >text
sort --parallel=4 -S 1M -n text | sums /dev/stdin; sort --parallel=2 -k2,2 -k1,1nr text | sums /dev/stdin; sort -u -k3,3 --parallel=4 text | cut -d' ' -f3
split -n l/4 text p.; for f in p.*; do sort -n "$f" -o "$f"; done; sort -n -m p.* | sort -n -c && echo sorted
sort -k2,2 text | sed -n 1,1000p >x; sort -k2,2 text | tail -1000 >y; join -1 2 -2 2 x y | wc -l; comm -12 <(cut -d' ' -f2 x | sort -u) <(cut -d' ' -f2 y | sort -u) | wc -l
shuf --random-source=text -n 5 text | wc -l; sort -R --random-source=text text | wc -l; tac text | sums /dev/stdin; set +e; sort missing; echo "status $?"
exit 0
