// A callback of standstill_stop_the_world that crashes ends the helper or the snapshot, not the program, and that is said.
// FLAGS: -pthread
// EXPECT: clean
// STDERR: standstill_stop_the_world: the helper task ended early: it caught signal 11
// STDERR: standstill_stop_the_world: the snapshot's process ended early: it caught signal 11
#include "standstill.h"
#include "support.h"
#include <pthread.h>

static volatile int ready;

static void *body(void *unused) {
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

static void crash(const struct standstill_world *world, void *user) {
  (void)world;
  *(volatile int *)user = 1;
}

int main(void) {
  pthread_t thread;
  struct standstill_stop_options options = STANDSTILL_STOP_OPTIONS_INIT;
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  await(&ready);
  for (int i = 0; i < 2; i++) {
    options.flags = i == 0 ? 0 : STANDSTILL_STOP_SNAPSHOT;
    CHECK(standstill_stop_the_world(&options, crash, (void *)16) == STANDSTILL_COULD_NOT_CHECK);
  }
  return 0;
}
