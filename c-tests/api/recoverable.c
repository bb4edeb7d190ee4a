// standstill_check_recoverable counts what is lost at each call anew, reports unless quiet, and leaves the check at exit alone.
// EXPECT: direct 5454 bytes in 2 objects, indirect 0 bytes in 0 objects
// STDERR: 4242 byte\(s\) leaked in 1 allocation[\s\S]*4242 byte\(s\) leaked in 1 allocation[\s\S]*5454 byte\(s\) leaked in 2 alloc
// STDERR-NOT: (SUMMARY[\s\S]*){4}
#include "standstill.h"
#include "support.h"

static void lose(void *size) { use(malloc((size_t)(uintptr_t)size)); }

static int check(uint32_t flags, uint64_t objects, uint64_t bytes) {
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  options.flags = flags;
  scrub();
  int code = standstill_check_recoverable(&options, &result);
  CHECK(result.direct_objects == objects && result.direct_bytes == bytes);
  CHECK(result.indirect_objects == 0 && result.suppressed_objects == 0 && result.possible_objects == 0);
  CHECK(result.size == sizeof result);
  return code;
}

int main(void) {
  CHECK(check(0, 0, 0) == STANDSTILL_CLEAN);
  clean_call(lose, (void *)(uintptr_t)4242);
  CHECK(check(0, 1, 4242) == STANDSTILL_LEAKS);
  CHECK(check(0, 1, 4242) == STANDSTILL_LEAKS);
  CHECK(check(STANDSTILL_CHECK_QUIET, 1, 4242) == STANDSTILL_LEAKS);
  clean_call(lose, (void *)(uintptr_t)1212);
  return 0;
}
