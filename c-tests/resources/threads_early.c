// With report_threads a thread may free the variable that its name is stored in, and be joined by another, before pthread_create has returned.
// FLAGS: -pthread
// NOT-IN: archive: needs functions of the C library behind its own
// NOT-IN: static: needs functions of the C library behind its own
// REFERENCE: it does not watch threads
// EXPECT-WITH report_threads=1: clean
// STDERR-NOT: Neither
#include "support.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif
#ifndef SCHED_IDLE
#define SCHED_IDLE 5
#endif

static volatile int joined;

static void *join(void *thread) {
  CHECK(pthread_join((pthread_t)thread, NULL) == 0);
  __atomic_fetch_add(&joined, 1, __ATOMIC_RELEASE);
  return NULL;
}

static void *tell_and_free(void *page) {
  pthread_t *name = page;
#ifdef __GLIBC__
  CHECK(pthread_equal(*name, pthread_self()));
#endif
  CHECK(munmap(page, 4096) == 0);
  pthread_t other;
  CHECK(pthread_create(&other, NULL, join, (void *)pthread_self()) == 0 && pthread_detach(other) == 0);
  return NULL;
}

/* Here a new thread runs at once, and its maker goes on when there is nothing else to do. */
static void wait_behind_new_threads(void) {
  struct sched_param none;
  cpu_set_t one;
  memset(&none, 0, sizeof none);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CHECK(syscall(SYS_sched_setaffinity, 0, sizeof one, &one) == 0);
  CHECK(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none) == 0);
}

int main(void) {
  wait_behind_new_threads();
  for (int i = 0; i < 100; i++) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && pthread_create((pthread_t *)use(page), NULL, tell_and_free, page) == 0);
    while (__atomic_load_n(&joined, __ATOMIC_ACQUIRE) <= i) usleep(100);
  }
  return 0;
}
