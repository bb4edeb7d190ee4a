// Unregistering a region that is not registered says so in one line; an empty region and one that wraps around do no harm.
// EXPECT: clean
// ARGS: unknown
// STDERR: (?m)^==\d+==Standstill: standstill_unregister_root_region.*not registered
// EXPECT: clean
// ARGS: empty
// EXPECT: clean
// ARGS: wrapping
// EXPECT: clean
// ARGS: twice
#include "standstill.h"
#include "support.h"

static char place[100];

int main(int count, char **arguments) {
  CHECK(count == 2);
  switch (arguments[1][0]) {
    case 'u': standstill_unregister_root_region(place, 100); break;
    case 'e': standstill_register_root_region(place, 0); break;
    case 'w': standstill_register_root_region(place, SIZE_MAX); break;
    default:
      standstill_register_root_region(place, 100);
      standstill_register_root_region(place, 100);
      standstill_unregister_root_region(place, 100);
      standstill_unregister_root_region(place, 100);
  }
  return 0;
}
