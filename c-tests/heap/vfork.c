// vfork children that exec or _exit leave the heap and the check alone; 50 of them, in a program with threads.
// FLAGS: -pthread -Wno-deprecated-declarations
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <sys/wait.h>

static volatile int stop;

static void *churn(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) free(use(malloc(100)));
  return unused;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, churn, NULL) == 0);
  for (int round = 0; round < 50; round++) {
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
      if (round % 2) execl("/bin/true", "true", (char *)NULL);
      _exit(round % 2 ? 1 : 0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
