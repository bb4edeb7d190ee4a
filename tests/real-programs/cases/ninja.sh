# needs: ninja gcc
# A parallel build with generated rules, dependency files and a second build that does nothing.
. "$LIB"
{ echo 'rule cc'; echo '  command = gcc -MMD -MF $out.d -c $in -o $out'; echo '  depfile = $out.d'; echo '  deps = gcc'; echo 'rule link'; echo '  command = gcc $in -o $out'; l=; for i in $(seq 25); do echo "int f$i(void) { return $i; }" >"f$i.c"; echo "build f$i.o: cc f$i.c"; l+=" f$i.o"; done; echo 'int main(void) { return 0; }' >main.c; echo 'build main.o: cc main.c'; echo "build prog: link main.o$l"; } >build.ninja
ninja -j4 -v | wc -l; ./prog && echo ran; ninja; touch f7.c; ninja -v | wc -l; ninja -t deps | grep -c deps; ninja -t graph | wc -l; ninja -t clean; set +e; ninja nothing; echo "status $?"
exit 0
