# needs: ssh-keygen ssh-agent ssh-add
# Keys, signatures, and an agent, which makes itself undumpable: nobody may trace it.
. "$LIB"
ssh-keygen -q -t ed25519 -N '' -C c -f k; ssh-keygen -q -t rsa -b 2048 -N '' -C c -f r; words 20 >text; ssh-keygen -q -Y sign -f k -n file text 2>/dev/null; echo "a $(cat k.pub)" >allowed; ssh-keygen -Y verify -f allowed -I a -n file -s text.sig <text | cut -d' ' -f1-4
ssh-agent -D -a "$TMPDIR/a" >agent.out & agent=$!; wait_file "$TMPDIR/a"; export SSH_AUTH_SOCK=$TMPDIR/a; ssh-add -q k r; ssh-add -l | wc -l; ssh-keygen -q -Y sign -f k.pub -n file <text 2>/dev/null | wc -l; ssh-add -q -D; ssh-add -l || true; ssh-keygen -l -f k.pub | cut -d' ' -f1; ssh-keygen -s k -I id -n root -V 20200101:20300101 r.pub 2>/dev/null; ssh-keygen -L -f r-cert.pub | grep -c Valid
kill "$agent"; set +e; wait "$agent"; echo "status $?"; ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -p "$PORT" 127.0.0.1 true 2>&1 | sed "s/$PORT/PORT/"; exit 0
