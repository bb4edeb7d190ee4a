// A fully static executable with the archive inside is checked as any other.
// FORMS: static
// FLAGS: -static
// REFERENCE: crashes
// EXPECT: leak 4242 bytes in 1 object
// EXPECT: clean
// ARGS: clean
#include "support.h"

static void *volatile root;
static __thread void *volatile in_tls;

static void build(void *keep) {
  in_tls = malloc(1212);
  void *object = use(malloc(4242));
  if (keep) root = object;
}

int main(int count, char **arguments) {
  clean_call(build, count > 1 ? arguments : NULL);
  return 0;
}
