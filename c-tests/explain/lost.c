// An object that nothing holds has no chain; who points to it from a lost object is still told.
// EXPECT: direct 100 bytes in 1 object, indirect 200 bytes in 1 object
#include "support.h"

#include <standstill.h>

static uintptr_t head, tail;

static void build(void *unused) {
  (void)unused;
  void **first = (void **)calloc(1, 100), *second = calloc(1, 200);
  first[3] = second;
  head = hide(first);
  tail = hide(second);
}

static struct standstill_step steps[8];
static struct standstill_chain chain = STANDSTILL_CHAIN_INIT(steps, 8);

static NOINLINE void ask(void *unused) {
  (void)unused;
  // The one question whose answer may be the question: the argument itself is in a register.
  int code = standstill_explain(unhide(tail), &chain);
  CHECK(code == STANDSTILL_LEAKS ? chain.count == 0 : steps[0].holder == STANDSTILL_STACK || steps[0].holder == STANDSTILL_REGISTER);
  CHECK(chain.object == (uintptr_t)unhide(tail) && chain.object_bytes == 200);
  memset(steps, 0, sizeof steps);
  CHECK(standstill_referrers(unhide(tail), &chain) == STANDSTILL_CLEAN);
  int found = 0;
  for (size_t i = 0; i < chain.count && i < 8; i++)
    if (steps[i].holder == STANDSTILL_OBJECT) {
      CHECK(steps[i].base == (uintptr_t)unhide(head) && steps[i].bytes == 100 && steps[i].word_at == steps[i].base + 24);
      CHECK(steps[i].word == (uintptr_t)unhide(tail));
      found++;
    }
  CHECK(found == 1);
  // Words of an answer are pointers as others are.
  memset(steps, 0, sizeof steps);
  chain.object = 0;
}

int main(void) {
  clean_call(build, NULL);
  clean_call(ask, NULL);
  scrub();
  return 0;
}
