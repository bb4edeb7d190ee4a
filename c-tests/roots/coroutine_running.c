// A check that runs on a coroutine stack sees that stack, and the thread's own stack that waits for it.
// NOT-IN: musl: musl has no makecontext
// EXPECT: clean
// EXPECT-WITH use_stacks=0: leak 1212 bytes in 1 object
#include "support.h"
#include <ucontext.h>

static ucontext_t caller, coroutine;
static char stack[1 << 19] __attribute__((aligned(64)));

static void body(void) {
  void *volatile root = unhide(hidden_malloc(4242));
  use((void *)&root);
  exit(root == NULL);
}

int main(void) {
  void *volatile root = unhide(hidden_malloc(1212));
  use((void *)&root);
  CHECK(getcontext(&coroutine) == 0);
  coroutine.uc_stack.ss_sp = stack;
  coroutine.uc_stack.ss_size = sizeof stack;
  coroutine.uc_link = &caller;
  makecontext(&coroutine, body, 0);
  swapcontext(&caller, &coroutine);
  return root == NULL;
}
