# needs: rg
# A parallel search through a tree, with an allocator of its own inside or not.
. "$LIB"
for d in a b c d; do mkdir -p "t/$d"; for i in $(seq 40); do words 60 "$i" >"t/$d/f$i"; done; done; printf 'binary\0data harbor\n' >t/bin
rg --sort path -c 'harbor.*quarry' t | sums /dev/stdin; rg -j4 -o --no-filename '\b[a-f]\w+r\b' t | sort | uniq -c; rg --sort path -l -i AMBER t | wc -l; rg -j4 --json tundra t | grep -c '"type":"match"'
rg -U --sort path 'delta[^\n]*\n[^\n]*delta' t/a/f1 | wc -l; rg --files t | wc -l; rg -P --sort path '(?<=cedar )delta' t/a/f2 | sed -n 1,2p || true
set +e; rg nothinglikethis t; echo "status $?"; rg '(' t 2>&1 | sed -n 1,1p
exit 0
