// exec replaces the program: what the old image held is forgotten, the new image is checked, with the same options.
// EXPECT: clean
// EXPECT: leak 4242 bytes in 1 object
// ARGS: lose
#include "support.h"

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  if (getenv("SECOND_IMAGE") == NULL) {
    clean_call(lose, NULL); /* a leak of the old image */
    CHECK(setenv("SECOND_IMAGE", "1", 1) == 0);
    execv("/proc/self/exe", arguments);
    return 98;
  }
  if (count > 1) clean_call(lose, NULL);
  return 0;
}
