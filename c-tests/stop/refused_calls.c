// Where a seccomp filter refuses what a stop needs, nothing that only a register holds is called a leak: another way is found, or nothing is checked.
// REFERENCE: stops by ptrace alone
// FLAGS: -pthread
// EXPECT: clean
// ARGS: waitid
// EXPECT: status 0
// ARGS: PTRACE_PEEKSIGINFO
// STDERR: Standstill: incomplete
// STDERR: pending signals that could not be read
// EXPECT-WITH ptrace=0: status 0
// ARGS: rt_tgsigqueueinfo
// STDERR: Standstill: could not check.*allow rt_tgsigqueueinfo
// STDERR-NOT: detected memory leaks
#include "spin.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void *body(void *unused) {
  spin_with_pointer();
  return unused;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  int peek = strcmp(argv[1], "PTRACE_PEEKSIGINFO") == 0;
  unsigned number = peek ? SYS_ptrace : strcmp(argv[1], "waitid") == 0 ? SYS_waitid : SYS_rt_tgsigqueueinfo;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      /* PTRACE_PEEKSIGINFO, or anything. */
      BPF_JUMP(BPF_JMP | (peek ? BPF_JEQ : BPF_JGE) | BPF_K, peek ? 0x4209 : 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) skip("seccomp is not to be had here");
  pthread_t thread;
  hidden = hidden_malloc(4242);
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  return 0;
}
