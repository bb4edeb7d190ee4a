// __lsan_default_options gives options, and the environment overrides them.
// FLAGS: -rdynamic
// EXPECT: leak 4242 bytes in 1 object
// EXIT: 45
// EXPECT-WITH exitcode=46: leak 4242 bytes in 1 object
// EXIT: 46
// EXPECT: leak 4242 bytes in 1 object
// ENV: LSAN_OPTIONS=exitcode=47
// EXIT: 47
#include "support.h"

const char *__lsan_default_options(void);
const char *__lsan_default_options(void) { return "verbosity=0:exitcode=45"; }

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(void) {
  clean_call(lose, NULL);
  return 0;
}
