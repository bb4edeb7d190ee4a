// With report_mappings what is mapped, not unmapped and not held is told with the call stack of its mmap, and nothing else is.
// NOT-IN: archive: needs functions of the C library behind its own
// NOT-IN: static: needs functions of the C library behind its own
// REFERENCE: it does not watch mappings
// EXPECT-WITH report_mappings=1: leak 50 bytes in 1 object
// STDERR: Not unmapped: 131072 byte\(s\) in 2 mapping\(s\), 0x[0-9a-f]+ the first, mapped from:\n +#0 [^\n]* mmap[^\n]*\n
// STDERR: Not unmapped: 196608 byte\(s\) in 1 mapping\(s\), [^\n]*\n( +#[^\n]*\n)+ +nothing else holds 300 byte\(s\) in 3 object\(s\)\n
// STDERR: Not unmapped: 262144 byte\(s\) in 2 mapping\(s\)
// STDERR: Not unmapped: 327680 byte\(s\) in 1 mapping\(s\)
// STDERR: Not unmapped: 393216 byte\(s\) in 1 mapping\(s\)
// STDERR: Not unmapped, held by leaks only: 458752 byte\(s\) in 1 mapping\(s\)
// STDERR: Not unmapped: 524288 byte\(s\) in 1 mapping\(s\)
// STDERR: Not unmapped: 589824 byte\(s\) in 1 mapping\(s\)
// STDERR-NOT: Not unmapped[^\n]* (655360|720896|786432|851968|917504|983040|1048576|1114112|1179648|1507328|2621440) byte
// EXPECT-WITH report_mappings=1:snapshot=1: leak 50 bytes in 1 object
// STDERR: Not unmapped: 131072 byte\(s\) in 2 mapping\(s\)
// ARGS: now
// EXPECT-WITH report_mappings=1:use_past_end=1: leak 50 bytes in 1 object
// STDERR-NOT: Not unmapped[^\n]* 1703936 byte
// ARGS: end
// EXPECT-WITH report_mappings=1: leak 50 bytes in 1 object
// STDERR: Not unmapped[^\n]* 1703936 byte
// ARGS: end
// EXPECT: leak 50 bytes in 1 object
// STDERR-NOT: Not unmapped
#include "support.h"
#include <fcntl.h>
#include <sys/mman.h>

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

enum { UNIT = 64 << 10 };

static char *volatile held, *volatile past_end, *volatile interior, *volatile stretched, *volatile arena, *volatile shared;
static void **volatile by_chunk;
static struct { char *volatile key; } kept_by_map;

static NOINLINE char *map(size_t units) {
  void *place = mmap(NULL, units * UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(place != MAP_FAILED);
  return (char *)place;
}

static NOINLINE char *map_at(char *place, size_t units) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  CHECK(mmap(place, units * UNIT, PROT_READ | PROT_WRITE, flags, -1, 0) == place);
  return place;
}

// Each has call stacks and sizes of its own, so that groups are told apart.
static NOINLINE void two_lost(void) {
  for (volatile int i = 0; i < 2; i++) use(map(1));
}

static NOINLINE void lost_with_chunks(void) {
  void **lost = (void **)map(3);
  for (int i = 0; i < 3; i++) lost[i * 100] = malloc(100);
}

static NOINLINE void lost_with_a_hole(void) {
  char *lost = map(5);
  CHECK(munmap(lost + 2 * UNIT, UNIT) == 0);
}

static NOINLINE void lost_after_a_move(void) {
  char *small = map(4), *behind = map(1);
  CHECK(munmap(behind, UNIT) == 0);
  CHECK(mremap(small, 4 * UNIT, 5 * UNIT, MREMAP_MAYMOVE) != MAP_FAILED);
}

static NOINLINE void lost_though_unmapping_failed(void) {
  char *lost = map(6);
  CHECK(munmap(lost + 1, UNIT) == -1 && munmap(lost, 0) == -1);
}

static NOINLINE void held_by_a_leak(void) {
  void **leak = (void **)malloc(50);
  *leak = map(7);
  use(leak);
}

// A mapping that points to itself, right beside one that is held.
static NOINLINE void lost_beside_held(void) {
  char *both = map(8 + 10);
  CHECK(munmap(both, (8 + 10) * UNIT) == 0);
  held = map(10);
  char **lost = (char **)map(8);
  lost[1] = (char *)lost;
}

// Of a file that can only be read.
static NOINLINE void lost_file(const char *path) {
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && mmap(NULL, 9 * UNIT, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
  shared = (char *)mmap(NULL, 11 * UNIT, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(shared != MAP_FAILED && close(fd) == 0);
}

static NOINLINE void not_lost(void) {
  interior = map(12) + 12 * UNIT - 1;
  by_chunk = (void **)malloc(20 * sizeof(void *));
  by_chunk[7] = map(13);
  *(char **)(kept_by_map.key = map(14)) = map(15);
  char *small = map(1);
  stretched = (char *)mremap(small, UNIT, 16 * UNIT, MREMAP_MAYMOVE);
  CHECK(stretched != MAP_FAILED);
  // An arena that is reserved and mapped piece by piece, of which only the first address is known.
  arena = (char *)mmap(NULL, 40 * UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(arena != MAP_FAILED);
  use(map_at(arena + 3 * UNIT, 17));
  // One that lies over another, which is no more.
  char *place = map(18);
  map_at(place, 18);
  CHECK(munmap(place, 18 * UNIT) == 0);
  // Several at once.
  place = map(30);
  CHECK(munmap(place, 30 * UNIT) == 0);
  map_at(place, 10);
  map_at(place + 10 * UNIT, 9);
  map_at(place + 19 * UNIT, 11);
  CHECK(munmap(place, 30 * UNIT) == 0);
}

// Of which only the address behind it is known, where nothing is.
static void hold_past_its_end(void *unused) {
  (void)unused;
  past_end = map(28) + 26 * UNIT;
  CHECK(munmap(past_end, 2 * UNIT) == 0);
}

static void build(void *program) {
  two_lost();
  lost_with_chunks();
  lost_with_a_hole();
  lost_after_a_move();
  lost_though_unmapping_failed();
  held_by_a_leak();
  lost_beside_held();
  lost_file((const char *)program);
  not_lost();
}

int main(int count, char **arguments) {
  clean_call(build, (void *)"/proc/self/exe");
  if (count > 1 && strcmp(arguments[1], "end") == 0) clean_call(hold_past_its_end, NULL);
  if (count > 1 && __lsan_do_recoverable_leak_check) __lsan_do_recoverable_leak_check();
  return 0;
}
