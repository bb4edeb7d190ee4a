# needs: autoconf automake make gcc
# timeout: 90
# aclocal, autoconf, automake (perl and m4), then configure and make.
. "$LIB"
printf 'AC_INIT([demo],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CHECK_HEADERS([stdlib.h])\nAC_CONFIG_HEADERS([config.h])\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n' >configure.ac; printf 'bin_PROGRAMS = demo\ndemo_SOURCES = main.c\n' >Makefile.am; printf '#include <config.h>\n#include <stdio.h>\nint main(void) { puts(PACKAGE_STRING); return 0; }\n' >main.c
aclocal; autoheader; autoconf; automake --add-missing --copy >/dev/null 2>&1; ./configure >conf.log 2>&1; grep -c checking conf.log; make >/dev/null; ./demo
