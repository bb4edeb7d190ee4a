// standstill_check_recoverable says STANDSTILL_TURNED_OFF, never clean, when checks are off.
// FLAGS: -rdynamic
// EXPECT: status 0
#include "standstill.h"
#include "support.h"

int __lsan_is_turned_off(void) { return 1; }

int main(void) {
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  result.direct_objects = 4711;
  CHECK(standstill_check_recoverable(NULL, &result) == STANDSTILL_TURNED_OFF);
  CHECK(result.direct_objects == 4711);
  return 0;
}
