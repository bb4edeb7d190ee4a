# needs: dot neato
# Layouts of a few hundred nodes by several engines, to SVG and PNG.
. "$LIB"
awk 'BEGIN { print "digraph g { rankdir=LR; node [shape=box];"; for (i = 1; i < 200; i++) printf "n%d -> n%d [label=\"e%d\"];\n", i / 2, i, i; for (i = 0; i < 40; i++) printf "n%d -> n%d;\n", i * 7 % 200, i * 13 % 200; print "subgraph cluster_a { n1; n2; n3; label=a } }" }' >g.dot
dot -Tplain g.dot | sums /dev/stdin; dot -Tsvg g.dot | grep -c '<g id='; for e in neato circo twopi; do "$e" -Tplain g.dot | wc -l; done
printf 'digraph { a -> b; b -> c }' | dot -Tpng -o x.png; file -b x.png 2>/dev/null | cut -d, -f1; tred g.dot | wc -l; gc -n g.dot | awk '{ print $1 }'; set +e; echo 'digraph { a -> ' | dot -Tsvg >/dev/null; echo "status $?"
exit 0
