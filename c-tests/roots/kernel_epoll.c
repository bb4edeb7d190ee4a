// A heap object whose only pointer is the user data of a descriptor in an epoll set is reachable.
// REFERENCE: it does not ask the kernel
// EXPECT: clean
#include "support.h"
#include <sys/epoll.h>

static void build(void *unused) {
  (void)unused;
  int ends[2], set = epoll_create1(0);
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN;
  event.data.ptr = malloc(4242);
  CHECK(set >= 0 && pipe(ends) == 0 && epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
