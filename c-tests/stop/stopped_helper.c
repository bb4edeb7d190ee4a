// SIGSTOP to the program's process group in the middle of a check, and SIGCONT to the program alone: the check goes on at once.
// REFERENCE: its tracer stays stopped
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
#include "support.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { THREADS = 300 };
extern int __lsan_do_recoverable_leak_check(void);

/* The child of this thread that is not `known`, if there is one; where the kernel tells. */
static int stranger(int tid, int known) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", tid, tid);
  FILE *file = fopen(path, "r");
  size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file) fclose(file);
  text[length] = 0;
  for (char *at = text, *next; *at; at = next) {
    int id = (int)strtol(at, &next, 10);
    if (next == at) break;
    if (id != known) return id;
  }
  return 0;
}

static void stop_in_check(int program) {
  uint64_t until = now_ns() + UINT64_C(8000000000);
  int times = 0;
  while (times < 3 && now_ns() < until) {
    if (stranger(program, getpid()) == 0) continue;
    CHECK(kill(-program, SIGSTOP) == 0);
    usleep(50000);
    CHECK(kill(program, SIGCONT) == 0);
    usleep(300000);
    times++;
  }
  _exit(0);
}

static void *body(void *unused) {
  for (;;) pause();
  return unused;
}

int main(void) {
  CHECK(setpgid(0, 0) == 0);
  pid_t program = getpid(), child = fork();
  if (child == 0) {
    CHECK(setpgid(0, 0) == 0);
    usleep(200000);
    stop_in_check(program);
  }
  CHECK(child > 0);
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
  for (int i = 0; i < THREADS; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, &attributes, body, NULL) == 0);
  }
  uint64_t longest = 0;
  int status;
  do {
    uint64_t start = now_ns();
    CHECK(__lsan_do_recoverable_leak_check() == 0);
    if (now_ns() - start > longest) longest = now_ns() - start;
  } while (waitpid(child, &status, WNOHANG) == 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(longest < (uint64_t)slowness() * UINT64_C(5000000000));
  return 0;
}
