# needs: xz
# Threads, several filters, a corrupt file.
. "$LIB"
words 60000 >text
xz -k -T2 -3 --block-size=512KiB text; sums text.xz; xz -dc -T2 text.xz | cmp - text && echo same; xz -l --robot text.xz | grep -c file
xz --format=lzma -1 -c text | xz -dc --format=lzma | sums /dev/stdin; xz --x86 --lzma2=preset=1 -c text | xz -dc | sums /dev/stdin
head -c 50000 text.xz >cut.xz; set +e; xz -dc cut.xz >/dev/null; echo "status $?"; xz -t text; echo "status $?"
exit 0
