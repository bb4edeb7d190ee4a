# needs: gcc setpriv
# A set-user-ID program: its loader ignores the environment, and so must the checker.
. "$LIB"
[ "$(id -u)" = 0 ] || { echo 'only root can make a set-user-ID program' >&2; exit 77; }
printf '#include <stdio.h>\n#include <stdlib.h>\n#include <sys/auxv.h>\n#include <unistd.h>\nint main(void) { void *volatile p = malloc(99); p = 0; printf("%%d %%d %%lu\\n", getuid(), geteuid(), getauxval(AT_SECURE)); return p != 0; }\n' >p.c; gcc -o p p.c; mkdir "$TMPDIR/x"; chmod 755 "$TMPDIR" "$TMPDIR/x" ..; cp p "$TMPDIR/x/p"; chmod 4755 "$TMPDIR/x/p"; chmod 777 ../logs; setpriv --reuid=65534 --clear-groups "$TMPDIR/x/p"
