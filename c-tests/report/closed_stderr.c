// With standard error closed, or a pipe nobody reads, the check still ends and the exit status says what was found.
// REFERENCE: dies of SIGPIPE
// EXPECT: status 23
// ARGS: closed
// EXPECT: status 23
// ARGS: broken
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  clean_call(lose, NULL);
  if (arguments[1][0] == 'c') {
    close(2);
  } else {
    int ends[2];
    CHECK(pipe(ends) == 0 && dup2(ends[1], 2) == 2);
    close(ends[0]);
    close(ends[1]);
  }
  return 0;
}
