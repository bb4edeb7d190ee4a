# needs: psql setpriv
# file: /usr/lib/postgresql/15/bin/postgres
# timeout: 90
# A cluster of its own on a socket: processes by fork with shared memory, parallel queries, an orderly stop.
. "$LIB"
bin=/usr/lib/postgresql/15/bin; as=()
if [ "$(id -u)" = 0 ]; then chown -R nobody "$PWD" "$TMPDIR" "$PWD/../logs"; chmod 755 "$PWD/.."; as=(setpriv --reuid=nobody --clear-groups); fi
export PGHOST=$TMPDIR PGUSER=pg PGDATABASE=postgres PGPORT=$PORT
"${as[@]}" "$bin/initdb" -D "$PWD/db" -U pg -A trust --no-sync --locale=C >init.log; tail -n +1 init.log | grep -c Success
"${as[@]}" "$bin/postgres" -D "$PWD/db" -k "$TMPDIR" -p "$PORT" -c listen_addresses= -c fsync=off -c shared_buffers=16MB -c max_parallel_workers=4 >log 2>&1 & server=$!
for i in $(seq 200); do psql -qAtc 'select 1' >/dev/null 2>&1 && break; sleep 0.05; done
psql -qAt <<'S'
create table t as select g id, 'n' || g % 97 as name, g * 31 % 1009 v from generate_series(1, 60000) g;
create index on t(name); analyze t; set min_parallel_table_scan_size = 0; set parallel_setup_cost = 0; set parallel_tuple_cost = 0;
select count(*), sum(v) from t; select name, count(*) from t group by 1 order by 2 desc, 1 limit 2; select a.id from t a join t b on a.v = b.id order by a.id limit 3;
do $$ begin for i in 1..500 loop perform length(repeat('x', i)); end loop; raise exception 'wanted'; exception when others then null; end $$; select md5(string_agg(name, ',' order by id)) from t; vacuum t;
S
set +e; psql -qAtc 'select * from missing' 2>&1 | sed -n 1,1p; kill -INT "$server"; wait "$server"; echo "status $?"; grep -c 'shut down' log; grep -ciE 'terminated by signal|PANIC' log
exit 0
