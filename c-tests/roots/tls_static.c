// A heap object whose only pointer is in a thread-local variable of the program (static TLS) is reachable: main's.
// EXPECT: clean
// EXPECT-WITH use_tls=0: leak 4242 bytes in 1 object
// NOT-IN: musl: there the main thread's storage is part of libc's own data, which use_tls=0 leaves
#include "support.h"

static __thread void *volatile root;

static void build(void *unused) {
  (void)unused;
  root = malloc(4242);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
