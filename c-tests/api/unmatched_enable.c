// standstill_enable without standstill_disable ends the process with one clear line; with exitcode=0 it goes on, and later pairs work.
// EXPECT: status 23
// STDERR: Unmatched call to __lsan_enable\(\)
// EXPECT-WITH exitcode=0: leak 4242 bytes in 1 object
// STDERR: Unmatched call to __lsan_enable\(\)
// EXIT: 0
// REFERENCE: ends with exitcode=0 too
#include "support.h"

extern void __lsan_disable(void);
extern void __lsan_enable(void);

static void build(void *unused) {
  (void)unused;
  __lsan_disable();
  __lsan_enable();
  __lsan_enable();
  use(malloc(4242));
  __lsan_disable();
  use(malloc(1212));
  __lsan_enable();
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
