// A hundred threads that sleep in all sorts of calls are not woken by a check that finds nothing lost, though one holds its
// object on its stack and one in its TLS; what is lost is found all the same.
// FLAGS: -pthread
// TIMEOUT: 60
// NOT-IN: musl: only glibc has the list of threads that leads to their TLS without a stop
// NOT-IN: static: in a static program it is not found
// EXPECT: clean
// EXPECT: leak 777 bytes in 1 object
// ARGS: lose
// STDERR-NOT: leaks: 777 [^\n]*\n[^\n]*none was stopped
#include "asleep.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

extern int __lsan_do_recoverable_leak_check(void);

enum { THREADS = 100, CHECKS = 20 };

static __thread void *volatile in_tls;
static volatile int ready;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static int ends[2];

static void build(void *unused) {
  (void)unused;
  in_tls = malloc(2323);
}

static void wait_somewhere(int how) {
  struct timespec long_time = {1000, 0};
  struct pollfd end = {.fd = ends[0], .events = POLLIN};
  char byte;
  switch (how % 6) {
  case 0: pthread_mutex_lock(&gate); break;
  case 1: sem_wait(&semaphore); break;
  case 2: poll(&end, 1, -1); break;
  case 3: CHECK(read(ends[0], &byte, 1) == 1); break;
  case 4: nanosleep(&long_time, NULL); break;
  case 5: {
    pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&own);
    pthread_cond_wait(&never, &own);
    break;
  }
  }
}

static void *body(void *number) {
  void *volatile mine = unhide(hidden_malloc(1212));
  use((void *)&mine);
  clean_call(build, NULL);
  scrub();
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  wait_somewhere((int)(uintptr_t)number);
  return mine ? number : NULL;
}

static void lose(void *unused) {
  (void)unused;
  use(malloc(777));
}

int main(int count, char **arguments) {
  (void)arguments;
  pthread_attr_t attributes;
  pthread_t thread;
  take_few_cpus();
  CHECK(pipe(ends) == 0 && sem_init(&semaphore, 0, 0) == 0);
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 512 << 10) == 0);
  pthread_mutex_lock(&gate);
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_create(&thread, &attributes, body, (void *)(uintptr_t)i) == 0);
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < THREADS) usleep(1000);
  await_sleep(THREADS);
  scrub();
  long before = switches_of_others();
  for (int i = 0; i < CHECKS; i++) CHECK(__lsan_do_recoverable_leak_check() == 0);
  CHECK(switches_of_others() == before);
  if (count > 1) clean_call(lose, NULL);
  scrub();
  exit(0);
}
