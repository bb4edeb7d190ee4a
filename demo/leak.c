/* A program that leaks: a list whose head is overwritten, a cycle, and a string that a thread forgets. What it keeps is
 * no leak: in a global variable, on the stack of a waiting thread, in thread-local memory. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node {
  struct node *next;
  char payload[56];
};

static struct node *kept;
static __thread char *kept_by_thread;

static struct node *push(struct node *next, const char *text) {
  struct node *node = calloc(1, sizeof *node);
  node->next = next;
  strncpy(node->payload, text, sizeof node->payload - 1);
  return node;
}

static struct node *read_list(int length) {
  struct node *list = NULL;
  for (int i = 0; i < length; i++) list = push(list, "entry");
  return list;
}

static void make_cycle(void) {
  struct node *a = push(NULL, "a"), *b = push(a, "b");
  a->next = b;
}

static void *worker(void *argument) {
  char *kept_on_stack = strdup("still in use"), *volatile forgotten = strdup("forgotten by the worker");
  kept_by_thread = strdup(argument);
  forgotten = NULL;
  pause();
  printf("%s%s", kept_on_stack, forgotten ? forgotten : "");
  return NULL;
}

int main(void) {
  pthread_t thread;
  kept = read_list(3);
  kept = read_list(4); /* the list of three is lost */
  make_cycle();
  pthread_create(&thread, NULL, worker, "for the thread");
  usleep(50000);
  puts("demo: done");
  return 0;
}
