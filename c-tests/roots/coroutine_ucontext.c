// A heap object whose only pointer is on the stack of a suspended coroutine (swapcontext) is reachable: mapped stack and malloc'ed stack.
// REFERENCE: it knows nothing of mappings
// NOT-IN: musl: musl has no makecontext
// EXPECT: clean
// ARGS: mapped
// EXPECT: clean
// ARGS: malloced
#include "support.h"
#include <sys/mman.h>
#include <ucontext.h>

static ucontext_t caller, coroutine;

static void body(void) {
  void *volatile root = unhide(hidden_malloc(4242));
  use((void *)&root);
  scrub();
  swapcontext(&coroutine, &caller);
  if (root != NULL) abort();
}

static void build(void *mapped) {
  const size_t size = 1 << 19;
  void *stack = mapped ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)
                       : malloc(size);
  CHECK(stack != NULL && stack != MAP_FAILED);
  CHECK(getcontext(&coroutine) == 0);
  coroutine.uc_stack.ss_sp = stack;
  coroutine.uc_stack.ss_size = size;
  coroutine.uc_link = &caller;
  makecontext(&coroutine, body, 0);
  CHECK(swapcontext(&caller, &coroutine) == 0);
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  clean_call(build, strcmp(arguments[1], "mapped") == 0 ? arguments : NULL);
  return 0;
}
