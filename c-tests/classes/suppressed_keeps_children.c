// What a suppressed leak points to is suppressed with it.
// FLAGS: -rdynamic
// EXPECT: clean
#include "support.h"

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:make_head\n"; }

static void **head;

NOINLINE void make_head(void *unused) {
  (void)unused;
  head = (void **)memset(malloc(100), 0, 100);
  __asm__ volatile("");
}

static void build(void *unused) {
  (void)unused;
  make_head(NULL);
  head[2] = memset(malloc(4242), 0, 4242);
  head = NULL;
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
