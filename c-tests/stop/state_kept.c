// A check leaves no trace in the process: signal mask, descriptors, dumpable flag, children, threads, working directory, errno.
// FLAGS: -pthread
// EXPECT: clean
#include "support.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

extern int __lsan_do_recoverable_leak_check(void);
static volatile int ready;

static void *body(void *unused) {
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

struct state {
  sigset_t mask, pending;
  int descriptors, tasks, dumpable, keepcaps, pdeathsig;
  char directory[256];
};

static int count_entries(const char *path) {
  int entries = 0;
  DIR *folder = opendir(path);
  CHECK(folder != NULL);
  while (readdir(folder) != NULL) entries++;
  closedir(folder);
  return entries;
}

static void look(struct state *state) {
  memset(state, 0, sizeof *state);
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &state->mask) == 0 && sigpending(&state->pending) == 0);
  state->descriptors = count_entries("/proc/self/fd");
  state->tasks = count_entries("/proc/self/task");
  state->dumpable = prctl(PR_GET_DUMPABLE);
  state->keepcaps = prctl(PR_GET_KEEPCAPS);
  CHECK(prctl(PR_GET_PDEATHSIG, &state->pdeathsig) == 0);
  CHECK(getcwd(state->directory, sizeof state->directory) != NULL);
}

int main(void) {
  struct state before, after;
  pthread_t thread;
  sigset_t set;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  CHECK(raise(SIGUSR1) == 0);
  look(&before);
  errno = 4711;
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  CHECK(errno == 4711);
  look(&after);
  CHECK(memcmp(&before, &after, sizeof before) == 0);
  CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
  return 0;
}
