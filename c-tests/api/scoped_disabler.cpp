// LSan's own header compiles and links: ScopedDisabler and every function of lsan_interface.h.
// EXPECT: clean
#if defined(__has_include) && __has_include(<sanitizer/lsan_interface.h>)
#include <sanitizer/lsan_interface.h>

#include "support.h"

static void *volatile kept[2];

static void build(void *) {
  __lsan::ScopedDisabler disabler;
  use(new int[100]);
}

int main() {
  clean_call(build, nullptr);
  __lsan_register_root_region(const_cast<void **>(kept), sizeof kept);
  __lsan_unregister_root_region(const_cast<void **>(kept), sizeof kept);
  __lsan_ignore_object(kept[0]);
  return __lsan_do_recoverable_leak_check();
}
#else
#include "support.h"
int main() { skip("no sanitizer/lsan_interface.h here"); }
#endif
