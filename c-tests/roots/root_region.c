// A heap object whose only pointer is in a registered root region is reachable, until the region is unregistered.
// EXPECT: clean
// EXPECT-WITH use_root_regions=0:use_mappings=0: leak 4242 bytes in 1 object
// EXPECT-WITH use_mappings=0: leak 4242 bytes in 1 object
// ARGS: unregister
#include "support.h"
#include <sys/mman.h>

extern void __lsan_register_root_region(const void *, size_t);
extern void __lsan_unregister_root_region(const void *, size_t);

/* A MAP_SHARED page of a file is in nobody's data and no anonymous memory, so that only the registration makes a root. */
static uintptr_t page;

static void build(void *unused) {
  (void)unused;
  FILE *file = tmpfile();
  CHECK(file != NULL && ftruncate(fileno(file), 4096) == 0);
  void **words = (void **)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
  CHECK(words != MAP_FAILED);
  fclose(file);
  words[17] = malloc(4242);
  page = hide(words);
  __lsan_register_root_region(words + 16, 64);
}

static void unregister(void *unused) {
  (void)unused;
  __lsan_unregister_root_region((void **)unhide(page) + 16, 64);
}

int main(int count, char **arguments) {
  (void)arguments;
  clean_call(build, NULL);
  if (count > 1) clean_call(unregister, NULL);
  return 0;
}
