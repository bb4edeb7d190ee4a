// The same in a program at a fixed address: what the loader takes for the address of poll is then in the program.
// FLAGS: -pthread -ldl -fno-pie -no-pie -Wno-unused-command-line-argument
// PLUGIN: lib_constructor_waits.c
// EXPECT: clean
#include "support.h"
#include <dlfcn.h>
#include <poll.h>

static int (*volatile own_poll)(struct pollfd *, nfds_t, int) = poll;

int main(void) {
  CHECK(dlsym(RTLD_DEFAULT, "poll") == (void *)own_poll);
  void *library = dlopen("liblib_constructor_waits.so", RTLD_NOW);
  if (library == NULL) failed(__FILE__, __LINE__, dlerror());
  volatile int *done = (volatile int *)dlsym(library, "lib_constructor_waits_done");
  CHECK(done != NULL && *done == 1);
  return 0;
}
