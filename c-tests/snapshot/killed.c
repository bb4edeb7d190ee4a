// The process of a snapshot is killed: the check could not be made, and says so; the next one can.
// FLAGS: -pthread
// EXPECT-WITH snapshot=1: clean
// STDERR: could not check: the snapshot's process ended early: it was killed by signal 9
#include "snapshot.h"
#include "standstill.h"
#include <pthread.h>
#include <sched.h>

enum { BLOCKS = 64 };
static void *blocks[BLOCKS];
static volatile int killed, done;

static void kill_copy(pid_t pid) {
  if (is_copy(pid) && kill(pid, SIGKILL) == 0) killed = 1;
}

static void *killer(void *unused) {
  while (!killed && !done) each_child(kill_copy);
  return unused;
}

int main(void) {
  pthread_t thread;
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  /* Work for the snapshot. */
  for (int i = 0; i < BLOCKS; i++) blocks[i] = use(memset(malloc(1 << 20), 1, 1 << 20));
  CHECK(pthread_create(&thread, NULL, killer, NULL) == 0);
  int code = STANDSTILL_CLEAN;
  for (int i = 0; i < 1000 && !killed; i++) code = standstill_check_recoverable(&options, NULL);
  CHECK(killed && code == STANDSTILL_COULD_NOT_CHECK);
  done = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(standstill_check_recoverable(&options, NULL) == STANDSTILL_CLEAN);
  CHECK(each_child(NULL) == 0);
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
  return 0;
}
