// A heap object whose only pointer is the value of a queued signal is reachable.
// REFERENCE: it does not ask the kernel
// EXPECT: clean
#include "support.h"
#include <signal.h>

static void build(void *unused) {
  (void)unused;
  sigset_t blocked;
  union sigval value;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGRTMIN + 2);
  CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
  value.sival_ptr = malloc(4242);
  CHECK(sigqueue(getpid(), SIGRTMIN + 2, value) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
