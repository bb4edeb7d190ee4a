/* What the tests of snapshots share. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "support.h"
#include <pthread.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

extern int __lsan_do_recoverable_leak_check(void);

/* Calls each(pid) for every child of any thread of this process, also those that waitpid(-1) does not see. */
static inline int each_child(void (*each)(pid_t)) {
  char path[64], text[512];
  int children = 0;
  for (pid_t tid = getpid(), last = tid + 64; tid < last; tid++) {
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)tid);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) continue;
    text[got] = 0;
    for (char *at = text, *end; strtol(at, &end, 10) > 0; at = end) {
      children++;
      if (each != NULL) each((pid_t)strtol(at, NULL, 10));
    }
  }
  return children;
}

/* True when `pid` has memory of its own: a snapshot, and not the helper that stops the world. */
static inline int is_copy(pid_t pid) { return syscall(SYS_kcmp, getpid(), pid, 1 /* KCMP_VM */, 0, 0) > 0; }

/* A second thread, which sleeps: with one alone a check need stop nobody. */
static inline void *sleep_for_ever(void *runs) {
  __atomic_store_n((volatile int *)runs, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return NULL;
}

static inline void start_sleeper(void) {
  static volatile int runs;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, sleep_for_ever, (void *)&runs) == 0);
  await(&runs);
}

#endif
