// Unregistering a region that is not registered, and registering an empty or wrapping one, ends the process with one clear line.
// EXPECT: status 23
// ARGS: unknown
// STDERR: (?m)^==\d+==Standstill: the root region .* not registered
// EXPECT: status 23
// ARGS: empty
// STDERR: (?m)^==\d+==Standstill: a root region .* empty or wraps
// EXPECT: status 23
// ARGS: wrapping
// STDERR: (?m)^==\d+==Standstill: a root region .* empty or wraps
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
