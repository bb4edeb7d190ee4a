// What is asked beside the verdict has a time of its own: when it is up the survey says that it was cut short, and the
// verdict holds. A second look at what seems lost that is cut short makes nothing a leak.
// EXPECT: leak 4242 bytes in 1 object
// EXPECT-WITH explain=4242:survey_deadline_ms=1: leak 4242 bytes in 1 object
// STDERR: the survey was cut short: there was no time for why objects are alive .*survey_deadline_ms=1 can be made longer
// STDERR-NOT: nothing holds it
// EXPECT-WITH report_reachable=1:report_retained=5:survey_deadline_ms=1: leak 4242 bytes in 1 object
// STDERR: the survey was cut short: there was no time for what is reachable
// STDERR-NOT: Still reachable|Retained by
// EXPECT-WITH explain=4242:explain_referrers=3: leak 4242 bytes in 1 object
// STDERR: Lost: 4242 byte
// STDERR-NOT: cut short
// EXPECT-WITH use_unaligned=1:survey_deadline_ms=1: status 0
// STDERR: incomplete: no certain leak in .* 4242 byte\(s\) in 1 object\(s\) are possibly leaked, of which 4242 byte\(s\) in 1 object\(s\) were not reached at all
// STDERR: there was no time for the second look at pointers
// EXPECT-WITH use_unaligned=1: leak 4242 bytes in 1 object
#include "support.h"

/* Enough of them to keep anybody busy for more than a millisecond. */
enum { NODES = 300000 };

struct node {
  struct node *next;
  long space[5];
};

static struct node *volatile list;

static void build(void *unused) {
  (void)unused;
  for (int i = 0; i < NODES; i++) {
    struct node *node = (struct node *)calloc(1, sizeof *node);
    node->next = list;
    list = node;
  }
  use(malloc(4242));
}

int main(void) {
  clean_call(build, NULL);
  return 0;
}
