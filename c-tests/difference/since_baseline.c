// A check since a baseline tells of leaks that came later, also at addresses that were in use before, and of what grew.
// EXPECT-WITH malloc_context_size=3: leak 3100 bytes in 31 objects
// STDERR: Grew by 2100 byte\(s\) in 21 object\(s\) since baseline 1, now 3100 in 31
// STDERR: allocated after baseline 1
#include "support.h"

#include <standstill.h>

static uintptr_t hidden[64];
static int count;

/* With three frames one call stack for all. */
static NOINLINE void lose(int how_many) {
  for (int i = 0; i < how_many; i++) hidden[count++] = hidden_malloc(100);
}

static void ten(void *unused) {
  (void)unused;
  lose(10);
}

static void twenty(void *unused) {
  (void)unused;
  lose(20);
}

/* Free and malloc give the same address again: another object. */
static void renew(void *unused) {
  (void)unused;
  void *old = unhide(hidden[0]);
  free(old);
  for (int i = 0; i < 100; i++) {
    uintptr_t again = hidden_malloc(100);
    if (again == hidden[0]) return;
    free(unhide(again));
  }
  hidden[0] = hidden_malloc(100);
}

static uint64_t direct_since(uint32_t baseline, uint32_t flags) {
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  options.since = baseline;
  options.flags = flags;
  scrub();
  int code = standstill_check_recoverable(&options, &result);
  CHECK(code == STANDSTILL_CLEAN || code == STANDSTILL_LEAKS);
  CHECK((code == STANDSTILL_LEAKS) == (result.direct_objects > 0));
  return result.direct_objects;
}

static void again(void *unused) {
  (void)unused;
  lose(1);
}

int main(void) {
  clean_call(ten, NULL);
  uint32_t first = standstill_baseline();
  CHECK(first == 1);
  CHECK(direct_since(first, STANDSTILL_CHECK_QUIET) == 0 && direct_since(0, STANDSTILL_CHECK_QUIET) == 10);
  clean_call(twenty, NULL);
  CHECK(direct_since(first, STANDSTILL_CHECK_QUIET) == 20);
  uint32_t second = standstill_baseline();
  CHECK(second == 2 && direct_since(second, STANDSTILL_CHECK_QUIET) == 0);
  clean_call(renew, NULL);
  CHECK(direct_since(second, STANDSTILL_CHECK_QUIET) == 1 && direct_since(first, STANDSTILL_CHECK_QUIET) == 21);
  clean_call(again, NULL);
  CHECK(direct_since(first, 0) == 22);

  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  options.since = 3;
  CHECK(standstill_check_recoverable(&options, NULL) == STANDSTILL_BAD_ARGUMENT);
  for (uint32_t number = 3; number <= 8; number++) CHECK(standstill_baseline() == number);
  options.since = 2;
  options.flags = STANDSTILL_CHECK_QUIET;
  CHECK(standstill_check_recoverable(&options, NULL) == STANDSTILL_LEAKS);
  options.since = 1;
  CHECK(standstill_check_recoverable(&options, NULL) == STANDSTILL_BAD_ARGUMENT);
  return 0;
}
