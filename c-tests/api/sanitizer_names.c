// The parts of the __sanitizer_ interface that fuzzers link: sizes and owners of blocks, malloc hooks, the death callback.
// REFERENCE: gcc's crashes when asked about a pointer to no block
// EXPECT: clean
// EXPECT: status 23
// ARGS: die
// STDOUT: death callback
#include "support.h"

extern size_t __sanitizer_get_allocated_size(const void *);
extern int __sanitizer_get_ownership(const void *);
extern size_t __sanitizer_get_current_allocated_bytes(void);
extern int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t), void (*)(const volatile void *));
extern void __sanitizer_set_death_callback(void (*)(void));
extern void __lsan_enable(void);

static size_t bytes_seen;
static int mallocs, frees;
static void on_malloc(const volatile void *block, size_t size) {
  mallocs += block != NULL;
  bytes_seen += size;
}
static void on_free(const volatile void *block) { frees += block != NULL; }
static void on_death(void) {
  if (write(1, "death callback\n", 15) != 15) abort();
}

int main(int count, char **arguments) {
  (void)arguments;
  __sanitizer_set_death_callback(on_death);
  if (count > 1) __lsan_enable();
  char *block = (char *)use(malloc(4242));
  int stack;
  CHECK(__sanitizer_get_allocated_size(block) == 4242);
  CHECK(__sanitizer_get_ownership(block) == 1 && __sanitizer_get_ownership(&stack) == 0);
  CHECK(__sanitizer_get_current_allocated_bytes() >= 4242);
  CHECK(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
  free(use(malloc(1212)));
  CHECK(mallocs == 1 && frees == 1 && bytes_seen == 1212);
  free(block);
  return 0;
}
