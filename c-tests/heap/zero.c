// With zero=1 all memory is handed out zeroed, also what realloc adds; without it, what a block's last owner left may be
// there, but calloc's never.
// EXPECT-WITH zero=1: status 0
// ARGS: all
// EXPECT: status 0
// ARGS: calloc
#include "support.h"

static int is_zero(const unsigned char *block, size_t from, size_t to) {
  for (size_t i = from; i < to; i++)
    if (block[i]) return 0;
  return 1;
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  int all = !strcmp(arguments[1], "all");
  static const size_t sizes[] = {1, 24, 100, 1000, 5000, 70000, 300000, 3000000};
  for (int round = 0; round < 20; round++)
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
      size_t size = sizes[n];
      unsigned char *block = (unsigned char *)use(all ? malloc(size) : calloc(1, size));
      CHECK(block && is_zero(block, 0, size));
      memset(block, 0xa5, size);
      if (all) {
        // Smaller, and larger again: the end must not come back.
        size_t half = size / 2 + 1;
        block = (unsigned char *)use(realloc(block, half));
        CHECK(block);
        block = (unsigned char *)use(realloc(block, size + size / 3));
        CHECK(block && is_zero(block, half, size + size / 3));
        CHECK(!is_zero(block, 0, half));
        memset(block, 0xa5, size + size / 3);
      }
      free(block);
    }
  return 0;
}
