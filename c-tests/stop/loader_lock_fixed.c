// The same in a program at a fixed address whose segments lie apart, as linkers for larger pages make them: neither its bias nor what the loader calls the start of its image is where its headers are.
// FLAGS: -pthread -rdynamic -fno-pie -no-pie -Wno-unused-command-line-argument -Wl,-z,max-page-size=0x100000
// PLUGIN: lib_waits.c
// TIMEOUT: 60
// REFERENCE: takes the lock
// EXPECT: clean
// EXPECT-WITH ptrace=0: clean
extern int __lsan_do_recoverable_leak_check(void);
#include "loader_lock.c"
