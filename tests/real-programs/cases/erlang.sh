# needs: erl erlc
# timeout: 90
# A virtual machine with its own allocators and schedulers: thousands of processes, ports, exceptions.
. "$LIB"
export ERL_CRASH_DUMP=/dev/null ERL_FLAGS='+S 2:2'
cat >w.erl <<'E'
-module(w).
-export([go/0]).
go() ->
    Me = self(), Ps = [spawn(fun() -> receive {X, F} -> F ! X * N end end) || N <- lists:seq(1, 3000)],
    [P ! {2, Me} || P <- Ps], io:format("~p~n", [lists:sum([receive X -> X end || _ <- Ps])]),
    T = ets:new(t, [ordered_set]), [ets:insert(T, {I, integer_to_binary(I)}) || I <- lists:seq(1, 20000)], io:format("~p ~p~n", [ets:info(T, size), ets:lookup(T, 777)]),
    io:format("~p~n", [byte_size(zlib:compress(binary:copy(<<"abc">>, 50000)))]), io:format("~s", [os:cmd("echo from a child")]), io:format("~p~n", [re:run("a1b22", "\\d+", [global, {capture, all, list}])]),
    io:format("~p~n", [catch error(wanted) of {'EXIT', {wanted, _}} -> caught; _ -> other end]), {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]), {ok, Port} = inet:port(L), spawn(fun() -> {ok, S} = gen_tcp:accept(L), gen_tcp:send(S, "hello"), gen_tcp:close(S) end), {ok, C} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]), io:format("~p~n", [gen_tcp:recv(C, 5)]), erlang:garbage_collect(), halt(3).
E
sed -i 's/\[catch error(wanted) of .* end\]/[try error(wanted) catch error:wanted -> caught end]/' w.erl
erlc w.erl; set +e; erl -noshell -noinput -s w go; echo "status $?"; exit 0
