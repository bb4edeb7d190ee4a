// A thread that waits for its vfork child cannot be stopped: the check ends all the same, long before that child does.
// FLAGS: -pthread -Wno-deprecated-declarations
// TIMEOUT: 40
// REFERENCE: hangs until the child ends
// EXPECT: status 0
#include "support.h"
#include <pthread.h>
#include <sys/wait.h>

extern int __lsan_do_recoverable_leak_check(void);
static volatile int in_child;

static void *body(void *unused) {
  pid_t child = vfork();
  if (child == 0) {
    in_child = 1;
    sleep(6);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  return unused;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&in_child);
  uint64_t start = now_ns();
  (void)__lsan_do_recoverable_leak_check();
  uint64_t took = now_ns() - start;
  CHECK(took < UINT64_C(4000000000));
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
