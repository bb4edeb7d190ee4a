// A library opened with RTLD_DEEPBIND uses the same heap as the program: blocks cross in both directions, and its leak is seen.
// PLUGIN: lib_deepbind.c
// FLAGS: -ldl
// REFERENCE: crashes in libc's free
// NOT-IN: musl: musl knows no RTLD_DEEPBIND
// EXPECT: leak 4343 bytes in 1 object
#include "support.h"
#include <dlfcn.h>

static void exchange(void *unused) {
  (void)unused;
  void *library = dlopen("liblib_deepbind.so", RTLD_NOW | RTLD_DEEPBIND);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  void *(*plugin)(void *, size_t) = (void *(*)(void *, size_t))dlsym(library, "lib_deepbind_exchange");
  CHECK(plugin != NULL);
  for (size_t size = 1; size < 3000; size++) free(plugin(malloc(size), size));
  use(plugin(NULL, 4343));
}

int main(void) {
  clean_call(exchange, NULL);
  return 0;
}
