// The return value of a thread that has ended and was not joined is reachable.
// FLAGS: -pthread
// REFERENCE: gcc's reports it
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <sys/syscall.h>

static volatile int tid;
static pthread_t thread;

static void *body(void *unused) {
  (void)unused;
  uintptr_t object = hidden_malloc(4242);
  __atomic_store_n(&tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
  return unhide(object);
}

static void build(void *unused) {
  (void)unused;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&tid);
  while (syscall(SYS_tgkill, getpid(), tid, 0) == 0) usleep(1000);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
