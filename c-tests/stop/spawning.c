// Threads that start programs all the time, by vfork and by posix_spawn: no check misses a thread, or takes a child that has
// just run its program for one of the threads.
// FLAGS: -pthread -Wno-deprecated-declarations
// TIMEOUT: 120
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

enum { THREADS = 4, CHECKS = 150 };

extern int __lsan_do_recoverable_leak_check(void);
static volatile int end;
static char *arguments[] = {"/bin/true", NULL}, *environment[] = {NULL};

static void await_end_of(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *spawns(void *unused) {
  while (!end) {
    pid_t child;
    CHECK(posix_spawn(&child, arguments[0], NULL, NULL, arguments, environment) == 0);
    await_end_of(child);
  }
  return unused;
}

static void *vforks(void *unused) {
  while (!end) {
    pid_t child = vfork();
    if (child == 0) {
      execve(arguments[0], arguments, environment);
      _exit(1);
    }
    CHECK(child > 0);
    await_end_of(child);
  }
  return unused;
}

int main(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, i % 2 ? spawns : vforks, NULL) == 0);
  for (int i = 0; i < repeats(CHECKS); i++) {
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    usleep(300);
  }
  end = 1;
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
