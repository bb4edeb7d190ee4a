// The process of a snapshot is killed, or finds no memory, or a task that helps it is killed: the check is made in place, and says so.
// FLAGS: -pthread
// REFERENCE: has no snapshots
// EXPECT-WITH snapshot=1: leak 4242 bytes in 1 objects
// EXIT: 0
// ARGS: kill
// STDERR: no snapshot, the program stands still during the scan: the snapshot's process ended early: it was killed by signal 9
// STDERR-NOT: could not check
// EXPECT-WITH snapshot=1:verbosity=1: leak 4242 bytes in 1 objects
// EXIT: 0
// ARGS: limit
// STDERR: note: the snapshot.s process (had no memory for the scan|ended early: \w+ failed) \(ENOMEM\): checked again in place, when the check was finished
// STDERR-NOT: could not check
// EXPECT-WITH snapshot=1:scan_threads=2: leak 4242 bytes in 1 objects
// EXIT: 0
// ARGS: worker
// STDERR: no snapshot, the program stands still during the scan: a task that helped to scan the snapshot was killed
// STDERR-NOT: could not check
#include "snapshot.h"
#include "standstill.h"
#include <pthread.h>
#include <sys/resource.h>

enum { BLOCKS = 64 };
static void *blocks[BLOCKS];
static volatile int done;
static const char *what;

static void kill_children_of(pid_t pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
  int fd = open(path, O_RDONLY);
  if (fd < 0) return;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return;
  text[got] = 0;
  for (char *at = text, *end; strtol(at, &end, 10) > 0; at = end) kill((pid_t)strtol(at, NULL, 10), SIGKILL);
}

static void disturb(pid_t pid) {
  const struct rlimit none = {0, 0};
  if (!is_copy(pid)) return;
  if (strcmp(what, "kill") == 0) kill(pid, SIGKILL);
  if (strcmp(what, "limit") == 0) prlimit(pid, RLIMIT_AS, &none, NULL);
  if (strcmp(what, "worker") == 0) kill_children_of(pid);
}

static void *disturber(void *unused) {
  while (!done) each_child(disturb);
  return unused;
}

int main(int count, char **arguments) {
  pthread_t thread;
  struct standstill_check_options options = STANDSTILL_OPTIONS_INIT;
  struct standstill_check_result result = STANDSTILL_RESULT_INIT;
  what = count > 1 ? arguments[1] : "kill";
  /* Work for the snapshot. */
  for (int i = 0; i < BLOCKS; i++) blocks[i] = use(memset(malloc(1 << 20), 1, 1 << 20));
  CHECK(pthread_create(&thread, NULL, disturber, NULL) == 0);
  /* One that was fast enough is clean. */
  int on_snapshot = 1;
  for (int i = 0; i < 1000 && on_snapshot; i++) {
    CHECK(standstill_check_recoverable(&options, &result) == STANDSTILL_CLEAN);
    on_snapshot = result.on_snapshot;
  }
  CHECK(!on_snapshot);
  done = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  /* The next is made on a snapshot again. */
  hidden_malloc(4242);
  CHECK(standstill_check_recoverable(&options, &result) == STANDSTILL_LEAKS);
  CHECK(result.on_snapshot);
  CHECK(each_child(NULL) == 0);
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
  _exit(0);
}
