# needs: gawk mawk
# Both awks: associative arrays, functions, regular expressions, pipes, printf.
. "$LIB"
words 20000 >text
for a in gawk mawk; do
  "$a" '{ for (i = 2; i <= NF; i++) { c[$i]++; p[$i, NR % 7]++ } s = s substr($2, 1, 1) } END { for (w in c) print w, c[w] | "sort"; close("sort"); n = 0; for (k in p) n += p[k]; print n, length(s) }' text
  "$a" 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(18); "echo child" | getline x; print x; s = "a1b22"; gsub(/[0-9]+/, "#", s); print s, toupper(s), split("a,b,c", q, ","), q[3]; printf "%05d %.3f %x\n", 42, 3.14159, 255; while ((getline l < "text") > 0) n += length(l); print n; exit 3 }' || echo "status $?"
done
gawk 'BEGIN { a["x"]["y"] = 1; PROCINFO["sorted_in"] = "@ind_str_asc"; for (i = 0; i < 5000; i++) b[i % 100][i] = i; print length(b), length(b[5]), gensub(/(.)(.)/, "\\2\\1", "g", "abcd"), strftime("%F", 0, 1) }'
