// Root words are as many as a program pleases. What they retain, when it is more than a snapshot can hand over, is left out of
// what the snapshot says, and named; its verdict comes home.
// FLAGS: -pthread
// REFERENCE: has no snapshots
// EXPECT-WITH snapshot=1:report_retained=2:verbosity=1:leak_check_at_exit=0: leak 4242 bytes in 1 object
// EXIT: 0
// STDERR: the survey was cut short: what roots retain \(report_retained\) takes more than a snapshot can hand over
// STDERR: note: a snapshot was scanned
// STDERR-NOT: checked again in place
// STDOUT: checked
#include "snapshot.h"
#include <pthread.h>

/* Sixteen bytes each are more than a snapshot has room for, beside what the leaks take. */
enum { ROOTS = 5600000 };
static void *volatile roots[ROOTS];

static void *rest(void *unused) {
  (void)unused;
  for (;;) pause();
  return NULL;
}

static void build(void *unused) {
  (void)unused;
  void *object = malloc(100);
  for (int i = 0; i < ROOTS; i++) roots[i] = object;
  use(malloc(4242));
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, rest, NULL) == 0);
  clean_call(build, NULL);
  CHECK(__lsan_do_recoverable_leak_check());
  printf("checked\n");
  return 0;
}
