// standstill_enable without standstill_disable ends the process with one clear line.
// EXPECT: status 23
// STDERR: Unmatched call to __lsan_enable\(\)
#include "support.h"

extern void __lsan_disable(void);
extern void __lsan_enable(void);

int main(void) {
  __lsan_disable();
  __lsan_enable();
  __lsan_enable();
  return 0;
}
