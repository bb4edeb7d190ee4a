// __lsan_do_recoverable_leak_check answers 0 or 1, as often as it is asked, and the check at exit still runs.
// EXPECT: leak 5454 bytes in 2 objects
#include "support.h"

extern int __lsan_do_recoverable_leak_check(void);

static void lose(void *size) { use(malloc((size_t)(uintptr_t)size)); }

int main(void) {
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  clean_call(lose, (void *)(uintptr_t)4242);
  CHECK(__lsan_do_recoverable_leak_check() == 1);
  CHECK(__lsan_do_recoverable_leak_check() == 1);
  clean_call(lose, (void *)(uintptr_t)1212);
  return 0;
}
