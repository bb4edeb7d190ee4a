// In a process with one thread, too, a callback of standstill_stop_the_world that crashes or never returns does the program no harm.
// EXPECT: clean
#include "support.h"

#include "standstill.h"
#include <signal.h>

static volatile int calls;
static struct standstill_thread caller = STANDSTILL_THREAD_INIT;

static void ends(const struct standstill_world *world, void *unused) {
  (void)unused;
  calls += standstill_thread_count(world) == 1 && standstill_thread_at(world, 0, &caller) == STANDSTILL_DONE;
}

static void loops(const struct standstill_world *world, void *unused) {
  (void)world, (void)unused;
  for (;;) calls = calls;
}

static void crashes(const struct standstill_world *world, void *nowhere) {
  (void)world;
  *(volatile int *)nowhere = 1;
}

int main(void) {
  struct standstill_stop_options options = STANDSTILL_STOP_OPTIONS_INIT;
  options.work_deadline_ms = 200;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && queue_signal(own_tid(), SIGUSR1, 0) == 0);
  CHECK(standstill_stop_the_world(&options, ends, NULL) == STANDSTILL_DONE && calls == 1);
  CHECK(caller.tid == own_tid() && caller.had & STANDSTILL_HAD_BLOCKED && caller.had & STANDSTILL_HAD_PENDING);
  CHECK(caller.blocked == UINT64_C(1) << (SIGUSR1 - 1) && caller.pending == caller.blocked);
  uint64_t start = now_ns();
  CHECK(standstill_stop_the_world(&options, loops, NULL) == STANDSTILL_COULD_NOT_CHECK);
  CHECK(now_ns() - start < (uint64_t)slowness() * UINT64_C(5000000000));
  CHECK(standstill_stop_the_world(&options, crashes, NULL) == STANDSTILL_COULD_NOT_CHECK);
  options.flags = STANDSTILL_STOP_SNAPSHOT;
  CHECK(standstill_stop_the_world(&options, ends, NULL) == STANDSTILL_DONE && calls == 1);
  return 0;
}
