# needs: gcc
# Programs that no preloaded library reaches: static ones, and their dynamic children. Nothing may be printed about it.
. "$LIB"
printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(int c, char **v) { char *p = malloc(100); strcpy(p, "static"); puts(p); fflush(stdout); if (c > 1) return system("echo child; exit 3") >> 8; free(p); return 4; }\n' >p.c; gcc -static -o s p.c; gcc -static-pie -o sp p.c; set +e; ./s; echo "status $?"; ./sp; echo "status $?"; ./s x; echo "status $?"; ldconfig -p | grep -c 'libc.so.6'; exit 0
