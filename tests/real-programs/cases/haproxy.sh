# needs: haproxy curl python3
# A threaded proxy in front of a loopback server; statistics; a soft stop.
. "$LIB"
mkdir www; words 200 >www/text; (cd www && exec python3 -m http.server --bind 127.0.0.1 "$PORT2" >/dev/null 2>&1) & back=$!; wait_port "$PORT2"
cat >conf <<C
global
  nbthread 2
  maxconn 200
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:$PORT
  http-response set-header X-Through proxy
  acl stop path /stop
  http-request deny deny_status 403 if stop
  default_backend b
backend b
  balance roundrobin
  server s1 127.0.0.1:$PORT2
C
haproxy -q -c -f conf && echo valid; haproxy -q -db -f conf & server=$!; wait_port "$PORT"; u="http://127.0.0.1:$PORT"
for i in $(seq 30); do curl -s "$u/text"; done | sums /dev/stdin; curl -s -o /dev/null -w '%{http_code}\n' "$u/stop" "$u/none"; curl -s -D - -o /dev/null "$u/text" | tr -d '\r' | grep -i x-through
kill -USR1 "$server"; set +e; wait "$server"; echo "status $?"; kill "$back"; wait "$back"; echo "status $?"; exit 0
