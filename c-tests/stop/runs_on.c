// What only a register of a thread that could not be stopped holds is never called a leak: the check is incomplete.
// FLAGS: -pthread
// REFERENCE: stops by ptrace alone
// EXPECT: clean
// EXPECT-WITH ptrace=0:deadline_ms=200: status 0
// STDERR: Standstill: incomplete
// STDERR: did not stop in time
// STDERR-NOT: detected memory leaks
#include "support.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
uintptr_t hidden;
volatile int ready;
void spin_with_r12(void);
__asm__(
    ".text\n.type spin_with_r12, @function\nspin_with_r12:\n"
    "movq hidden(%rip), %r12\nnotq %r12\nmovl $1, ready(%rip)\n"
    "1: pause\njmp 1b\n");

static void *deaf(void *unused) {
  uint64_t all = ~UINT64_C(0);
  /* libc's function would leave out the signal that stops. */
  CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
  spin_with_r12();
  return unused;
}

static void *waits(void *unused) {
  for (;;) pause();
  return unused;
}

int main(void) {
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, waits, NULL) == 0 && pthread_create(&thread, NULL, deaf, NULL) == 0);
  await(&ready);
  return 0;
}
#else
int main(void) { skip("written for x86-64"); }
#endif
