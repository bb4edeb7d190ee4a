# needs: python3
# Threads, locks, queues, JSON, regular expressions, compression and the sqlite3 module.
. "$LIB"
cat >work.py <<'PY'
import collections, hashlib, json, queue, random, re, sqlite3, threading, zlib
from concurrent.futures import ThreadPoolExecutor

random.seed(7)
rows = [{"id": i, "name": "n%d" % (i % 97), "tags": [random.random() for _ in range(5)]} for i in range(4000)]
text = json.dumps(rows)
lock, total, q = threading.Lock(), [0], queue.Queue(50)

def consume():
    while True:
        item = q.get()
        if item is None:
            return
        data = json.loads(item)
        found = re.findall(r'"name": "n(\d+)"', item)
        packed = zlib.compress(item.encode(), 6)
        with lock:
            total[0] += len(found) + len(data) + len(zlib.decompress(packed))

threads = [threading.Thread(target=consume) for _ in range(8)]
for t in threads: t.start()
for i in range(60): q.put(json.dumps(rows[i * 60:(i + 1) * 60]))
for t in threads: q.put(None)
for t in threads: t.join()
print("total", total[0], len(text))

with ThreadPoolExecutor(6) as pool:
    print(hashlib.sha256("".join(pool.map(lambda i: hashlib.md5(b"%d" % i * 2000).hexdigest(), range(300))).encode()).hexdigest())

db = sqlite3.connect(":memory:")
db.execute("create table t(id integer primary key, name text, v real)")
db.executemany("insert into t values(?,?,?)", [(r["id"], r["name"], r["tags"][0]) for r in rows])
print(db.execute("select count(*), round(sum(v), 6), max(name) from t where id % 3 = 0").fetchone())

class Node:
    def __init__(self, n): self.n, self.other = n, None
for _ in range(20000):
    a, b = Node(1), Node(2); a.other, b.other = b, a
local = threading.local()
local.value = collections.Counter(re.findall(r"\w", text))
print(sorted(local.value.items())[:5])
# threads that end while the program ends
for _ in range(4): threading.Thread(target=lambda: threading.Event().wait(0.01), daemon=True).start()
PY
python3 work.py
PYTHONMALLOC=malloc python3 work.py
