// A heap object whose only pointer is in a thread-local variable of the program that wants a large alignment is reachable,
// though its storage begins far from the thread pointer.
// REFERENCE: it knows nothing of the option
// EXPECT: clean
// EXPECT-WITH use_mappings=0: clean
#include "support.h"

static __thread void *volatile words[8] __attribute__((aligned(4096)));

static void build(void *unused) {
  (void)unused;
  words[7] = malloc(4242);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
