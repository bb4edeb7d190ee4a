// A forked child has no part in its parent's snapshot: it cannot finish the check, the parent can.
// EXPECT: clean
// STDERR: could not check: the snapshot's process ended early
#include "snapshot.h"
#include "standstill.h"
#include <sys/wait.h>

static void *kept;

int main(void) {
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  struct standstill_pending *pending = NULL;
  kept = malloc(4242);
  options.snapshot = STANDSTILL_SNAPSHOT_ALWAYS;
  CHECK(standstill_check_begin(&options, &pending) == STANDSTILL_DONE);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(standstill_check_finish(pending, NULL));
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == STANDSTILL_COULD_NOT_CHECK);
  CHECK(standstill_check_finish(pending, NULL) == STANDSTILL_CLEAN);
  CHECK(each_child(NULL) == 0);
  free(kept);
  return 0;
}
