# needs: gzip bzip2 lz4 brotli zip unzip
# Small compressors, one after the other, and corrupt files.
. "$LIB"
words 20000 >text; for c in "gzip -n" bzip2 lz4 "brotli -q 5"; do n=${c%% *}; $c -c <text >"x.$n"; "$n" -dc <"x.$n" | cmp - text && sums "x.$n"; done 2>/dev/null
mkdir d; for i in $(seq 40); do words 10 "$i" >"d/$i"; done; zip -q -r -X a.zip d text; unzip -l a.zip | tail -1; unzip -q a.zip -d out; diff -r d out/d && echo same; zip -q -P secret e.zip text; unzip -p -P secret e.zip | cmp - text && echo same
set +e; head -c 20000 x.gzip | gzip -dc >/dev/null; echo "status $?"; head -c 2000 x.bzip2 | bzip2 -dc >/dev/null 2>&1; echo "status $?"; unzip -tq text >/dev/null 2>&1; echo "status $?"; exit 0
