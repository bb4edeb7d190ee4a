// What a check calls possible since only a doubtful pointer holds it is explained so, and not as a leak or as plainly alive.
// EXPECT-WITH explain=4242:explain_referrers=3:pointer_mask=0xffffffffffff: possible 4242 bytes in 1 object
// STDERR: Alive: 4242 byte\(s\)[^\n]*\n( +#[^\n]*\n)* +held by\n +possibly (a )?variable [^\n]*\n +-> the object\n +pointed to by 1 word\(s\)\n +possibly (a )?variable 
// STDERR-NOT: nothing holds it
// EXPECT-WITH explain=4243:interior_possible=1: possible 4243 bytes in 1 object
// STDERR: Alive: 4243 byte\(s\)[^\n]*\n( +#[^\n]*\n)* +held by\n +possibly (a )?variable [^\n]*\n +-> the object, at offset 1000\n
// ARGS: interior
// EXPECT-WITH explain=4243: clean
// STDERR: Alive: 4243 byte\(s\)[^\n]*\n( +#[^\n]*\n)* +held by\n +(a )?variable 
// ARGS: interior
#include "support.h"

static volatile uintptr_t tagged;
static char *volatile inside;

static void tag(void *unused) {
  (void)unused;
  tagged = (uintptr_t)malloc(4242) | UINT64_C(0x5a) << 48;
}

static void point_inside(void *unused) {
  (void)unused;
  inside = (char *)malloc(4243) + 1000;
}

int main(int count, char **arguments) {
  (void)arguments;
  clean_call(count > 1 ? point_inside : tag, NULL);
  return 0;
}
