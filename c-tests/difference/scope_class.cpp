// standstill::LeakScope ends with its block, or when it is asked, once.
// EXPECT: leak 60 bytes in 1 object
#include "support.h"

#include <standstill.h>

static volatile uintptr_t hidden;

static void lose(void *) { hidden = hide(new char[60]); }

static int leaky() {
  standstill::LeakScope scope(STANDSTILL_CHECK_QUIET);
  clean_call(lose, nullptr);
  standstill_check_result result = STANDSTILL_RESULT_INIT;
  int code = scope.end(&result);
  CHECK(result.direct_bytes == 60 && scope.end() == code && !scope.clean());
  return code;
}

int main() {
  CHECK(leaky() == STANDSTILL_LEAKS);
  {
    standstill::LeakScope scope;
    delete[] static_cast<char *>(use(new char[70]));
    CHECK(scope.clean());
  }
  { standstill::LeakScope left_alone(STANDSTILL_CHECK_QUIET); }
  standstill::LeakScope last;
  CHECK(last.end() == STANDSTILL_CLEAN);
  return 0;
}
