# needs: bison flex gcc
# A calculator: grammar and scanner generated, compiled and run.
. "$LIB"
cat >c.y <<'Y'
%{
#include <stdio.h>
#include <stdlib.h>
int yylex(void); void yyerror(const char *s) { printf("error: %s\n", s); }
%}
%define parse.error verbose
%union { double d; }
%token <d> NUM
%left '+' '-'
%left '*' '/'
%right '^'
%type <d> e
%%
in: | in line; line: '\n' | e '\n' { printf("%g\n", $1); } | error '\n' { yyerrok; };
e: NUM | e '+' e { $$ = $1 + $3; } | e '-' e { $$ = $1 - $3; } | e '*' e { $$ = $1 * $3; } | e '/' e { $$ = $1 / $3; } | e '^' e { $$ = 1; for (int i = 0; i < $3; i++) $$ *= $1; } | '(' e ')' { $$ = $2; };
%%
int main(void) { return yyparse(); }
Y
cat >c.l <<'L'
%option noyywrap nounput noinput
%{
#include <stdlib.h>
#include "c.tab.h"
%}
%%
[0-9]+(\.[0-9]+)? { yylval.d = atof(yytext); return NUM; }
[ \t]+ ;
\n|. return *yytext;
%%
L
bison -d -v c.y; flex -Cf c.l; gcc -o calc c.tab.c lex.yy.c; printf '1 + 2 * 3\n(1+2)*3\n2^10\n1 +\n7/2\n' | ./calc; grep -c '^State' c.output
awk 'BEGIN { print "%token T\n%%\ns: r0;"; for (i = 0; i < 200; i++) printf "r%d: T r%d | T;\n", i, i + 1; print "r200: T;" }' >big.y; bison -o big.c big.y && sums big.c
set +e; echo 'a: ;' | bison -o x.c /dev/stdin 2>&1 | sed -n 1,1p; printf '%%%%\n[a ;\n%%%%\n' | flex -t 2>&1 >/dev/null | sed -n 1,1p
exit 0
