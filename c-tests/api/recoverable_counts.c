// The result of a check has every class in its own field: direct, indirect, possible.
// EXPECT: some leak of 100 bytes in 1 object
#include "standstill.h"
#include "support.h"
#include <sys/mman.h>

static void build(void *unused) {
  (void)unused;
  void **head = (void **)memset(malloc(100), 0, 100);
  head[1] = memset(malloc(200), 0, 200);
  head[2] = memset(malloc(300), 0, 300);
  use(head);
  void **page = (void **)mmap((void *)0x100000000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  page[5] = malloc(4242);
}

int main(void) {
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  clean_call(build, NULL);
  CHECK(standstill_check_recoverable(NULL, &result) == STANDSTILL_LEAKS);
  CHECK(result.direct_objects == 1 && result.direct_bytes == 100);
  CHECK(result.indirect_objects == 2 && result.indirect_bytes == 500);
  CHECK(result.suppressed_objects == 0 && result.suppressed_bytes == 0);
  CHECK(result.possible_objects == 1 && result.possible_bytes == 4242);
  return 0;
}
