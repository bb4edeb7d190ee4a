// A thread in seccomp's strict mode, which any signal with a handler would end, is stopped by ptrace or not at all, and lives on.
// REFERENCE: stops by ptrace alone
// FLAGS: -pthread
// EXPECT: clean
// EXPECT-WITH ptrace=0: status 0
// STDERR: Standstill: incomplete
// STDERR: strict mode
#include "support.h"
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

extern int __lsan_do_recoverable_leak_check(void);
static int ends[2], answers[2];
static volatile int ready;

static void *strict(void *unused) {
  char byte = 0;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) {
    ready = 2;
    return unused;
  }
  ready = 1;
  for (;;) {
    (void)!syscall(SYS_read, ends[0], &byte, 1);
    (void)!syscall(SYS_write, answers[1], &byte, 1);
  }
}

int main(void) {
  pthread_t thread;
  char byte = 'x';
  CHECK(pipe(ends) == 0 && pipe(answers) == 0);
  CHECK(pthread_create(&thread, NULL, strict, NULL) == 0);
  await(&ready);
  if (ready == 2) skip("seccomp is not to be had here");
  usleep(50000);
  (void)__lsan_do_recoverable_leak_check();
  /* The thread answers only if it lives. */
  alarm(10);
  CHECK(write(ends[1], &byte, 1) == 1 && read(answers[0], &byte, 1) == 1);
  return 0;
}
