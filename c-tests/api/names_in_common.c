// standstill_ and __lsan_ names act on one state: what one disables, ignores or registers, the other enables or unregisters.
// EXPECT: clean
#include "standstill.h"
#include "support.h"

extern void __lsan_disable(void);
extern void __lsan_enable(void);
extern void __lsan_register_root_region(const void *, size_t);

static void *place[4];

static void build(void *unused) {
  (void)unused;
  standstill_disable();
  __lsan_disable();
  use(malloc(100));
  standstill_enable();
  use(malloc(200));
  __lsan_enable();
  standstill_ignore_object(use(malloc(300)));
  standstill_ignore_object(NULL);
  standstill_ignore_object(place);
}

int main(void) {
  CHECK(standstill_version() == STANDSTILL_VERSION);
  clean_call(build, NULL);
  __lsan_register_root_region(place, sizeof place);
  standstill_unregister_root_region(place, sizeof place);
  return 0;
}
