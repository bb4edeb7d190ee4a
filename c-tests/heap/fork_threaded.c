// fork() in a program whose other threads are inside malloc all the time: each child allocates, frees, checks and exits; 60 times.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

extern int __lsan_do_recoverable_leak_check(void);
static volatile int stop;

static void *churn(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    void *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = use(malloc((size_t)i * 37));
    for (int i = 0; i < 100; i++) free(blocks[i]);
  }
  return unused;
}

int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
  for (int round = 0; round < repeats(60); round++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      for (int i = 0; i < 1000; i++) free(use(malloc((size_t)i * 17)));
      /* What the other threads held at the fork is lost in the child, or not: that the check ends is what counts. */
      CHECK(dup2(open("/dev/null", O_WRONLY), 2) == 2);
      if (round % 4 == 0) (void)__lsan_do_recoverable_leak_check();
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
