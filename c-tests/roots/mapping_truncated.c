// A root region in a mapping of a file that was truncated (reading it faults) does not stop the check.
// REFERENCE: its tracer dies of SIGBUS
// EXPECT: leak 4242 bytes in 1 object
#include "support.h"
#include <sys/mman.h>

extern void __lsan_register_root_region(const void *, size_t);
static void *volatile root;

static void build(void *unused) {
  (void)unused;
  FILE *file = tmpfile();
  CHECK(file != NULL && ftruncate(fileno(file), 8192) == 0);
  void **words = (void **)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
  CHECK(words != MAP_FAILED);
  words[1000] = words;
  CHECK(ftruncate(fileno(file), 0) == 0);
  fclose(file);
  root = words;
  __lsan_register_root_region(words, 8192);
  use(malloc(4242));
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
