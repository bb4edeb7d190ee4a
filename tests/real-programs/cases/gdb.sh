# needs: gdb gcc
# Debugs a program with threads: breakpoints, backtraces, a watchpoint, Python, a crash.
. "$LIB"
cat >p.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
int hits; struct list { int n; struct list *next; };
static struct list *push(struct list *l, int n) { struct list *e = malloc(sizeof *e); e->n = n; e->next = l; hits++; return e; }
static void *work(void *a) { struct list *l = 0; for (int i = 0; i < 5; i++) l = push(l, i); while (l) { struct list *n = l->next; free(l); l = n; } return a; }
int main(int argc, char **argv) { pthread_t t[2]; for (int i = 0; i < 2; i++) { pthread_create(&t[i], 0, work, 0); pthread_join(t[i], 0); } if (argc > 1) *(volatile int *)0 = 1; printf("hits %d\n", hits); return 3; }
C
gcc -g -O0 -pthread p.c -o p
cat >cmds <<'G'
set pagination off
set confirm off
set print thread-events off
set debuginfod enabled off
break push if n == 3
run
bt 2
print *l
print $_siginfo.si_signo
continue
info breakpoints
delete
python print(sum(i.sizeof for i in [gdb.lookup_type('struct list')]))
watch hits
continue
print hits
delete
continue
G
clean() { sed -E -e 's/0x[0-9a-f]+/ADDR/g' -e 's/Thread ADDR \(LWP [0-9]+\)/Thread/g' -e 's/LWP [0-9]+/LWP/g' -e 's/process [0-9]+/process/g' -e 's/Thread ADDR//g' -e '/libthread_db|^Using host|debuginfo|auto-load|Debugger|^warning: (Error disabling|opening)/d'; }
gdb -nx -q -batch -x cmds ./p 2>&1 | clean
gdb -nx -q -batch -ex run -ex bt -ex kill --args ./p crash 2>&1 | clean | grep -E 'SIGSEGV|#0|killed'
gdb -nx -q -batch -ex 'disassemble main' -ex 'info line work' -ex 'ptype struct list' ./p | clean | wc -l
