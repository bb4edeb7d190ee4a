# needs: nginx curl ab
# A master and two workers with an access log, gzip and a proxy to itself, under load; a reload, then a graceful quit.
. "$LIB"
mkdir -p www tmp logs; words 500 >www/text; echo "<h1>hello</h1>" >www/index.html
user=; [ "$(id -u)" = 0 ] && user="user root;"
cat >nginx.conf <<N
$user
daemon on; worker_processes 2; pid $PWD/pid; error_log $PWD/logs/error notice;
events { worker_connections 256; }
http {
  access_log $PWD/logs/access; client_body_temp_path tmp/c; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f; uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
  gzip on; gzip_min_length 10; gzip_types text/plain; default_type text/plain;
  server { listen 127.0.0.1:$PORT; root $PWD/www; location /p/ { proxy_pass http://127.0.0.1:$PORT/; } location = /r { return 302 /text; } }
}
N
nginx -p "$PWD" -c nginx.conf; wait_port "$PORT"; wait_file pid; pid=$(cat pid)
curl -s "http://127.0.0.1:$PORT/"; curl -s "http://127.0.0.1:$PORT/p/text" | sums /dev/stdin; curl -s --compressed "http://127.0.0.1:$PORT/text" | sums /dev/stdin
curl -s -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$PORT/r" "http://127.0.0.1:$PORT/none"
ab -q -n 3000 -c 20 -k "http://127.0.0.1:$PORT/text" | grep -E '^(Complete|Failed) requests'
ab -q -n 500 -c 10 "http://127.0.0.1:$PORT/p/text" | grep -E '^(Complete|Failed) requests'
nginx -p "$PWD" -c nginx.conf -s reload 2>/dev/null; sleep 0.3; curl -s "http://127.0.0.1:$PORT/"
nginx -p "$PWD" -c nginx.conf -s quit 2>/dev/null; wait_gone "$pid"; grep -c ' 200 ' logs/access; grep -cE '\[(alert|emerg|crit)\]' logs/error || true
