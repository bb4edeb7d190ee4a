// With use_unaligned=1 a pointer in the last bytes of a packed struct, whose size is no multiple of a word, makes what it
// points to possible. Without it that is a leak.
// EXPECT: leak 4242 bytes in 1 object
// EXPECT-WITH use_unaligned=1: possible 4242 bytes in 1 object
#include "support.h"

struct __attribute__((packed)) node {
  int number;
  char *text;
};

static struct node *volatile node;

static void build(void *unused) {
  (void)unused;
  node = malloc(sizeof *node);
  node->number = 1;
  node->text = malloc(4242);
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
