# needs: curl python3
# Downloads, uploads, redirects, parallel transfers and errors against a loopback server.
. "$LIB"
cat >server.py <<'PY'
import http.server, socketserver, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def answer(self, code, body, **headers):
        self.send_response(code)
        for k, v in headers.items(): self.send_header(k, v)
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        if self.path == "/redirect": self.answer(302, b"", Location="/big")
        elif self.path == "/big": self.answer(200, b"0123456789" * 50000)
        elif self.path == "/none": self.answer(404, b"no such thing\n")
        else: self.answer(200, (self.path + "\n").encode())
    def do_POST(self):
        n = int(self.headers.get("Content-Length", 0)); self.answer(200, b"got %d\n" % len(self.rfile.read(n)))
class S(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True; request_queue_size = 100
    def handle_error(self, *a): pass
S(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
PY
python3 server.py "$PORT" & server=$!; wait_port "$PORT"; u="http://127.0.0.1:$PORT"
curl -s "$u/a" "$u/b"; curl -sL "$u/redirect" | sums /dev/stdin; head -c 100000 /dev/zero | curl -s --data-binary @- "$u/post"
curl -s -F 'file=@server.py;filename=x' -F a=b "$u/post" | grep -c got
curl -s --parallel --parallel-max 8 "$u/p/[1-40]" 2>/dev/null | sort | sums /dev/stdin
curl -s -w '%{http_code} %{size_download}\n' -o /dev/null "$u/none"; curl -s -r 0-9 -H 'X-Y: z' "$u/big" | wc -c
set +e; curl -sf "$u/none"; echo "status $?"; curl -s "http://127.0.0.1:$PORT2/"; echo "status $?"; curl -s "file://$PWD/server.py" | sums /dev/stdin
kill "$server"; wait "$server" 2>/dev/null; echo "server $?"
exit 0
