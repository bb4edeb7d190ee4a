// A thousand threads that wait, each with an object on its stack and one in its TLS: all are found.
// FLAGS: -pthread
// TIMEOUT: 60
// EXPECT: clean
// EXPECT-WITH use_stacks=0: leak 1212000 bytes in 1000 objects
#include "support.h"
#include <pthread.h>

static __thread void *volatile in_tls;
static volatile int ready;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void build(void *unused) {
  (void)unused;
  in_tls = malloc(2323);
}

static void *body(void *unused) {
  void *volatile mine = unhide(hidden_malloc(1212));
  use((void *)&mine);
  clean_call(build, NULL);
  scrub();
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  pthread_mutex_lock(&gate);
  return mine ? unused : NULL;
}

int main(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 512 << 10) == 0);
  pthread_mutex_lock(&gate);
  for (int i = 0; i < 1000; i++)
    if (pthread_create(&thread, &attributes, body, NULL) != 0) skip("a thousand threads are not to be had here");
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < 1000) usleep(1000);
  scrub();
  exit(0);
}
