# needs: tar gzip bzip2
# Archives with links and long names, compressed by children, listed, compared and extracted.
. "$LIB"
mkdir -p t/a/b; for i in $(seq 60); do words 30 "$i" >"t/a/f$i"; done; ln -s a/f1 t/link; ln t/a/f2 t/hard; long=$(printf 'n%.0s' $(seq 120)); echo x >"t/a/b/$long"; truncate -s 5M t/sparse
for c in --gzip --bzip2 ''; do tar -c $c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -Sf x.tar t; mkdir out; tar -x $c -f x.tar -C out; diff -r t out/t && echo same; tar -t $c -f x.tar | wc -l; rm -r out; done
echo y >>t/a/f3; set +e; tar -df x.tar 2>&1 | sed 's,.*: ,,' | sort | uniq -c; tar -xf missing.tar; echo "status $?"
exit 0
