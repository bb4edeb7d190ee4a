# needs: zstd
# Threads, levels, a trained dictionary, a benchmark, a corrupt file.
. "$LIB"
words 100000 >text; mkdir s; for i in $(seq 200); do words 12 "$i" >"s/$i"; done
zstd -q -T2 -8 text -o a.zst; sums a.zst; zstd -dqc a.zst | cmp - text && echo same; zstd -q --ultra -20 -c s/1 | zstd -dqc | sums /dev/stdin
zstd -q --train s/* -o dict --maxdict=8192 2>/dev/null; zstd -q -D dict s/5 -o d.zst; zstd -q -d -D dict -c d.zst | cmp - s/5 && echo dictionary
zstd -q -T2 --long=24 -c text | zstd -dqc --long=24 | sums /dev/stdin; zstd -q --format=gzip -c text | zstd -dqc | sums /dev/stdin
head -c 3000 a.zst >cut.zst; set +e; zstd -dqc cut.zst >/dev/null; echo "status $?"
exit 0
