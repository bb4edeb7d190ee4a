# needs: busybox
# Many small programs in one binary; its shell, awk, tar, httpd.
. "$LIB"
words 2000 >text; busybox sh -c 'i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; echo $i; for f in a b; do echo $f | busybox tr a-z A-Z; done; (exit 3); echo $?'
busybox awk '{ c[$2]++ } END { for (w in c) print w, c[w] }' text | busybox sort | busybox sed -n 1,3p; busybox gzip -c text | busybox gunzip -c | busybox sha256sum; mkdir d; busybox cp text d; busybox tar cf a.tar d; busybox tar tf a.tar; busybox grep -c harbor text; busybox find . -name 'te*' | busybox sort; busybox vi --help 2>&1 | busybox sed -n 1p | cut -c1-7; echo '2 3 + p' | busybox dc 2>/dev/null || true; busybox seq 5 | busybox xargs -n2 busybox echo; busybox diff text d/text && echo same; busybox bzip2 -c text | busybox bunzip2 -c | busybox md5sum; busybox expr 6 '*' 7
