// standstill_check_recoverable takes NULL for both structs, refuses sizes and bits that it does not know, and takes smaller and zero-filled larger structs.
// EXPECT: clean
#include "standstill.h"
#include "support.h"

int main(void) {
  struct {
    struct standstill_check_options known;
    uint64_t unknown[2];
  } options = {STANDSTILL_OPTIONS_INIT, {0, 0}};
  struct {
    struct standstill_check_result known;
    uint64_t unknown;
  } result = {STANDSTILL_RESULT_INIT, 77};
  CHECK(standstill_check_recoverable(NULL, NULL) == STANDSTILL_CLEAN);
  CHECK(standstill_check_recoverable(&options.known, &result.known) == STANDSTILL_CLEAN);
  options.known.size = sizeof options;
  CHECK(standstill_check_recoverable(&options.known, NULL) == STANDSTILL_CLEAN);
  options.unknown[1] = 1;
  CHECK(standstill_check_recoverable(&options.known, NULL) == STANDSTILL_BAD_ARGUMENT);
  options.known.size = 3;
  CHECK(standstill_check_recoverable(&options.known, NULL) == STANDSTILL_BAD_ARGUMENT);
  options.known.size = sizeof(size_t);
  CHECK(standstill_check_recoverable(&options.known, NULL) == STANDSTILL_CLEAN);
  options.known.size = sizeof options.known;
  options.known.flags = UINT32_C(1) << 31;
  CHECK(standstill_check_recoverable(&options.known, NULL) == STANDSTILL_BAD_ARGUMENT);
  /* A smaller result is filled as far as it goes. */
  result.known.size = offsetof(struct standstill_check_result, direct_bytes);
  result.known.direct_bytes = 4711;
  CHECK(standstill_check_recoverable(NULL, &result.known) == STANDSTILL_CLEAN);
  CHECK(result.known.direct_objects == 0 && result.known.direct_bytes == 4711);
  result.known.size = 0;
  CHECK(standstill_check_recoverable(NULL, &result.known) == STANDSTILL_BAD_ARGUMENT);
  CHECK(result.unknown == 77);
  return 0;
}
