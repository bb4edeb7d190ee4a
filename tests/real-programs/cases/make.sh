# needs: make gcc
# A parallel build of many files with pattern rules, functions, recursion and a failing target.
. "$LIB"
for i in $(seq 20); do echo "int f$i(void) { return $i; }" >"f$i.c"; done
{ for i in $(seq 20); do echo "int f$i(void);"; done; echo 'int puts(const char *); int main(void) { int s = 0;'; for i in $(seq 20); do echo "s += f$i();"; done; echo 'return s == 210 ? 0 : 1; }'; } >main.c
cat >Makefile <<'M'
SRC := $(wildcard *.c)
OBJ := $(patsubst %.c,%.o,$(sort $(SRC)))
.DEFAULT_GOAL := all
LIST := $(foreach i,1 2 3 4 5 6 7 8 9,$(foreach j,1 2 3 4 5 6 7 8 9,$(i)$(j)))
define rule
r$(1):
	@echo rule $(1)
endef
$(foreach n,1 2 3,$(eval $(call rule,$(n))))
all: prog r1 r2 r3
	@echo $(words $(LIST)) $(shell echo shell) $(origin LIST)
prog: $(OBJ)
	@gcc -o $@ $^ && echo linked $(words $^)
%.o: %.c
	@gcc -O1 -c $< -o $@
fail:
	@false
sub:
	@$(MAKE) --no-print-directory r2
.PHONY: all fail sub
M
make -j4 -Otarget | sort; ./prog && echo ran; make -q prog && echo fresh; touch f3.c; make -j2 prog; make sub; set +e; make fail; echo "status $?"; make -k nothing; echo "status $?"
exit 0
