// The command that puts functions into a report is no child of the program: no SIGCHLD comes, waitpid(-1) finds nobody, and who reaps all children has the same report and the same verdict.
// FLAGS: -pthread
// REFERENCE: its symbolizer is a child that the program sees
// EXPECT: direct 777 bytes in 1 object, indirect 0 bytes in 0 objects
// STDERR: in lose_a_block
#include "support.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern int __lsan_do_recoverable_leak_check(void);

static atomic_int told, reaped, over;

static void on_child(int signal) {
  (void)signal;
  int saved = errno;
  atomic_fetch_add(&told, 1);
  while (waitpid(-1, NULL, WNOHANG) > 0) atomic_fetch_add(&reaped, 1);
  errno = saved;
}

/* As a supervisor does. */
static void *reaps(void *unused) {
  while (!atomic_load(&over)) {
    if (waitpid(-1, NULL, WNOHANG) > 0) atomic_fetch_add(&reaped, 1);
    usleep(200);
  }
  return unused;
}

NOINLINE static void lose_a_block(void *unused) {
  (void)unused;
  use(malloc(777));
}

int main(void) {
  struct sigaction action = {.sa_handler = on_child};
  CHECK(!sigaction(SIGCHLD, &action, NULL));
  pthread_t reaper;
  CHECK(!pthread_create(&reaper, NULL, reaps, NULL));
  clean_call(lose_a_block, NULL);
  for (int i = 0; i < 3; i++) CHECK(__lsan_do_recoverable_leak_check());
  atomic_store(&over, 1);
  CHECK(!pthread_join(reaper, NULL));
  CHECK(!atomic_load(&told) && !atomic_load(&reaped));
  return 0;
}
