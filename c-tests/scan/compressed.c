// What only pointers of 32 bits hold is a leak, and with compressed_pointers it is possible: low bits of addresses, and
// offsets from a base, in both halves of words and in the last bytes of a block whose size is no multiple of a word.
// EXPECT: leak 6363 bytes in 3 objects
// EXPECT-WITH compressed_pointers=heap+4: possible 6363 bytes in 3 objects
// EXPECT-WITH compressed_pointers='heap:4':report_possible=1: possible 6363 bytes in 3 objects
// STDERR: Possible leak of 2122 byte
// EXPECT-WITH compressed_pointers=heap+5: leak 6363 bytes in 3 objects
// EXPECT-WITH compressed_pointers=heap: leak 6363 bytes in 3 objects
// STDERR: 'heap' is not a value for compressed_pointers, which takes: BASE\+SHIFT, .*Ignored; the default is none
// EXPECT-WITH compressed_pointers=0x10000+16: possible 6363 bytes in 3 objects
// ARGS: offsets
// EXPECT-WITH compressed_pointers=0x10000+15: leak 6363 bytes in 3 objects
// ARGS: offsets
#include "support.h"

/* Three are an odd number of halves of a word. */
struct references {
  uint32_t of[3];
};

static struct references *volatile references;
static volatile uint32_t reference;
static int offsets;

static uint32_t compressed(size_t size) {
  void *object = NULL;
  if (!offsets) return (uint32_t)((uintptr_t)malloc(size) >> 4);
  // So far apart that an offset has 32 bits in any part of memory.
  CHECK(posix_memalign(&object, 65536, size) == 0);
  return (uint32_t)(((uintptr_t)object - 65536) >> 16);
}

static void build(void *unused) {
  (void)unused;
  references = (struct references *)calloc(1, sizeof *references);
  references->of[2] = compressed(2121);
  references->of[1] = compressed(2120);
  reference = compressed(2122);
}

int main(int count, char **arguments) {
  (void)arguments;
  offsets = count > 1;
  clean_call(build, NULL);
  return 0;
}
