// An ignored object is no leak, nor is what it points to; ignoring works by any pointer into the object, small or large.
// EXPECT: clean
// ARGS: 0
// EXPECT: clean
// ARGS: 77
// EXPECT: clean
// ARGS: 2000000
// EXPECT: direct 3000000 bytes in 1 object, indirect 4242 bytes in 1 object
// ARGS: none
#include "support.h"

extern void __lsan_ignore_object(const void *);

static void build(void *argument) {
  const char *offset = (const char *)argument;
  char *object = (char *)calloc(1, 3000000);
  ((void **)object)[200] = memset(malloc(4242), 0, 4242);
  if (strcmp(offset, "none") != 0) __lsan_ignore_object(object + atol(offset));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  clean_call(build, arguments[1]);
  return 0;
}
