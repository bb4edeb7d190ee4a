// What only a mapping holds that nothing points to is possible, never a leak, unless the user turns mappings off.
// REFERENCE: it knows nothing of mappings
// EXPECT: possible 4242 bytes in 1 object
// EXPECT-WITH use_mappings=0: leak 4242 bytes in 1 object
#include "support.h"
#include <sys/mman.h>

static void build(void *unused) {
  (void)unused;
  /* Far from everything: neighbours that touch are one. */
  void **words = (void **)mmap((void *)0x100000000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(words != MAP_FAILED);
  words[30] = malloc(4242);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
