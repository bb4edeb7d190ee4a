# needs: zsh
# Arrays, associative arrays, globbing flags, parameter expansion, modules, subshells.
. "$LIB"
mkdir d; for i in $(seq 50); do words 2 "$i" >"d/f$i"; done
cat >w.zsh <<'Z'
typeset -A h; for i in {1..3000}; do h[k$((i % 40))]+=$i; done; print ${#h} ${#h[k7]}
a=({1..2000}); print ${#a} ${(j:,:)${(On)a}[1,5]} ${(U)${:-abc}} ${${(s:-:)${:-a-b-c}}[2]}
print d/f<10-12>(:t) ${#$(print d/*(.))}; f() { (( $1 < 2 )) && { print $1; return }; print $(( $(f $(($1-1))) + $(f $(($1-2))) )) }; f 8
zmodload zsh/mathfunc zsh/datetime; print $(( int(sqrt(144)) )); x=$(<d/f1); print ${#x} ${x//harbor/H}; print -l ${(f)x} | wc -l; { print one; exit 3 } | cat; print $pipestatus
coproc cat; print -p through; read -p l; print $l; exec {fd}<d/f2; read -u $fd l; print $l; TRAPEXIT() { print bye }; diff =(seq 3) =(seq 4); emulate sh -c 'echo sh'; exit 6
Z
set +e; zsh -f w.zsh; echo "status $?"; exit 0
