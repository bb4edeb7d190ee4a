/* The yardstick for stopping the world: the least a tracer can do, in C, without any checker.
 *
 * usage: bare_stop blocked|spinning COUNT ROUNDS
 * A child has COUNT threads; this process seizes and interrupts all, waits by tid, reads the general and the extended
 * registers of each, and lets go (a) by detaching one by one, (b) by the exit of a tracer forked for the purpose.
 *
 * prints: ms (with detach), exit_ms (release by exit; the fork of the tracer is in it)
 */
#include "bench.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

static sem_t never;
static atomic_int *ready;

static void *blocked(void *arg) {
  atomic_fetch_add(ready, 1);
  while (sem_wait(&never)) {}
  return arg;
}
static void *spinning(void *arg) {
  atomic_fetch_add(ready, 1);
  for (;;) KEEP(arg);
  return arg;
}

static void target(int spin, int count) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sem_init(&never, 0, 0);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 128 * 1024);
  for (int i = 1; i < count; i++) {
    pthread_t t;
    if (pthread_create(&t, &attr, spin ? spinning : blocked, NULL)) die("pthread_create");
  }
  (spin ? spinning : blocked)(NULL);
}

static int list(pid_t pid, pid_t *tids, int max) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *d = opendir(path);
  if (!d) die("opendir task");
  int n = 0;
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.' && n < max) tids[n++] = atoi(e->d_name);
  closedir(d);
  return n;
}

static void stop_and_read(pid_t *tids, int n) {
  static char regs[16384];
  for (int i = 0; i < n; i++) {
    if (ptrace(PTRACE_SEIZE, tids[i], 0, 0)) die("PTRACE_SEIZE");
    if (ptrace(PTRACE_INTERRUPT, tids[i], 0, 0)) die("PTRACE_INTERRUPT");
  }
  for (int i = 0; i < n; i++) {
    int status;
    if (waitpid(tids[i], &status, __WALL) != tids[i] || !WIFSTOPPED(status)) die("waitpid");
    struct iovec iov = {regs, sizeof regs};
    if (ptrace(PTRACE_GETREGSET, tids[i], NT_PRSTATUS, &iov)) die("NT_PRSTATUS");
    iov.iov_len = sizeof regs;
    if (ptrace(PTRACE_GETREGSET, tids[i], NT_X86_XSTATE, &iov)) {
      iov.iov_len = sizeof regs;
      if (ptrace(PTRACE_GETREGSET, tids[i], NT_FPREGSET, &iov)) die("floating point registers");
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: bare_stop blocked|spinning COUNT ROUNDS");
  int spin = !strcmp(argv[1], "spinning"), count = atoi(argv[2]), rounds = atoi(argv[3]);
  double detach_ms[64], exit_ms[64];
  if (rounds < 1 || rounds > 64) die("1 to 64 rounds");
  ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) target(spin, count);
  while (atomic_load(ready) < count) usleep(1000);
  usleep(20000);
  pid_t *tids = must(calloc((size_t)count + 16, sizeof *tids));
  for (int r = 0; r < rounds; r++) {
    uint64_t t0 = wall_ns();
    int n = list(pid, tids, count + 16);
    if (n != count) die("thread count");
    stop_and_read(tids, n);
    for (int i = 0; i < n; i++) ptrace(PTRACE_DETACH, tids[i], 0, 0);
    detach_ms[r] = (double)(wall_ns() - t0) / 1e6;
    usleep(5000);
    t0 = wall_ns();
    pid_t tracer = fork();
    if (tracer == 0) {
      n = list(pid, tids, count + 16);
      stop_and_read(tids, n);
      _exit(0);
    }
    int status;
    if (waitpid(tracer, &status, 0) != tracer || status) die("tracer");
    exit_ms[r] = (double)(wall_ns() - t0) / 1e6;
    usleep(5000);
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  printf("ms=%.3f exit_ms=%.3f\n", median(detach_ms, rounds), median(exit_ms, rounds));
  return 0;
}
