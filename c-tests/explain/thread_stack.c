// An object that only a variable of another thread holds: the step names the thread, and the function whose frame it is in.
// FLAGS: -pthread
// NOT-IN: musl: musl has no unwind information: frames behind its own have no name
// EXPECT: clean
#include "support.h"

#include <pthread.h>
#include <sys/syscall.h>

#include <standstill.h>

static volatile int ready, done;
static volatile int holder_id;
static uintptr_t hidden;

static NOINLINE void wait_below(void) {
  ready = 1;
  while (!done) usleep(1000);
  __asm__ volatile("");
}

NOINLINE void holding_function(void) {
  void *volatile held = malloc(4242);
  hidden = hide(held);
  wait_below();
  free(held);
}
/* The functions of a file stay in order at these levels: what lies behind it ends it. */
NOINLINE void behind_it(void) { __asm__ volatile(""); }

static void *run(void *unused) {
  (void)unused;
  holder_id = (int)syscall(SYS_gettid);
  holding_function();
  return NULL;
}

static struct standstill_step steps[16];
static struct standstill_chain chain = STANDSTILL_CHAIN_INIT(steps, 16);

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
  await(&ready);
  CHECK(standstill_referrers(unhide(hidden), &chain) == STANDSTILL_CLEAN);
  int in_frame = 0;
  for (size_t i = 0; i < chain.count && i < 16; i++) {
    if (steps[i].holder != STANDSTILL_STACK || steps[i].thread != holder_id) continue;
    uintptr_t function = (uintptr_t)holding_function;
    in_frame += steps[i].frame > function && steps[i].frame < function + 256;
    CHECK(*(uintptr_t *)steps[i].word_at == steps[i].word && steps[i].word == (uintptr_t)unhide(hidden));
  }
  CHECK(in_frame > 0);
  behind_it();
  done = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
