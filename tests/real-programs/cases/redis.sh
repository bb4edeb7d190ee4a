# needs: redis-server redis-cli redis-benchmark
# A server under the load of redis-benchmark, with background saves (fork) and its jemalloc thread, then SHUTDOWN.
. "$LIB"
redis-server --port "$PORT" --bind 127.0.0.1 --save '' --appendonly yes --dir "$PWD" --daemonize no --io-threads 2 --logfile log &
server=$!
wait_port "$PORT"
cli() { redis-cli -p "$PORT" "$@"; }
redis-benchmark -p "$PORT" -n 2000 -c 20 -d 100 -r 1000 -q -t set,get,incr,lpush,lrange_100,zadd,hset >bench
tr '\r' '\n' <bench | grep -c 'requests per second, p50' >/dev/null
cli flushall; for i in 1 2 3; do cli set "key$i" "value$i"; done; cli mget key1 key2 key3 none
cli eval 'local s = 0; for i = 1, 1000 do redis.call("rpush", "l", i); s = s + i end; return s' 0; cli llen l; cli lrange l 0 2
cli zadd z 1 a 2 b 3 c; cli zrangebyscore z 2 inf; cli xadd x 1-1 f v; cli xlen x; cli object encoding l
cli bgsave >/dev/null; for i in $(seq 100); do cli info persistence | grep -q 'rdb_bgsave_in_progress:0' && break; sleep 0.05; done
cli info persistence | tr -d '\r' | grep rdb_last_bgsave_status
cli bgrewriteaof >/dev/null; for i in $(seq 100); do cli info persistence | grep -q 'aof_rewrite_in_progress:0' && break; sleep 0.05; done
cli memory doctor >/dev/null; cli nonsense || true
cli shutdown nosave || true
wait "$server"; echo "status $?"; grep -c 'bye bye' log
