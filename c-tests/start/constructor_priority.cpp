// The runtime is ready before the first constructor of the program (priority 101) and of static objects; what they lose is reported.
// EXPECT: leak 3636 bytes in 3 objects
#include "support.h"

static void lose(void *) { use(malloc(1212)); }

__attribute__((constructor(101))) static void first() { clean_call(lose, nullptr); }
__attribute__((constructor)) static void second() { clean_call(lose, nullptr); }

struct Static {
  Static() { clean_call(lose, nullptr); }
};
static Static object;

int main() { return use(&object) == nullptr; }
