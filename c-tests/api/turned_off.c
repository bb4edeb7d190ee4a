// __lsan_is_turned_off turns every check off: at exit, one-shot and recoverable; so does detect_leaks=0.
// FLAGS: -rdynamic
// EXPECT: status 0
// ARGS: 1
// STDERR-NOT: leak of
// EXPECT: leak 4242 bytes in 1 object
// ARGS: 0
// EXPECT-WITH detect_leaks=0: status 0
// ARGS: 0 0
// STDERR-NOT: leak of
// EXPECT-WITH leak_check_at_exit=0: status 0
// ARGS: 0 0
// STDERR-NOT: leak of
#include "support.h"

extern int __lsan_do_recoverable_leak_check(void);
extern void __lsan_do_leak_check(void);

static int off;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return off; }

static void lose(void *unused) {
  (void)unused;
  use(malloc(4242));
}

int main(int count, char **arguments) {
  CHECK(count > 1);
  off = atoi(arguments[1]);
  clean_call(lose, NULL);
  if (off) {
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    __lsan_do_leak_check();
  }
  return 0;
}
