// What a program can see of its children and signals is as without a snapshot; after 200 checks nothing is left.
// FLAGS: -pthread
// REFERENCE: is not asked about snapshots
// TIMEOUT: 60
// EXPECT-WITH snapshot=1: clean
// STDERR: a snapshot was scanned
#include "snapshot.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

static volatile int stop, signals, copies;

static void on_child(int signal) {
  (void)signal;
  __atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
}

static void count_copy(pid_t pid) {
  if (is_copy(pid)) __atomic_fetch_add(&copies, 1, __ATOMIC_RELAXED);
}

static void *waiter(void *unused) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    errno = 0;
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    each_child(count_copy);
  }
  return unused;
}

static void *blocks[32];

static int lines(const char *path) {
  int count = 0, fd = open(path, O_RDONLY);
  char text[4096];
  for (ssize_t got; (got = read(fd, text, sizeof text)) > 0;)
    for (ssize_t i = 0; i < got; i++) count += text[i] == '\n';
  close(fd);
  return count;
}

static int descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (readdir(folder) != NULL) count++;
  closedir(folder);
  return count;
}

int main(void) {
  pthread_t thread;
  signal(SIGCHLD, on_child);
  for (int i = 0; i < 32; i++) blocks[i] = use(memset(malloc(1 << 20), 1, 1 << 20));
  for (int i = 0; i < 3; i++) CHECK(!__lsan_do_recoverable_leak_check());
  int mappings = lines("/proc/self/maps"), open_files = descriptors();
  CHECK(pthread_create(&thread, NULL, waiter, NULL) == 0);
  for (int i = 0; i < repeats(200); i++) {
    errno = 4242;
    CHECK(!__lsan_do_recoverable_leak_check());
    CHECK(errno == 4242);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(signals == 0);
  CHECK(copies > 0);
  CHECK(each_child(NULL) == 0);
  CHECK(descriptors() == open_files);
  /* The thread has come and gone: its stack stays for the next one. */
  CHECK(lines("/proc/self/maps") <= mappings + 8);
  for (int i = 0; i < 32; i++) free(blocks[i]);
  return 0;
}
