// A process with one thread is checked without ptrace and without any helper: both are forbidden by seccomp here (and symbols, which need a process of their own, are off).
// EXPECT-WITH symbolize=0: leak 4242 bytes in 1 object
// EXPECT: clean
// ARGS: clean
// REFERENCE: cannot
#include "support.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define KILL_ON(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  (void)arguments;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      KILL_ON(SYS_ptrace),
      KILL_ON(SYS_clone),
      KILL_ON(SYS_clone3),
#ifdef SYS_fork /* not in the tables of newer CPUs */
      KILL_ON(SYS_fork),
      KILL_ON(SYS_vfork),
#endif
      KILL_ON(SYS_process_vm_readv),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (count == 1) clean_call(lose, NULL);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) skip("seccomp is not to be had here");
  return 0;
}
