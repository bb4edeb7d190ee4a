# needs: jq
# A large document: grouping, recursion, strings, streams, dates, errors.
. "$LIB"
jq -n '[range(6000) | {id: ., name: "n\(. % 37)", v: [., . * 2], s: (. | tostring)}]' >d.json; sums d.json
jq -c 'group_by(.name) | map({n: .[0].name, c: length, s: (map(.id) | add)}) | sort_by(-.s) | .[0:3]' d.json; jq '[.. | numbers] | length' d.json; jq -r '.[5:8][] | [.id, .name, (.s | test("^[0-9]+$"))] | @csv' d.json
jq -c --stream 'select(length == 2) | .[1]' d.json | wc -l; jq -n '[limit(10; def f: ., (. * 2 | f); 1 | f)] | add'; jq -n -r '1700000000 | todate, ("a,b" | split(",") | @json), ([1, 2] | @base64 "\(.)")'; jq -n 'reduce range(30000) as $i ({}; .["k\($i % 100)"] += $i) | .k42'
set +e; jq -n '{"a": 1} | .a.b'; echo "status $?"; echo '{bad' | jq .; echo "status $?"; echo '[1,[2]]' | jq -e '.[5]'; echo "status $?"
exit 0
