// A plugin that allocates, and frees what it is given. Part of deepbind.
#include <stdlib.h>

void *lib_deepbind_exchange(void *old, size_t size) {
  free(old);
  return malloc(size);
}
