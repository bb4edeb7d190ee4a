// A shared library that keeps a pointer in a variable of its own. Part of library_linked and library_dlopened.
static void *volatile kept_in_bss;

void lib_global_keep(void *pointer) { kept_in_bss = pointer; }
