// The one-shot check ends the process with status 23 when something is lost, and takes the place of the check at exit when nothing is.
// EXPECT: leak 4242 bytes in 1 object
// ARGS: before
// STDERR-NOT: not reached
// EXPECT: status 0
// ARGS: after
// STDERR: not reached
// EXPECT-WITH exitcode=44: leak 4242 bytes in 1 object
// ARGS: before
// EXIT: 44
#include "support.h"

extern void __lsan_do_leak_check(void);

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  if (arguments[1][0] == 'b') clean_call(lose, NULL);
  __lsan_do_leak_check();
  fputs("not reached when it leaks\n", stderr);
  clean_call(lose, NULL);
  __lsan_do_leak_check();
  return 0;
}
