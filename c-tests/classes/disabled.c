// What a thread allocates while it has leaks disabled is no leak, nor is what that points to; pairs nest; other threads are not affected.
// FLAGS: -pthread
// EXPECT: leak 2020 bytes in 2 objects
#include "support.h"
#include <pthread.h>

extern void __lsan_disable(void);
extern void __lsan_enable(void);

static void *other(void *unused) {
  use(malloc(1010)); /* a leak: this thread has not disabled anything */
  return unused;
}

static void build(void *unused) {
  pthread_t thread;
  void **held = (void **)memset(malloc(640), 0, 640); /* before: held by what comes */
  (void)unused;
  __lsan_disable();
  ((void **)use(calloc(1, 320)))[3] = held;
  __lsan_disable();
  use(malloc(160));
  __lsan_enable();
  use(malloc(80));
  CHECK(pthread_create(&thread, NULL, other, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  __lsan_enable();
  use(malloc(1010)); /* a leak: enabled again */
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
