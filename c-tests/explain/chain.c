// standstill_explain names the chain from a variable to an object: each step is in memory as it says, and leads to the next.
// EXPECT: clean
#include "support.h"

#include <standstill.h>

struct node {
  char space[40];
  struct node *next;
};

static struct {
  long space[3];
  struct node *first;
} list;
static uintptr_t hidden[5];

static void build(void *unused) {
  (void)unused;
  for (int i = 4; i >= 0; i--) {
    struct node *node = (struct node *)calloc(1, sizeof *node);
    node->next = list.first;
    list.first = node;
    hidden[i] = hide(node);
  }
}

static struct standstill_step steps[8];
static struct standstill_chain chain = STANDSTILL_CHAIN_INIT(steps, 8);

static NOINLINE int explain(uintptr_t object) {
  scrub();
  return standstill_explain(unhide(object), &chain);
}

/* What is left in the frame of this function goes with it. */
static NOINLINE void follow(void *unused) {
  (void)unused;
  // The last of the list, by a pointer to its inside.
  CHECK(explain(hidden[4] - 17) == STANDSTILL_CLEAN);
  // A stale word in a register or on the stack may be nearer; the chain must then be that word's, and say so.
  if (chain.count == 5) {
    CHECK(steps[0].holder == STANDSTILL_GLOBAL && steps[0].word_at == (uintptr_t)&list.first);
    CHECK(steps[0].base <= (uintptr_t)&list && (uintptr_t)&list < steps[0].base + steps[0].bytes);
  } else {
    CHECK(steps[0].holder == STANDSTILL_STACK || steps[0].holder == STANDSTILL_REGISTER);
  }
  CHECK(chain.object == (uintptr_t)unhide(hidden[4]) && chain.object_bytes == sizeof(struct node));
  for (size_t i = 0; i < chain.count; i++) {
    uintptr_t to = i + 1 < chain.count ? steps[i + 1].base : chain.object;
    CHECK(steps[i].word >= to && steps[i].word < to + sizeof(struct node));
    CHECK(i == 0 || steps[i].holder == STANDSTILL_OBJECT);
    if (i > 0) CHECK(steps[i].word_at == steps[i].base + 40 && *(uintptr_t *)steps[i].word_at == steps[i].word);
  }
  // What an answer holds would be the answer to the next question.
  memset(steps, 0, sizeof steps);
  chain.object = 0;
}

int main(void) {
  clean_call(build, NULL);
  clean_call(follow, NULL);
  CHECK(chain.count > 0);

  // Less room than steps: the first ones, and how many there are.
  size_t all = chain.count;
  chain.capacity = 1;
  steps[1].holder = 99;
  CHECK(explain(hidden[4]) == STANDSTILL_CLEAN && chain.count == all && steps[1].holder == 99);
  CHECK(standstill_explain(unhide(hidden[0]), NULL) == STANDSTILL_CLEAN);

  // What is no object, and bad arguments.
  CHECK(standstill_explain(&list, &chain) == STANDSTILL_NO_OBJECT && chain.count == all);
  chain.step_size = 8;
  CHECK(standstill_explain(unhide(hidden[0]), &chain) == STANDSTILL_BAD_ARGUMENT);
  return 0;
}
