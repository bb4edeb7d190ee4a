// Memory that madvise(MADV_DONTFORK or MADV_WIPEONFORK) keeps out of a fork holds the only pointer: clean on a snapshot too.
// FLAGS: -pthread
// REFERENCE: has no mappings in its graph
// EXPECT-WITH snapshot=1: clean
// STDERR: a snapshot was scanned
// EXPECT-WITH snapshot=1: clean
// ARGS: wipe
// STDERR: a snapshot was scanned
// EXPECT-WITH snapshot=1: clean
// ARGS: unseen
// STDERR: a snapshot was scanned
// EXPECT-WITH snapshot=1: clean
// ARGS: filled
// STDERR: a snapshot was scanned
// EXPECT-WITH snapshot=1: clean
// ARGS: region
// STDERR: a snapshot was scanned
// EXPECT-WITH snapshot=1: clean
// ARGS: untouched
// STDERR: a snapshot was scanned
// EXPECT-WITH snapshot=1:pointer_mask=0xffffffffffff: clean
// ARGS: shared
// STDERR: a snapshot was scanned
#include "snapshot.h"
#include <sys/mman.h>

extern void __lsan_register_root_region(const void *, size_t);

static void **page;
static uintptr_t tag;

static void build(void *unused) {
  (void)unused;
  page[700] = (void *)((uintptr_t)malloc(4242) | tag);
}

int main(int count, char **arguments) {
  start_sleeper();
  int is_shared = count > 1 && strcmp(arguments[1], "shared") == 0;
  page = (void **)mmap(NULL, 8192, PROT_READ | PROT_WRITE, (is_shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  if (is_shared) {
    /* A pointer with a tag, which an option says how to take off. */
    tag = UINT64_C(0x5a) << 48;
  } else if (count > 1 && strcmp(arguments[1], "untouched") == 0) {
    /* As reserved address space, which no snapshot must stumble over. */
    void *reserved = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(reserved != MAP_FAILED && madvise(reserved, 1 << 20, MADV_DONTFORK) == 0);
  } else if (count > 1 && strcmp(arguments[1], "unseen") == 0) {
    /* Nobody interposes this: the snapshot itself finds the hole, and the check is made again. */
    CHECK(syscall(SYS_madvise, page, 8192, MADV_DONTFORK) == 0);
  } else if (count > 1 && (strcmp(arguments[1], "filled") == 0 || strcmp(arguments[1], "region") == 0)) {
    /* As large as what the snapshot maps for its own use, which the kernel puts into the hole. */
    enum { SIZE = 64 << 10 };
    page = (void **)mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && syscall(SYS_madvise, page, SIZE, MADV_DONTFORK) == 0);
    if (strcmp(arguments[1], "region") == 0) __lsan_register_root_region(page, SIZE);
  } else {
    CHECK(madvise(page, 8192, count > 1 ? MADV_WIPEONFORK : MADV_DONTFORK) == 0);
  }
  clean_call(build, NULL);
  for (int i = 0; i < 3; i++)
    if (__lsan_do_recoverable_leak_check()) return 1;
  return 0;
}
