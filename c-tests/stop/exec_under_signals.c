// A program that makes one check after the other can exec at any moment; a stop by signal does not kill the new program.
// FLAGS: -pthread
// TIMEOUT: 90
// EXPECT: clean
// EXPECT-WITH ptrace=0: clean
#include "support.h"
#include <pthread.h>

extern int __lsan_do_recoverable_leak_check(void);

/* Each program makes checks in one thread and becomes the next by another; the last one ends. Only the preload's execv
 * is announced to a stop. */
enum { PROGRAMS = 40 };

static void *idle(void *unused) {
  for (;;) usleep(100000);
  return unused;
}

static void *check(void *unused) {
  for (;;)
    if (__lsan_do_recoverable_leak_check()) _exit(99);
  return unused;
}

int main(int count, char **arguments) {
  int number = count > 1 ? atoi(arguments[1]) : 0;
  const char *preload = getenv("LD_PRELOAD");
  if (number == PROGRAMS || preload == NULL || strstr(preload, "standstill") == NULL) return 0;
  pthread_t thread;
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&thread, NULL, i ? idle : check, NULL) == 0);
  usleep((useconds_t)(2000 + number * 397 % 6000));
  char next[16], *new_arguments[] = {arguments[0], next, NULL};
  snprintf(next, sizeof next, "%d", number + 1);
  execv("/proc/self/exe", new_arguments);
  return 99;
}
