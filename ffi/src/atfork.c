/* pthread_atfork(3) for the shared library, which is one for all C libraries (rustc.sh leaves this out of the archive).
 *
 * glibc's own lies in no shared library: it would be copied into ours from libc_nonshared.a, and would make ours ask for
 * __register_atfork, without which musl's loader refuses it. The archive takes the function of the C library that its
 * program is linked with. */
typedef void handler(void);

extern int __register_atfork(handler *, handler *, handler *, void *) __attribute__((weak));
extern void *dlsym(void *, const char *);

__attribute__((visibility("hidden"))) int pthread_atfork(handler *prepare, handler *parent, handler *child) {
  /* A null object: for the life of the process. */
  if (__register_atfork) return __register_atfork(prepare, parent, child, 0);
  int (*registers)(handler *, handler *, handler *) =
      (int (*)(handler *, handler *, handler *))dlsym(0, "pthread_atfork");
  return registers ? registers(prepare, parent, child) : 38 /* ENOSYS */;
}
