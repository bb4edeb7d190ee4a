// A heap that has outgrown 32 MiB asks for huge pages; with huge_pages=0 it has none, not even the part that is older than the options.
// REFERENCE: it has no such option
// EXPECT: status 0
// ARGS: asked
// EXPECT-WITH huge_pages=0: status 0
// ARGS: none
// EXPECT-WITH huge_pages=0:zero=1: status 0
// ARGS: none
#include "support.h"

// Whether the mapping of `address` has a flag (proc_pid_smaps(5), VmFlags).
static int has_flag(const void *address, const char *flag) {
  char line[1024];
  int is_it = 0, found = -1;
  FILE *file = fopen("/proc/self/smaps", "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file)) {
    unsigned long start, end;
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
      is_it = start <= (unsigned long)address && (unsigned long)address < end;
    else if (is_it && !strncmp(line, "VmFlags:", 8))
      found = strstr(line, flag) != NULL;
  }
  fclose(file);
  CHECK(found >= 0);
  return found;
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  if (access("/sys/kernel/mm/transparent_hugepage", F_OK)) skip("a kernel without huge pages");
  enum { BLOCKS = 64 << 10 };
  static char *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) CHECK((blocks[i] = (char *)malloc(1000)) != NULL);
  char *large = (char *)malloc(8 << 20);
  CHECK(large != NULL);
  if (!strcmp(arguments[1], "asked")) {
    CHECK(has_flag(blocks[BLOCKS - 1], " hg") && has_flag(large + (4 << 20), " hg"));
  } else {
    CHECK(has_flag(blocks[BLOCKS - 1], " nh") && has_flag(large + (4 << 20), " nh"));
    CHECK(has_flag(blocks[0], " nh"));
    large = (char *)realloc(large, 24 << 20);
    CHECK(large != NULL && has_flag(large + (12 << 20), " nh"));
  }
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
  free(large);
  return 0;
}
