// A region registered twice is a root until it is unregistered twice; of 1000 regions each is one.
// EXPECT: status 0
#include "support.h"
#include <sys/mman.h>

extern int __lsan_do_recoverable_leak_check(void);
extern void __lsan_register_root_region(const void *, size_t);
extern void __lsan_unregister_root_region(const void *, size_t);

static uintptr_t hidden[1000];

static void build(void *unused) {
  (void)unused;
  for (int i = 0; i < 1000; i++) {
    void **page = (void **)malloc(64);
    memset(page, 0, 64);
    hidden[i] = hide(page);
    __lsan_register_root_region(page + 1, 56);
    page[3] = page; /* so that the block itself is held by the region */
    page[7] = malloc(100);
  }
}

static void change(void *add) {
  for (int i = 0; i < 1000; i++)
    if (add)
      __lsan_register_root_region((void **)unhide(hidden[i]) + 1, 56);
    else
      __lsan_unregister_root_region((void **)unhide(hidden[i]) + 1, 56);
}

int main(void) {
  clean_call(build, NULL);
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  clean_call(change, &hidden);
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  clean_call(change, NULL);
  CHECK(__lsan_do_recoverable_leak_check() == 0);
  clean_call(change, NULL);
  CHECK(__lsan_do_recoverable_leak_check() == 1);
  _exit(0);
}
