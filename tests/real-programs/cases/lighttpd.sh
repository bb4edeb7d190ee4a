# needs: lighttpd curl ab
# Static files, directory listing, CGI children, errors; then a graceful end.
. "$LIB"
mkdir www; words 300 >www/text; printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\ncgi $QUERY_STRING\\n"\n' >www/x.cgi; chmod +x www/x.cgi
cat >conf <<C
server.document-root = "$PWD/www"
server.port = $PORT
server.bind = "127.0.0.1"
server.errorlog = "$PWD/error"
server.modules = ( "mod_cgi", "mod_dirlisting" )
cgi.assign = ( ".cgi" => "" )
dir-listing.activate = "enable"
mimetype.assign = ( "" => "text/plain" )
C
lighttpd -D -f conf & server=$!; wait_port "$PORT"; u="http://127.0.0.1:$PORT"
curl -s "$u/text" | sums /dev/stdin; for i in 1 2 3; do curl -s "$u/x.cgi?n=$i"; done; curl -s "$u/" | grep -c text; curl -s -o /dev/null -w '%{http_code}\n' "$u/none"; ab -q -n 1500 -c 20 "$u/text" | grep -E '^(Complete|Failed) requests'
kill -INT "$server"; set +e; wait "$server"; echo "status $?"; exit 0
