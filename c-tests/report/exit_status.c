// A program with leaks ends with exitcode (23), whatever it said itself; exitcode=0 keeps its own; a clean one always keeps its own.
// EXPECT: leak 4242 bytes in 1 object
// ARGS: 5 lose
// EXPECT-WITH exitcode=44: leak 4242 bytes in 1 object
// ARGS: 0 lose
// EXIT: 44
// EXPECT-WITH exitcode=0: leak 4242 bytes in 1 object
// ARGS: 5 lose
// EXIT: 5
// EXPECT: clean
// ARGS: 7
// EXIT: 7
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  CHECK(count > 1);
  if (count > 2) clean_call(lose, NULL);
  return atoi(arguments[1]);
}
