// A program with threads that execs while a check is running is not frozen: 30 children, exec by main or by a worker at changing moments.
// FLAGS: -pthread
// TIMEOUT: 90
// REFERENCE: kills the program now and then
// EXPECT: clean
#include "support.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

extern int __lsan_do_recoverable_leak_check(void);

static int delay;

static void *spin(void *unused) {
  for (;;) free(use(malloc(100)));
  return unused;
}
static void *check(void *unused) {
  for (;;) (void)__lsan_do_recoverable_leak_check();
  return unused;
}
static void *exec_it(void *unused) {
  usleep((useconds_t)delay);
  execl("/bin/true", "true", (char *)NULL);
  _exit(98);
  return unused;
}

int main(void) {
  for (int round = 0; round < 30; round++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      pthread_t thread;
      CHECK(dup2(open("/dev/null", O_WRONLY), 2) == 2);
      delay = round * 400;
      for (int i = 0; i < 3; i++) CHECK(pthread_create(&thread, NULL, spin, NULL) == 0);
      CHECK(pthread_create(&thread, NULL, check, NULL) == 0);
      if (round % 2) exec_it(NULL);
      CHECK(pthread_create(&thread, NULL, exec_it, NULL) == 0);
      for (;;) pause();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  return 0;
}
