// A check waits for no lock of the loader: neither for a callback of dl_iterate_phdr that waits for the check, nor for one in a thread that did not come along into a forked child, nor for a library's constructor that waits for it.
// FLAGS: -pthread -rdynamic
// PLUGIN: lib_waits.c
// TIMEOUT: 60
// REFERENCE: takes the lock
// EXPECT: clean
// EXPECT-WITH ptrace=0: clean
#define _GNU_SOURCE
#include "support.h"
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/wait.h>

extern int __lsan_do_recoverable_leak_check(void);
static volatile int waits, checked;

/* The whole test fails when a check waits for one of these. */
void wait_for_check(void) {
  __atomic_store_n(&waits, 1, __ATOMIC_RELEASE);
  uint64_t limit = now_ns() + UINT64_C(20000000000);
  while (!__atomic_load_n(&checked, __ATOMIC_ACQUIRE)) {
    CHECK(now_ns() < limit);
    usleep(1000);
  }
}

static void *opens(void *unused) {
  CHECK(dlopen("liblib_waits.so", RTLD_NOW) != NULL);
  return unused;
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
  (void)info, (void)size, (void)data;
  wait_for_check();
  return 1;
}

static void *lists(void *unused) {
  CHECK(dl_iterate_phdr(visit, NULL) == 1);
  return unused;
}

static void check_beside(void *(*body)(void *), int fork_too) {
  pthread_t thread;
  waits = checked = 0;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&waits);
  if (fork_too) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      /* Blocks of the thread that is not here are lost. */
      (void)__lsan_do_recoverable_leak_check();
      _exit(7);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  }
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  __atomic_store_n(&checked, 1, __ATOMIC_RELEASE);
  CHECK(pthread_join(thread, NULL) == 0);
}

int main(void) {
  check_beside(opens, 0);
  check_beside(lists, 1);
  return 0;
}
