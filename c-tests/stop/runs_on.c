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

uintptr_t hidden;
volatile int ready;
void spin_with_pointer(void);
#if defined(__x86_64__)
__asm__(
    ".text\n.type spin_with_pointer, @function\nspin_with_pointer:\n"
    "movq hidden(%rip), %r12\nnotq %r12\nmovl $1, ready(%rip)\n"
    "1: pause\njmp 1b\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n.type spin_with_pointer, %function\nspin_with_pointer:\n"
    "adrp x19, hidden\nldr x19, [x19, :lo12:hidden]\nmvn x19, x19\n"
    "adrp x16, ready\nmov w17, #1\nstr w17, [x16, :lo12:ready]\n"
    "1: yield\nb 1b\n");
#else
#error "how does a thread spin here with a pointer in a register?"
#endif

static void *deaf(void *unused) {
  uint64_t all = ~UINT64_C(0);
  /* libc's function would leave out the signal that stops. */
  CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8) == 0);
  spin_with_pointer();
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
