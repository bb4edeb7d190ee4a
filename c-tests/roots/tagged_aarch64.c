// The only pointers to a chain of objects have tags in the byte that an aarch64 CPU ignores: they are in use, and lead on, in globals and inside of objects.
// REFERENCE: it knows no tags
// EXPECT: clean
// EXPECT-WITH use_globals=0: some leak of 4242 bytes in 1 object
#include "support.h"

#if defined(__aarch64__)

static void *volatile root = (void *)1;

static void *tagged(void *pointer, uintptr_t tag) { return (void *)((uintptr_t)pointer | tag << 56); }

static void build(void *unused) {
  (void)unused;
  void **first = malloc(4242);
  first[3] = tagged(malloc(24), 0xff);
  root = tagged(first, 0x2a);
}

int main(void) {
  clean_call(build, NULL);
  /* Ordinary use: the CPU takes the tag off. */
  CHECK(((void **)root)[3] != NULL);
  return 0;
}

#else
int main(void) { skip("written for aarch64"); }
#endif
