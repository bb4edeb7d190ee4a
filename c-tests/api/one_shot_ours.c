// standstill_check does what __lsan_do_leak_check does.
// EXPECT: leak 4242 bytes in 1 object
// ARGS: before
// EXPECT: status 0
// ARGS: after
#include "standstill.h"
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  if (arguments[1][0] == 'b') clean_call(lose, NULL);
  standstill_check();
  clean_call(lose, NULL);
  return 0;
}
