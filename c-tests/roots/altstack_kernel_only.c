// A malloc'ed alternate signal stack is in use as long as the kernel has it, though the program keeps no pointer to it.
// REFERENCE: it does not ask for alternate stacks
// EXPECT: clean
// EXPECT: leak 65536 bytes in 1 object
// ARGS: disabled
#include "support.h"
#include <signal.h>

static void build(void *disable) {
  stack_t stack;
  memset(&stack, 0, sizeof stack);
  stack.ss_size = 65536;
  stack.ss_sp = malloc(stack.ss_size);
  CHECK(stack.ss_sp != NULL && sigaltstack(&stack, NULL) == 0);
  if (disable) {
    stack.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&stack, NULL) == 0);
  }
}

int main(int count, char **arguments) {
  clean_call(build, count > 1 ? arguments : NULL);
  return 0;
}
