# needs: socat
# Relays between sockets, pipes, files and children, forking for each connection.
. "$LIB"
words 3000 >text; socat "TCP-LISTEN:$PORT,bind=127.0.0.1,reuseaddr,fork" EXEC:'tr a-z A-Z' & a=$!; socat "UNIX-LISTEN:$TMPDIR/s,fork" "TCP:127.0.0.1:$PORT" & b=$!; wait_port "$PORT"; wait_file "$TMPDIR/s"
socat -t5 - "TCP:127.0.0.1:$PORT" <text | sums /dev/stdin; for i in 1 2 3 4 5; do echo "number $i" | socat -t5 - "UNIX-CONNECT:$TMPDIR/s"; done; socat -u FILE:text - | sums /dev/stdin; echo hi | socat - SYSTEM:'cat; echo there'; socat -u EXEC:'seq 3',pty,raw -
kill "$a" "$b"; set +e; wait "$a"; echo "status $?"; wait "$b"; echo "status $?"
exit 0
