// A heap object whose only pointer is in a global variable of a dlopen'ed library is reachable.
// PLUGIN: lib_global.c
// FLAGS: -ldl
// EXPECT: clean
// EXPECT-WITH use_globals=0: some leak of 4242 bytes in 1 object
#include "support.h"
#include <dlfcn.h>

static void build(void *unused) {
  (void)unused;
  void *library = dlopen("liblib_global.so", RTLD_NOW);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  void (*keep)(void *) = (void (*)(void *))dlsym(library, "lib_global_keep");
  CHECK(keep != NULL);
  keep(malloc(4242));
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
