// A core file has its holes where they belong in a file that had something in it, and in one that is only appended to; and what cannot be written is told.
// EXPECT: clean
#include "support.h"

#include "standstill.h"
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>

enum { ROOM = 4 << 20, OLD = 64 << 20 };

/* What the core has for the memory at `address`. */
static int byte_of(int core, const volatile unsigned char *address) {
  Elf64_Ehdr head;
  CHECK(pread(core, &head, sizeof head, 0) == sizeof head && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0);
  for (int i = 0; i < head.e_phnum; i++) {
    Elf64_Phdr part;
    CHECK(pread(core, &part, sizeof part, (off_t)(head.e_phoff + (uint64_t)i * sizeof part)) == sizeof part);
    uint64_t at = (uintptr_t)address - part.p_vaddr;
    unsigned char byte;
    if (part.p_type != PT_LOAD || (uintptr_t)address < part.p_vaddr || at >= part.p_filesz) continue;
    CHECK(pread(core, &byte, 1, (off_t)(part.p_offset + at)) == 1);
    return byte;
  }
  return -1;
}

static void write_and_look(int flags, int old) {
  char name[] = "/tmp/standstill-core-XXXXXX";
  int core = mkstemp(name);
  CHECK(core >= 0);
  int to = open(name, O_WRONLY | flags);
  CHECK(to >= 0 && unlink(name) == 0);
  static unsigned char block[1 << 20];
  memset(block, 0x55, sizeof block);
  for (int i = 0; i < old; i += (int)sizeof block) CHECK(write(core, block, sizeof block) == sizeof block);
  memset(block, 0, sizeof block);
  unsigned char *room = (unsigned char *)mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(room != MAP_FAILED);
  memset(room + ROOM / 2, 0x77, PAGE);
  CHECK(standstill_write_core_fd(to, NULL) == STANDSTILL_DONE);
  CHECK(byte_of(core, room + ROOM / 2 + 1) == 0x77);
  CHECK(byte_of(core, room + ROOM / 4) == 0 && byte_of(core, room + ROOM - PAGE) == 0);
  CHECK(munmap(room, ROOM) == 0 && close(to) == 0 && close(core) == 0);
}

int main(void) {
  write_and_look(0, 0);
  write_and_look(0, OLD);
  write_and_look(O_APPEND, 0);
  int null = open("/dev/null", O_WRONLY), full = open("/dev/full", O_WRONLY);
  CHECK(null >= 0 && standstill_write_core_fd(null, NULL) == STANDSTILL_DONE);
  CHECK(full >= 0 && standstill_write_core_fd(full, NULL) == STANDSTILL_COULD_NOT_CHECK);
  CHECK(standstill_dump_threads(full) == STANDSTILL_COULD_NOT_CHECK);
  return 0;
}
