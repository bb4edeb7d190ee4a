// What the program printed without a newline into a pipe is not lost when leaks are found.
// REFERENCE: loses it
// EXPECT: leak 4242 bytes in 1 object
// STDOUT: ^first line\nno newline at the end$
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(void) {
  printf("first line\nno newline");
  clean_call(lose, NULL);
  printf(" at the end");
  return 0;
}
