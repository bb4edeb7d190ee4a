// Explains random live objects of the process that it is loaded into, and follows each chain in memory.
//
// Built as a shared library by benches/explain/run, and called by the program (Python's ctypes). A chain is right when
// it begins in memory that is a root by the process' own map, each word lies inside its holder and is in memory as the
// chain says, each holder but the first is a live object by malloc_usable_size(3) of exactly that size or a mapping, and
// each word points into the next holder, the last one into the object.
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <standstill.h>

enum { MOST = 1 << 16, MAPS = 1 << 14 };

static struct standstill_step steps[MOST];
static struct {
  uintptr_t start, end;
  int write, anonymous, stack;
} maps[MAPS];
static size_t map_count;

static void read_maps(void) {
  static char line[8192];
  FILE *file = fopen("/proc/self/maps", "r");
  map_count = 0;
  while (file && map_count < MAPS && fgets(line, sizeof line, file)) {
    unsigned long start, end, inode;
    char perms[8];
    if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &start, &end, perms, &inode) != 4) continue;
    maps[map_count].start = start;
    maps[map_count].end = end;
    maps[map_count].write = perms[1] == 'w';
    maps[map_count].anonymous = inode == 0;
    maps[map_count].stack = strstr(line, "[stack]") != NULL;
    map_count++;
  }
  if (file) fclose(file);
}

static int writable(uintptr_t address) {
  for (size_t i = 0; i < map_count; i++)
    if (address >= maps[i].start && address < maps[i].end) return maps[i].write;
  return 0;
}

static uint64_t random_state = 88172645463325252u;
static uint64_t random_number(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* Follows one chain; 0 = right, else which claim is wrong. */
static int follow(const struct standstill_chain *chain) {
  for (size_t i = 0; i < chain->count; i++) {
    const struct standstill_step *step = &steps[i];
    uintptr_t to = i + 1 < chain->count ? steps[i + 1].base : chain->object;
    size_t bytes = i + 1 < chain->count ? steps[i + 1].bytes : chain->object_bytes;
    int root = step->holder != STANDSTILL_OBJECT && step->holder != STANDSTILL_MAPPING;
    if (i == 0 ? !(root || step->flags & STANDSTILL_STEP_DOUBTFUL) : root) return 1;
    if (step->holder == STANDSTILL_IGNORED || step->holder == STANDSTILL_KEPT) return i == 0 && step->base == to ? 0 : 2;
    if (step->word_at) {
      if (step->word_at < step->base || step->word_at + 8 > step->base + step->bytes) return 3;
      /* Of the asking thread's own stack the frames below the caller are gone. */
      int own_stack = step->holder == STANDSTILL_STACK;
      if (!own_stack && *(uintptr_t *)step->word_at != step->word) return 4;
      if (i == 0 && step->holder == STANDSTILL_GLOBAL && !writable(step->word_at) && *(uintptr_t *)step->word_at != step->word) return 5;
    }
    if (step->holder == STANDSTILL_OBJECT && malloc_usable_size((void *)step->base) != step->bytes) return 6;
    /* A pointer into another piece of a mapping that is in pieces is one to the mapping. */
    int to_mapping = i + 1 < chain->count && steps[i + 1].holder == STANDSTILL_MAPPING;
    if (!to_mapping && (step->word < to || step->word >= to + (bytes ? bytes : 1))) return 7;
    if (to_mapping && !writable(step->word)) return 8;
  }
  return 0;
}

/* The address of a random live object, inverted: what is asked for must not be the answer. 0 for another try. */
static __attribute__((noinline)) uintptr_t pick(void) {
  size_t at = random_number() % map_count;
  if (!maps[at].anonymous || !maps[at].write || maps[at].stack) return 0;
  uintptr_t address = maps[at].start + random_number() % (maps[at].end - maps[at].start);
  /* 0 for what is no live object. */
  return malloc_usable_size((void *)address) == 0 ? 0 : ~address;
}

static __attribute__((noinline)) int ask(uintptr_t inverted, struct standstill_chain *chain) {
  return standstill_explain((void *)~inverted, chain);
}

/* Explains `wanted` live objects, each at a random address of anonymous memory; prints what came out. Returns the number
 * of chains that are wrong. */
int follow_random_objects(int wanted, uint64_t seed) {
  size_t right = 0, wrong = 0, lost = 0, doubtful = 0, hops = 0, longest = 0, tries = 0, roots[16] = {0};
  random_state ^= seed * 2654435769u;
  read_maps();
  while (right + wrong + lost < (size_t)wanted && tries++ < 200000000) {
    uintptr_t inverted = pick();
    if (!inverted) continue;
    struct standstill_chain chain = STANDSTILL_CHAIN_INIT(steps, MOST);
    int code = ask(inverted, &chain);
    if (code == STANDSTILL_LEAKS) {
      lost++;
    } else if (code != STANDSTILL_CLEAN || chain.count > MOST || chain.count == 0) {
      printf("explain said %d with %zu steps for %#lx\n", code, chain.count, ~inverted);
      wrong++;
    } else {
      int claim = follow(&chain);
      if (claim) printf("claim %d is wrong for %#lx, chain of %zu\n", claim, ~inverted, chain.count);
      claim ? wrong++ : right++;
      hops += chain.count;
      longest = chain.count > longest ? chain.count : longest;
      doubtful += steps[0].flags & STANDSTILL_STEP_DOUBTFUL;
      roots[steps[0].holder & 15]++;
    }
    /* What an answer leaves behind would be the next answer. */
    memset(steps, 0, (chain.count < MOST ? chain.count : MOST) * sizeof *steps);
  }
  printf("%zu right, %zu wrong, %zu held by nothing; %zu begin doubtfully; %.1f steps on average, %zu at most\n", right,
         wrong, lost, doubtful, right + wrong ? (double)hops / (double)(right + wrong) : 0, longest);
  printf("roots: %zu variable, %zu stack, %zu register, %zu thread-local, %zu mapping, %zu other\n", roots[2], roots[3],
         roots[4], roots[5], roots[10], roots[1] + roots[6] + roots[7] + roots[8] + roots[9] + roots[11] + roots[12]);
  fflush(stdout);
  return (int)wrong;
}
