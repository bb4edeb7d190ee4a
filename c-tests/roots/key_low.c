// A heap object whose only pointer is the value of one of the first 32 pthread keys is reachable: main's and a thread's.
// FLAGS: -pthread
// EXPECT: clean
// ARGS: main
// EXPECT: clean
// ARGS: thread
// EXPECT-WITH use_tls=0: some leak of 4242 bytes in 1 object
// ARGS: main
// NOT-IN: musl: there the main thread's storage is part of libc's own data, which use_tls=0 leaves
// EXPECT-WITH use_tls=0: some leak of 4242 bytes in 1 object
// ARGS: thread
#include "support.h"
#include <pthread.h>

enum { KEYS_BEFORE = 0 };
static pthread_key_t key;
static volatile int ready;

static void build(void *unused) {
  (void)unused;
  CHECK(pthread_setspecific(key, malloc(4242)) == 0);
}

static void *holder(void *unused) {
  clean_call(build, NULL);
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

int main(int count, char **arguments) {
  pthread_t thread;
  CHECK(count == 2);
  for (int i = 0; i <= KEYS_BEFORE; i++) CHECK(pthread_key_create(&key, NULL) == 0);
  if (strcmp(arguments[1], "main") == 0) {
    clean_call(build, NULL);
    return 0;
  }
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  return 0;
}
