// malloc, calloc, realloc and free do what C and POSIX say: contents, zeroing, alignment, distinct zero-size blocks, free(NULL), errno kept by free.
// REFERENCE: gcc's crashes in malloc_usable_size(NULL)
// EXPECT: clean
#include "support.h"
#include <errno.h>
#include <malloc.h>

static void fill(unsigned char *block, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++) block[i] = (unsigned char)(seed + i * 7);
}
static void verify(const unsigned char *block, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++) CHECK(block[i] == (unsigned char)(seed + i * 7));
}

int main(void) {
  static unsigned char *blocks[3000];
  size_t sizes[3000];
  for (unsigned i = 0; i < 3000; i++) {
    sizes[i] = i < 1200 ? i : (size_t)i * i % 30000;
    CHECK((blocks[i] = (unsigned char *)malloc(sizes[i])) != NULL);
    CHECK((uintptr_t)blocks[i] % 16 == 0);
    CHECK(malloc_usable_size(blocks[i]) >= sizes[i]);
    fill(blocks[i], sizes[i], i);
  }
  for (unsigned i = 0; i < 3000; i += 3) {
    verify(blocks[i], sizes[i], i);
    free(blocks[i]);
    CHECK((blocks[i] = (unsigned char *)calloc(sizes[i] / 8 + 1, 8)) != NULL);
    for (size_t k = 0; k < sizes[i]; k++) CHECK(blocks[i][k] == 0);
    fill(blocks[i], sizes[i], i);
  }
  for (unsigned i = 1; i < 3000; i += 3) {
    size_t grown = sizes[i] * 3 + 1, kept = sizes[i];
    CHECK((blocks[i] = (unsigned char *)realloc(blocks[i], grown)) != NULL);
    verify(blocks[i], kept, i);
    CHECK((blocks[i] = (unsigned char *)realloc(blocks[i], kept / 2 + 1)) != NULL);
    verify(blocks[i], kept / 2, i);
    sizes[i] = kept / 2;
  }
  for (unsigned i = 0; i < 3000; i++) {
    verify(blocks[i], sizes[i], i);
    errno = 4711;
    free(blocks[i]);
    CHECK(errno == 4711);
    blocks[i] = NULL;
  }
  free(NULL);
  void *volatile none = realloc(NULL, 100);
  CHECK(none != NULL);
  free(none);
  CHECK(malloc_usable_size(NULL) == 0);
  return 0;
}
