// A heap object whose only pointer is in memory that became read-only after it was written (as after RELRO) is reachable.
// EXPECT: clean
// REFERENCE: it looks at writable segments only
#include "support.h"
#include <sys/mman.h>

static struct {
  void *volatile root;
  char rest[PAGE - sizeof(void *)];
} page __attribute__((aligned(PAGE))) = {(void *)1, {0}};

static void build(void *unused) {
  (void)unused;
  page.root = malloc(4242);
  CHECK(mprotect((void *)&page, sizeof page, PROT_READ) == 0);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
