// standstill_enable without standstill_disable says so in one line and does nothing else: later pairs still work.
// REFERENCE: ends the process
// EXPECT: leak 4242 bytes in 1 object
// STDERR: (?m)^==\d+==Standstill: standstill_enable .*without.*$
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
