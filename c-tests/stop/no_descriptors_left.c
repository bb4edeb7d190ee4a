// A check works when every descriptor number is taken (RLIMIT_NOFILE), and takes none of the program's.
// FLAGS: -pthread
// REFERENCE: cannot open /proc/self/maps
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <sys/resource.h>

extern int __lsan_do_recoverable_leak_check(void);
static volatile int ready;

static void *body(void *unused) {
  void *volatile mine = malloc(4242);
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return mine ? unused : NULL;
}

int main(void) {
  struct rlimit limit = {20, 20};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  while (dup(2) >= 0) {
  }
  return __lsan_do_recoverable_leak_check();
}
