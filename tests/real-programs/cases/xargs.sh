# needs: find xargs
# find with expressions, xargs with parallel children.
. "$LIB"
for d in $(seq 30); do mkdir -p "t/$d/e"; for i in 1 2 3 4 5; do words "$i" "$d" >"t/$d/e/$i.txt"; done; done
find t -name '*.txt' -print0 | xargs -0 -P4 -n7 sha256sum | sort | sums /dev/stdin; find t -type f -size -2 -name '3*' -exec wc -l {} + | tail -1; find t -depth -type d -empty; find t -regex '.*/1[0-9]/e/[12].txt' -printf '%s %p\n' | sort | sed -n 1,3p
seq 200 | xargs -P8 -I{} sh -c 'echo $(({} * 2))' | sort -n | tail -1; find t -name '5.txt' -delete; find t | wc -l; set +e; seq 3 | xargs -n1 sh -c 'exit $(($0 % 2))'; echo "status $?"; find missing; echo "status $?"
exit 0
