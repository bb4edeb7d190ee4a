// A seccomp filter that kills for system calls that the program itself never makes does not kill it at a check.
// REFERENCE: dies there
// FLAGS: -pthread
// EXPECT: clean
// ARGS: unshare alone
// EXPECT: clean
// ARGS: close_range alone
// EXPECT: clean
// ARGS: unshare thread
// EXPECT: status 0
// ARGS: close_range thread
// STDERR: Standstill: could not check
#include "support.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static volatile int ready;
static void *volatile kept;

static void *body(void *unused) {
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  kept = malloc(100);
  unsigned number = strcmp(argv[1], "unshare") == 0 ? SYS_unshare : SYS_close_range;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) skip("seccomp is not to be had here");
  if (strcmp(argv[2], "thread") == 0) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
    await(&ready);
  }
  return 0;
}
