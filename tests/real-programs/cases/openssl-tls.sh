# needs: openssl
# s_server and s_client on loopback: full handshakes, a resumed session, and a refused one.
. "$LIB"
openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=localhost -days 2 -out c.pem 2>/dev/null
openssl s_server -accept "127.0.0.1:$PORT" -key k.pem -cert c.pem -www -quiet >server.out 2>server.err & server=$!
wait_port "$PORT"
get() { printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect "127.0.0.1:$PORT" -CAfile c.pem -quiet -ign_eof "$@" 2>/dev/null | grep -cE 'HTTP/1.0 200|Secure Renegotiation' || true; }
for v in -tls1_2 -tls1_3; do get "$v"; get "$v"; done
openssl s_client -connect "127.0.0.1:$PORT" -tls1_2 -sess_out sess </dev/null >/dev/null 2>&1; openssl s_client -connect "127.0.0.1:$PORT" -tls1_2 -sess_in sess </dev/null 2>/dev/null | grep -o Reused
openssl s_client -connect "127.0.0.1:$PORT" -CAfile c.pem -verify_return_error </dev/null 2>/dev/null | grep 'Verify return code' | sed -n 1,1p
set +e; openssl s_client -connect "127.0.0.1:$PORT" -ssl_client_engine none </dev/null >/dev/null 2>&1; echo "status $?"
kill "$server"; wait "$server" 2>/dev/null; echo "server $?"
exit 0
