# needs: groff man tbl
# Manual pages through the whole troff pipeline, with tables and equations.
. "$LIB"
{ echo '.TH DEMO 1 2020-01-01'; echo '.SH NAME'; echo 'demo \- shows'; for i in $(seq 200); do printf '.SH SECTION %d\n.PP\n.B bold\n.I italic\n%s\n' "$i" "$(words 1 "$i")"; done; printf '.TS\nbox;\nl r.\na\t1\nb\t22\n.TE\n.EQ\nx = { a + b } over c\n.EN\n'; } >demo.1
groff -t -e -man -Tutf8 -P-c demo.1 | sums /dev/stdin; groff -t -man -Tps demo.1 | grep -c '^%%Page:'; man -l -P cat demo.1 2>/dev/null | col -b 2>/dev/null | sed -n 1,3p; printf '.PS\nbox "a"; arrow; circle "b"\n.PE\n' | groff -p -Tascii | grep -c . ; groff -man -Thtml demo.1 2>/dev/null | grep -c '<h2' || true
