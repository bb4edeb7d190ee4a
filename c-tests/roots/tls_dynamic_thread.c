// A heap object whose only pointer is in a thread-local variable of a dlopen'ed library is reachable: a thread's.
// PLUGIN: lib_tls.c
// FLAGS: -ldl -pthread
// REFERENCE: known to fail since glibc 2.27
// EXPECT: clean
// EXPECT-WITH use_tls=0:use_mappings=0: some leak of 4242 bytes in 1 object
#include "support.h"
#include <dlfcn.h>
#include <pthread.h>

static void (*volatile keep)(void *);
static volatile int ready;

static void build(void *unused) {
  (void)unused;
  keep(malloc(4242));
}

static void *holder(void *unused) {
  clean_call(build, NULL);
  __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return unused;
}

int main(void) {
  pthread_t thread;
  void *library = dlopen("liblib_tls.so", RTLD_NOW);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  keep = (void (*)(void *))dlsym(library, "lib_tls_keep");
  CHECK(keep != NULL);
  CHECK(pthread_create(&thread, NULL, holder, NULL) == 0);
  await(&ready);
  return 0;
}
