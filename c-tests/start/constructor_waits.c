// A library's constructor may wait, inside dlopen, for a thread that is the first of the process to call what the preload stands before.
// FLAGS: -pthread -ldl
// PLUGIN: lib_constructor_waits.c
// EXPECT: clean
#include "support.h"
#include <dlfcn.h>

int main(void) {
  void *library = dlopen("liblib_constructor_waits.so", RTLD_NOW);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  volatile int *done = (volatile int *)dlsym(library, "lib_constructor_waits_done");
  CHECK(done != NULL && *done == 1);
  return 0;
}
