// Where a fork is refused (seccomp) the scan is made in place, and that is said; the leak is found.
// FLAGS: -pthread
// REFERENCE: is not asked about snapshots
// EXPECT-WITH snapshot=1: leak 4242 bytes in 1 objects
// STDERR: Standstill: no snapshot, the program stands still during the scan: the process could not be forked
// EXPECT-WITH snapshot=0: leak 4242 bytes in 1 objects
// STDERR-NOT: no snapshot|a snapshot
#include "snapshot.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

static volatile int ready;

static void *body(void *unused) {
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

int main(void) {
  /* clone(2) without CLONE_VM */
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  hidden_malloc(4242);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) skip("seccomp is not to be had here");
  CHECK(__lsan_do_recoverable_leak_check());
  return 0;
}
