# needs: bc dc
# Long numbers in bc and dc.
. "$LIB"
echo 'scale=300; a(1)*4' | BC_LINE_LENGTH=0 bc -l | cut -c1-60; echo 'define f(n) { if (n < 2) return 1; return n * f(n - 1); } f(200)' | BC_LINE_LENGTH=0 bc | tail -c 30; echo 'for (i = 0; i < 2000; i++) s[i % 100] += i^3; s[42]; sqrt(2^401); 2^4000 % 1000007' | BC_LINE_LENGTH=0 bc
dc -e '2 1000^ 3 7^ | p' 2>/dev/null || dc -e '2 1000 ^ p' | tail -1; dc -e '[la1+dsa*pla10>y]sy0sa1lyx' | tail -1; echo '1/0' | bc 2>&1 | cut -c1-20; echo 'ibase=16; FFFFFFFFFFFFFFFFFFFF' | bc
