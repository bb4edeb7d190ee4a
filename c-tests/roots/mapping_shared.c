// A heap object whose only pointer is in a shared file mapping that a global variable points to is reachable.
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
#include "support.h"
#include <sys/mman.h>

static void *volatile root;

static void build(void *unused) {
  (void)unused;
  FILE *file = tmpfile();
  CHECK(file != NULL && ftruncate(fileno(file), 8192) == 0);
  void **words = (void **)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
  CHECK(words != MAP_FAILED);
  fclose(file);
  words[17] = malloc(4242);
  root = words;
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
