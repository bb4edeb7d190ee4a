/* A library whose constructor waits for the program. */
extern void wait_for_check(void);
__attribute__((constructor)) static void begin(void) { wait_for_check(); }
