// free() ends the ignoring of an object; realloc() keeps it.
// REFERENCE: realloc() clears the mark there
// EXPECT: leak 96 bytes in 1 object
// ARGS: free
// EXPECT: clean
// ARGS: realloc
#include "support.h"

extern void __lsan_ignore_object(const void *);

static void build(void *with_realloc) {
  uintptr_t object = hidden_malloc(96);
  __lsan_ignore_object(unhide(object));
  if (with_realloc) {
    use(realloc(unhide(object), 100000));
    return;
  }
  free(unhide(object));
  /* The same block comes again; any block will do for the claim. */
  use(malloc(96));
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  clean_call(build, strcmp(arguments[1], "realloc") == 0 ? arguments : NULL);
  return 0;
}
