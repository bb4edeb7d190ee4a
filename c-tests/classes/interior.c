// A pointer to any byte inside an object keeps it, also to its last byte and of a large object; one past its end does not.
// EXPECT: clean
// ARGS: 1 100
// EXPECT: clean
// ARGS: 99 100
// EXPECT: clean
// ARGS: 4241 4242
// EXPECT: clean
// ARGS: 5000000 5000001
// EXPECT: clean
// ARGS: 33554431 33554432
// EXPECT: leak 112 bytes in 1 object
// ARGS: 112 112
// EXPECT: leak 4096 bytes in 1 object
// ARGS: 4096 4096
#include "support.h"

static char *volatile root;
static size_t offset, size;

static void build(void *unused) {
  (void)unused;
  root = (char *)malloc(size) + offset;
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  offset = strtoul(arguments[1], NULL, 10);
  size = strtoul(arguments[2], NULL, 10);
  clean_call(build, NULL);
  return 0;
}
