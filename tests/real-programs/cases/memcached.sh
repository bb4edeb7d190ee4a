# needs: memcached
# A threaded server over TCP and a UNIX socket; slabs filled until it evicts; an orderly end.
. "$LIB"
user=(); [ "$(id -u)" = 0 ] && user=(-u root)
memcached "${user[@]}" -l 127.0.0.1 -p "$PORT" -U 0 -t 4 -m 8 & server=$!; wait_port "$PORT"
exec 3<>"/dev/tcp/127.0.0.1/$PORT"
value=$(printf 'v%.0s' $(seq 2000))
for i in $(seq 400); do printf 'set k%d 0 0 2000 noreply\r\n%s\r\n' "$i" "$value" >&3; done
printf 'get k400\r\nset n 0 0 1\r\n5\r\nincr n 37\r\ndelete k399\r\nget k399\r\nbad\r\nversion\r\nquit\r\n' >&3; tr -d '\r' <&3 | sed -e 's/^VERSION.*/VERSION/' | cut -c1-40; exec 3>&-
for c in $(seq 20); do (exec 3<>"/dev/tcp/127.0.0.1/$PORT"; printf 'get n\r\nquit\r\n' >&3; tr -d '\r' <&3 | sed -n 2p); done | sort | uniq -c
kill -TERM "$server"; set +e; wait "$server"; echo "status $?"; exit 0
