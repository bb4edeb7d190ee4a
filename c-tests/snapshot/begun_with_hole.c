// A check that was begun on a snapshot which lacks memory is made again when it is finished, in place: what is lost in between counts.
// FLAGS: -pthread
// REFERENCE: has no snapshots
// EXPECT-WITH verbosity=1: status 23
// STDERR: note: the snapshot lacked memory that the program has: checked again in place, when the check was finished
#include "snapshot.h"
#include "standstill.h"
#include <sys/mman.h>

static void *volatile held;

static void lose(void *unused) {
  (void)unused;
  held = NULL;
}

int main(void) {
  start_sleeper();
  char *page = (char *)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  page[0] = 1;
  /* Nobody interposes this: only the snapshot finds the hole. */
  CHECK(syscall(SYS_madvise, page, 8192, MADV_DONTFORK) == 0);
  held = use(malloc(4242));
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  struct standstill_pending *pending = NULL;
  options.snapshot = STANDSTILL_SNAPSHOT_ALWAYS;
  CHECK(standstill_check_begin(&options, &pending) == STANDSTILL_DONE);
  clean_call(lose, NULL);
  CHECK(standstill_check_finish(pending, &result) == STANDSTILL_LEAKS);
  CHECK(result.on_snapshot == 0);
  return 0;
}
