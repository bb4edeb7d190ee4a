// With report_threads what was created and neither joined nor detached is told with the call stack that created it, and nothing else is.
// FLAGS: -pthread
// NOT-IN: archive: needs functions of the C library behind its own
// NOT-IN: static: needs functions of the C library behind its own
// REFERENCE: it does not watch threads
// EXPECT-WITH report_threads=1: clean
// STDERR: Neither joined nor detached: 2 thread\(s\) created from:\n +#0 [^\n]* pthread_create[^\n]*\n(?s:.*) in lose
// STDERR-NOT: Neither joined nor detached: [^2]
// EXPECT: clean
// STDERR-NOT: Neither
#include "support.h"
#include <errno.h>
#include <pthread.h>

static pthread_t create(void *(*body)(void *), const pthread_attr_t *attributes) {
  pthread_t thread;
  CHECK(pthread_create(&thread, attributes, body, NULL) == 0);
  return thread;
}

static volatile int finished;

static void *end(void *unused) {
  __atomic_fetch_add(&finished, 1, __ATOMIC_RELEASE);
  return unused;
}

static void *detach_itself(void *unused) {
  CHECK(pthread_detach(pthread_self()) == 0);
  return end(unused);
}

static void *wait_for_others(void *unused) {
  while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < 53) usleep(1000);
  return unused;
}

static NOINLINE void lose(void) {
  for (volatile int i = 0; i < 2; i++) (void)create(end, NULL);
}

int main(void) {
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
  pthread_t slow = create(wait_for_others, NULL);
  CHECK(pthread_tryjoin_np(slow, NULL) == EBUSY);
  lose();
  (void)create(end, &attributes);
  CHECK(pthread_detach(create(end, NULL)) == 0);
  for (int i = 0; i < 50; i++) (void)create(detach_itself, NULL);
  CHECK(pthread_join(slow, NULL) == 0);
  return 0;
}
