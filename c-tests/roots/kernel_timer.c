// A heap object whose only pointer is the value of a POSIX timer is reachable.
// FLAGS: -lrt
// REFERENCE: it does not ask the kernel
// EXPECT: clean
#include "support.h"
#include <signal.h>
#include <time.h>

static void build(void *unused) {
  (void)unused;
  timer_t timer;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  event.sigev_value.sival_ptr = malloc(4242);
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
