// A heap whose blocks lie terabytes apart, above and below a reservation: what is held is held on both sides, what is lost is lost.
// REFERENCE: its heap lies at one place
// EXPECT: direct 48 bytes in 1 object, indirect 48 bytes in 1 object
#include <sys/mman.h>
#include "support.h"

enum { NODES = 20 * 1000 };

struct node {
  struct node *next;
  size_t filling[5];
};

static struct node *volatile list;
static size_t lowest = (size_t)-1, highest;

// Each node points to the one before, so that the list goes from side to side.
static void grow(struct node **all, size_t from, size_t step) {
  for (size_t i = from; i < NODES; i += step) {
    all[i] = calloc(1, sizeof *all[i]);
    if ((size_t)all[i] < lowest) lowest = (size_t)all[i];
    if ((size_t)all[i] > highest) highest = (size_t)all[i];
  }
}

static void build(void *unused) {
  (void)unused;
  struct node **all = malloc(NODES * sizeof *all);
  grow(all, 0, 2);
  // What lies below is taken: further segments are mapped below the reservation.
  const size_t reserved = (size_t)1 << 40;
  char *reservation = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(reservation != MAP_FAILED);
  void *filling[64];
  for (int i = 0; i < 64; i++) filling[i] = malloc(900 * 1000);
  grow(all, 1, 2);
  for (int i = 0; i < 64; i++) free(filling[i]);
  CHECK(highest - lowest > reserved);
  for (size_t i = 1; i < NODES; i++) all[i]->next = all[i - 1];
  list = all[NODES - 1];
  free(all);
}

static void lose(void *unused) {
  (void)unused;
  struct node *head = calloc(1, sizeof *head);
  head->next = calloc(1, sizeof *head);
  use(head);
}

int main(void) {
  clean_call(build, NULL);
  clean_call(lose, NULL);
  return 0;
}
