// _exit, _Exit and quick_exit end the process without a check, as they skip every exit handler.
// EXPECT: status 3
// ARGS: _exit
// STDERR-NOT: leak of
// EXPECT: status 3
// ARGS: quick
// STDERR-NOT: leak of
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  clean_call(lose, NULL);
  if (arguments[1][0] == '_') _exit(3);
  quick_exit(3);
}
