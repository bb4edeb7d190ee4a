// A check is begun and finished later: the descriptor tells when, no pipe is held meanwhile, what is lost after the fork does not count.
// FLAGS: -pthread
// EXPECT: clean
// EXPECT-WITH snapshot=0: clean
// ARGS: in-place
#include "snapshot.h"
#include "standstill.h"
#include <poll.h>
#include <sys/wait.h>

static pid_t copy;
static void *held;

static void note_copy(pid_t pid) {
  if (is_copy(pid)) copy = pid;
}

static void lose(void *unused) {
  (void)unused;
  held = NULL;
}

static void once(uint32_t how) {
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  struct standstill_pending *pending = NULL;
  int ends[2];
  options.snapshot = how;
  held = malloc(4242);
  CHECK(pipe(ends) == 0);
  CHECK(standstill_check_begin(&options, &pending) == STANDSTILL_DONE && pending != NULL);
  void *kept = held;
  uintptr_t hidden = hide(kept);
  clean_call(lose, NULL);
  kept = NULL;
  copy = 0;
  each_child(note_copy);
  int descriptor = standstill_check_descriptor(pending);
  if (how == STANDSTILL_SNAPSHOT_ALWAYS) {
    CHECK(copy > 0 && descriptor >= 0);
    /* As long as the copy stands it would hold what it has. */
    CHECK(kill(copy, SIGSTOP) == 0);
    close(ends[1]);
    struct pollfd reader = {ends[0], POLLIN, 0};
    CHECK(poll(&reader, 1, 10000) == 1 && (reader.revents & POLLHUP));
    CHECK(waitpid(-1, NULL, WNOHANG | WUNTRACED) == -1);
    CHECK(kill(copy, SIGCONT) == 0);
    struct pollfd end = {descriptor, POLLIN, 0};
    CHECK(poll(&end, 1, 10000) == 1);
    close(descriptor);
  } else {
    CHECK(copy == 0 && descriptor == -1);
    close(ends[1]);
  }
  close(ends[0]);
  CHECK(standstill_check_finish(pending, &result) == STANDSTILL_CLEAN);
  CHECK(result.on_snapshot == (how == STANDSTILL_SNAPSHOT_ALWAYS));
  CHECK(each_child(NULL) == 0);
  free(unhide(hidden));
}

int main(int count, char **arguments) {
  (void)arguments;
  uint32_t how = count > 1 ? STANDSTILL_SNAPSHOT_OPTION : STANDSTILL_SNAPSHOT_ALWAYS;
  once(how);
  start_sleeper();
  once(how);
  struct standstill_pending *pending = NULL;
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  CHECK(standstill_check_begin(&options, NULL) == STANDSTILL_BAD_ARGUMENT);
  options.snapshot = 4;
  CHECK(standstill_check_begin(&options, &pending) == STANDSTILL_BAD_ARGUMENT && pending == NULL);
  CHECK(standstill_check_finish(NULL, NULL) == STANDSTILL_BAD_ARGUMENT);
  CHECK(standstill_check_descriptor(NULL) == -1);
  return 0;
}
