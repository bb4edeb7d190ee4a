// With a stack for few blocks only, leaks of the others are found all the same.
// EXPECT: leak 4800 bytes in 100 objects
// STDERR: build
// EXPECT-WITH stack_every=100000000: leak 4800 bytes in 100 objects
// STDERR: [0-9]{5} allocations, [0-9]{1,2} call stacks
// EXPECT-WITH stack_every=1: leak 4800 bytes in 100 objects
// STDERR: build
// REFERENCE: it has no such option
#include "support.h"

static void build(void *unused) {
  (void)unused;
  for (int i = 0; i < 100; i++) use(malloc(48));
}

int main(void) {
  for (int i = 0; i < 10000; i++) free(use(malloc(16)));
  clean_call(build, NULL);
  return 0;
}
