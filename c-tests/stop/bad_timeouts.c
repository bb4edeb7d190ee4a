// A timeout that cannot be read is the kernel's to refuse: EFAULT, and no fault in the wrapper.
// EXPECT: clean
#include "support.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

int main(void) {
  long page = sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED && mprotect(pages + page, (size_t)page, PROT_NONE) == 0);
  /* Not there at all, there without a right to read, and one of which the second half is not there. */
  const struct timespec *bad[] = {(struct timespec *)(uintptr_t)-1, (struct timespec *)(uintptr_t)64,
                                  (struct timespec *)(pages + page), (struct timespec *)(pages + page - 8)};
  sigset_t none;
  sigemptyset(&none);
  for (int i = 0; i < 4; i++) {
    CHECK(nanosleep(bad[i], NULL) == -1 && errno == EFAULT);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, bad[i], NULL) == EFAULT);
    CHECK(sigtimedwait(&none, NULL, bad[i]) == -1 && errno == EFAULT);
  }
  /* One that ends where the page does is good, and what is no time is refused. */
  struct timespec *last = (struct timespec *)(pages + page - (long)sizeof(struct timespec));
  *last = (struct timespec){0, 1000};
  CHECK(nanosleep(last, NULL) == 0);
  *last = (struct timespec){0, 1000000000};
  CHECK(nanosleep(last, NULL) == -1 && errno == EINVAL);
  return 0;
}
