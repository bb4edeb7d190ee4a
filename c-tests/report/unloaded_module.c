// A leak made by a library that was unloaded before the check still names the library.
// PLUGIN: lib_loses.c
// FLAGS: -ldl
// REFERENCE: says <unknown module>
// EXPECT: some leak of 4242 bytes in 1 object
// STDERR: liblib_loses\.so|lib_loses .*lib_loses\.c
// STDERR-NOT: unknown module
#include "support.h"
#include <dlfcn.h>

static void build(void *unused) {
  (void)unused;
  void *library = dlopen("liblib_loses.so", RTLD_NOW);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  void (*lose)(void) = (void (*)(void))dlsym(library, "lib_loses");
  CHECK(lose != NULL);
  lose();
  CHECK(dlclose(library) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
