// A program with an IFUNC resolver of its own (run by the loader before anything is relocated or initialised) starts.
// NOT-IN: musl: musl knows no IFUNC
// EXPECT: clean
// EXPECT: leak 4242 bytes in 1 object
// ARGS: lose
#include "support.h"

typedef void lose_function(void *);
static void lose_it(void *unused) {
  (void)unused;
  use(malloc(4242));
}
// clang 14 does not see that the attribute below uses it.
__attribute__((unused)) static lose_function *choose(void) { return lose_it; }
void lose(void *) __attribute__((ifunc("choose")));

int main(int count, char **arguments) {
  (void)arguments;
  if (count > 1) clean_call(lose, NULL);
  return 0;
}
