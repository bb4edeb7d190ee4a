# needs: gcc ar nm objdump readelf strip objcopy ld.gold
# Archives, symbols, disassembly, stripping, linking by ld.bfd and ld.gold.
. "$LIB"
for i in $(seq 30); do printf 'int v%d = %d; int f%d(int x) { return x * v%d; } static const char *s%d = "string %d"; const char *g%d(void) { return s%d; }\n' "$i" "$i" "$i" "$i" "$i" "$i" "$i" "$i" >"f$i.c"; done
printf 'int f7(int); int main(void) { return f7(6) - 42; }\n' >main.c; gcc -g -c ./*.c; ar rcsD lib.a f*.o; nm lib.a | grep -c ' T '; gcc main.o lib.a -o bfd && ./bfd && echo bfd; gcc -fuse-ld=gold main.o lib.a -o gold && ./gold && echo gold
objdump -d lib.a | sums /dev/stdin; readelf -aW f1.o | wc -l; readelf --debug-dump=info f2.o | grep -c DW_TAG; objcopy --only-keep-debug bfd bfd.debug; strip bfd; objcopy --add-gnu-debuglink=bfd.debug bfd; ./bfd && echo stripped; ld -r f1.o f2.o -o r.o; size r.o | tail -1; strings -n 6 f3.o | grep string; addr2line -e gold -f main 0x0 | sed -n 1p; echo _ZN3foo3barEi | c++filt
as -o a.o <<<'.globl q; q: ret'; nm a.o; set +e; ld main.o -o x 2>&1 | grep -c undefined; readelf -h main.c 2>&1 | sed -n 1p; exit 0
