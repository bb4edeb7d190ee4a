// A misuse is reported while another thread holds the loader's lock and waits for the one that made it.
// FLAGS: -pthread -ldl
// PLUGIN: lib_misuses.c
// REFERENCE: does not look
// EXPECT-WITH misuse=warn:free_stacks=1: status 0
// STDERR: double-free of 0x[\s\S]*lib_misuses[\s\S]*freed before by:[\s\S]*allocated by:
#include "support.h"
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

static void (*twice)(void);
static volatile int begun, done;

static void *misuse(void *unused) {
  await(&begun);
  twice();
  done = 1;
  return unused;
}

static int wait_in_callback(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)(info && size && unused);
  begun = 1;
  await(&done);
  return 1;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, misuse, NULL) == 0);
  void *library = dlopen("liblib_misuses.so", RTLD_NOW);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  twice = (void (*)(void))dlsym(library, "lib_misuses_twice");
  CHECK(twice != NULL && dl_iterate_phdr(wait_in_callback, NULL) == 1);
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
