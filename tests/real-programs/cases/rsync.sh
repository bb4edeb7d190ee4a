# needs: rsync
# Copies, deltas, deletions, and a daemon on loopback.
. "$LIB"
mkdir -p a/x; for i in $(seq 80); do words 40 "$i" >"a/x/$i"; done; head -c 3000000 /dev/zero >a/big; words 5000 >>a/big
rsync -a a/ b; diff -r a b && echo same; echo more >>a/big; rm a/x/5; rsync -a --delete --no-whole-file --stats a/ b | grep -E 'Number of (deleted|regular files transferred)'; diff -r a b && echo same; rsync -an --itemize-changes --delete a/ b/ | wc -l
printf 'port = %s\naddress = 127.0.0.1\npid file = %s/pid\nlog file = %s/log\nuse chroot = no\n[m]\n path = %s/a\n read only = yes\n' "$PORT" "$PWD" "$PWD" "$PWD" >conf
[ "$(id -u)" = 0 ] && printf ' uid = 0\n gid = 0\n' >>conf
rsync --daemon --config=conf --no-detach & daemon=$!; wait_port "$PORT"; rsync -az --checksum "rsync://127.0.0.1:$PORT/m/" c; diff -r a c && echo same; rsync "rsync://127.0.0.1:$PORT/" | tr -d ' \t'; kill "$daemon"; set +e; wait "$daemon"; echo "daemon $?"; rsync -a missing/ d 2>&1 | sed 's/ at .*//'
exit 0
