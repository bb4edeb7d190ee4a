// A heap object whose only pointer is in a thread-local variable of a dlopen'ed library is reachable: main's.
// PLUGIN: lib_tls.c
// FLAGS: -ldl
// REFERENCE: known to fail since glibc 2.27
// EXPECT: clean
// EXPECT-WITH use_tls=0:use_mappings=0: some leak of 4242 bytes in 1 object
#include "support.h"
#include <dlfcn.h>

static void (*volatile keep)(void *);

static void build(void *unused) {
  (void)unused;
  void *library = dlopen("liblib_tls.so", RTLD_NOW);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  keep = (void (*)(void *))dlsym(library, "lib_tls_keep");
  CHECK(keep != NULL);
  keep(malloc(4242));
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
