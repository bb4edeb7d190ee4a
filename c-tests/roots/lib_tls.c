// A shared library with a thread-local variable too big for the loader's spare room. Part of the tls_dynamic tests.
static __thread void *volatile kept_in_tls[16384];

void lib_tls_keep(void *pointer) { kept_in_tls[8000] = pointer; }
