// A pointer that only a vector register of a thread in a system call holds (inlined syscall) is never called a leak, in place and on a snapshot.
// FLAGS: -pthread
// REFERENCE: reachable there
// EXPECT: possible 4242 bytes in 1 object
// EXPECT-WITH snapshot=1: possible 4242 bytes in 1 object
// STDERR: a snapshot was scanned
// EXPECT-WITH use_registers=0: leak 4242 bytes in 1 object
// ARGS: leak
#include "support.h"
#include <pthread.h>

#if defined(__x86_64__)
extern int __lsan_do_recoverable_leak_check(void);

uintptr_t hidden;
volatile int ready;
void wait_with_xmm(void);
/* pause(2) leaves all but rax, rcx and r11 alone. */
__asm__(
    ".text\n.type wait_with_xmm, @function\nwait_with_xmm:\n"
    "movq hidden(%rip), %rax\nnotq %rax\nmovq %rax, %xmm9\nxorl %eax, %eax\nmovl $1, ready(%rip)\n"
    "1: movl $34, %eax\nsyscall\njmp 1b\n");

static void *holder(void *unused) {
  wait_with_xmm();
  return unused;
}

int main(int count, char **arguments) {
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  usleep(20000);
  /* Calls only what is possible no leak; the check at exit says what it is. */
  CHECK(__lsan_do_recoverable_leak_check() == (count > 1));
  (void)arguments;
  return 0;
}
#else
int main(void) { skip("written for x86-64"); }
#endif
