// What only a register of a thread that could not be stopped holds is never called a leak: the check is incomplete.
// FLAGS: -pthread
// REFERENCE: stops by ptrace alone
// EXPECT: clean
// EXPECT-WITH ptrace=0:deadline_ms=200: status 0
// STDERR: Standstill: incomplete
// STDERR: did not stop in time
// STDERR-NOT: detected memory leaks
#include "spin.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

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
