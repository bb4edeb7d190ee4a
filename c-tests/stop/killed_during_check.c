// A program that is killed, or exits by _exit, in the middle of a check leaves no helper behind: 20 children.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

extern int __lsan_do_recoverable_leak_check(void);

static void *spin(void *unused) {
  for (;;) free(use(malloc(100)));
  return unused;
}
static void *leave(void *delay) {
  usleep((useconds_t)(uintptr_t)delay);
  _exit(0);
  return NULL;
}

int main(void) {
  for (uintptr_t round = 0; round < 20; round++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      pthread_t thread;
      CHECK(dup2(open("/dev/null", O_WRONLY), 2) == 2);
      for (int i = 0; i < 5; i++) CHECK(pthread_create(&thread, NULL, spin, NULL) == 0);
      if (round % 2) CHECK(pthread_create(&thread, NULL, leave, (void *)(10000 + round * 500)) == 0);
      for (;;) (void)__lsan_do_recoverable_leak_check();
    }
    if (round % 2 == 0) {
      usleep((useconds_t)(10000 + round * 500));
      CHECK(kill(child, SIGKILL) == 0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(round % 2 ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : WIFSIGNALED(status));
  }
  return 0;
}
