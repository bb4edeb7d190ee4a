// Reachability goes from heap to mapping to heap and back, also through a mapping that is split by a PROT_NONE page.
// REFERENCE: it knows nothing of mappings
// EXPECT: clean
#include "support.h"
#include <sys/mman.h>

static void *volatile root;

static char *map(void) {
  char *pages = (char *)mmap(NULL, 7 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  return pages;
}

static void build(void *unused) {
  (void)unused;
  void **first = (void **)malloc(100);
  char *one = map(), *two = map();
  void **second = (void **)malloc(200);
  root = first;
  first[3] = one;
  ((void **)(one + 6 * PAGE))[7] = second; /* behind the page that cannot be read */
  CHECK(mprotect(one + 3 * PAGE, PAGE, PROT_NONE) == 0);
  second[9] = two + PAGE;
  ((void **)two)[1] = malloc(4242);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
