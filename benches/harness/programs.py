"""Real programs for the `cpu` bench: each is run plain and under the preloads, output compared, CPU time taken.

CPU time is that of the command and of all its descendants (wait4), so a leak check at exit is in it.
"""
import hashlib
import random
import shutil
import socket
import subprocess
import threading
import time

from .measure import Case, Failed, Metric

WHO = ("plain", "gcc-lsan", "mimalloc", "standstill")

PYTHON = r"""
import json, re, sys, threading
def work(seed):
    words = ["w%d" % (i * 7919 % 10007) for i in range(seed, seed + 2000)]
    doc = {w: {"n": i, "list": list(range(i % 20)), "text": w * (i % 7)} for i, w in enumerate(words)}
    for _ in range(ROUNDS):
        s = json.dumps(doc)
        doc = json.loads(s)
        hits = re.findall(r"w(\d+)w", s)
        groups = {}
        for h in hits: groups.setdefault(h[-2:], []).append(h)
        sorted(groups.items(), key=lambda kv: (len(kv[1]), kv[0]))
    out.append(len(s) + len(hits))
out = []
ts = [threading.Thread(target=work, args=(i,)) for i in range(2)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sorted(out))
"""

SQL = """
PRAGMA journal_mode=MEMORY;
CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER);
CREATE INDEX t_b ON t(b);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{rows})
  INSERT INTO t SELECT i, printf('row %d %s', i, hex(i*i)), (i*7919)%10007 FROM n;
{inserts}
SELECT count(*), sum(b), max(length(a)) FROM t;
SELECT b, group_concat(substr(a,1,3)) FROM t GROUP BY b ORDER BY b DESC LIMIT 5;
UPDATE t SET a = replace(a, '1', 'one') WHERE b % 3 = 0;
SELECT sum(length(a)) FROM t;
"""


def _c_file(functions):
    """A C file with many small functions, structs and expressions: what a compiler allocates for."""
    r = random.Random(1)
    out = ["typedef struct S { int a; long b; double c; struct S *next; } S;", "extern int g(int, ...);"]
    for i in range(functions):
        body = "".join(f"  if (x > {r.randrange(999)}) {{ s->a += x * {r.randrange(99)}; s->b ^= (long)x << {r.randrange(20)}; "
                       f"y = g(x, s->a, \"text {i} {k}\") + s->next->a % {r.randrange(2, 99)}; }}\n"
                       f"  for (int i{k} = 0; i{k} < y; i{k}++) {{ s->c += i{k} * {r.random():.4f}; s = s->next; }}\n"
                       for k in range(6))
        call = f"f{r.randrange(i)}(s->next, y)" if i else "0"
        out.append(f"int f{i}(S *s, int x) {{ int y = x;\n{body}  return y + {call};\n}}")
    return "\n".join(out)


def _repository(lab, commits):
    """A git repository with a history, made by fast-import: the same at each run."""
    repo = lab.scratch / "repo"
    if repo.exists():
        return repo
    subprocess.run(["git", "init", "-q", str(repo)], check=True)
    r = random.Random(2)
    files = {f"dir{i % 7}/file{i}.txt": [f"line {k} {r.random()}" for k in range(200)] for i in range(60)}
    stream = []
    for c in range(commits):
        changed = files if c == 0 else r.sample(sorted(files), 3)
        stream.append(f"commit refs/heads/master\ncommitter B <b@example.org> {1600000000 + c * 60} +0000\n"
                      f"data {len(str(c))}\n{c}\n")
        for name in changed:
            lines = files[name]
            lines[r.randrange(len(lines))] = f"line {c} {r.random()}"
            text = "\n".join(lines) + "\n"
            stream.append(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
    subprocess.run(["git", "-C", str(repo), "fast-import", "--quiet"], input="".join(stream), text=True, check=True)
    return repo


def _command(title, lab, argv, rounds, env=None, compare=True, before=None):
    """A case that runs `argv` and compares its stdout with that of the first plain run."""
    seen = {}

    def run(lab, rival):
        if before:
            before()
        out = lab.scratch / "stdout"
        sample = lab.launch(rival, argv, 120, stdout=out, env=env, cwd=lab.scratch)
        sample = {"cpu_s": sample["cpu_us"] / 1e6, "rss_mib": sample["maxrss_kib"] / 1024}
        if compare:
            digest = hashlib.sha256(out.read_bytes()).hexdigest()
            if seen.setdefault("plain", digest) != digest:
                raise Failed("output differs")
        return sample

    return Case(title, _metrics(), WHO, rounds, run)


def _metrics():
    return [Metric("cpu_s", "CPU time", "s", (("gcc-lsan", 1.0), ("plain", 1.08))),
            Metric("rss_mib", "peak resident", "MiB", (("plain", 1.15),))]


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _redis(lab, rounds, requests):
    def run(lab, rival):
        port = _free_port()
        cli = ["redis-cli", "-p", str(port)]
        box = {}

        def load():
            for _ in range(200):
                if subprocess.run([*cli, "ping"], capture_output=True).stdout.strip() == b"PONG":
                    break
                time.sleep(0.05)
            p = subprocess.run(["redis-benchmark", "-p", str(port), "-n", str(requests), "-c", "20", "-r", "20000", "-q",
                                "--csv", "-t", "set,get,lpush,lpop,hset,zadd"], capture_output=True, text=True,
                               timeout=100)
            rates = [float(line.split(",")[1].strip('"')) for line in p.stdout.splitlines()[1:] if "," in line]
            if rates:
                box["krps"] = len(rates) / sum(1 / r for r in rates) / 1000
            subprocess.run([*cli, "shutdown", "nosave"], capture_output=True, timeout=20)

        t = threading.Thread(target=load)
        t.start()
        try:
            sample = lab.launch(rival, ["redis-server", "--port", port, "--save", "", "--appendonly", "no"], 120,
                                cwd=lab.scratch)
        finally:
            t.join()
        if "krps" not in box:
            raise Failed("no answer from the server")
        return {"cpu_s": sample["cpu_us"] / 1e6, "rss_mib": sample["maxrss_kib"] / 1024, "krps": box["krps"]}

    metrics = _metrics() + [Metric("krps", "requests served", "k/s", (("plain", 0.97),), higher_is_better=True)]
    return Case("redis-server under redis-benchmark", metrics, WHO, rounds, run)


def cases(lab):
    quick = lab.quick
    rounds = 1 if quick else 5
    scratch = lab.scratch
    (scratch / "bench.py").write_text(PYTHON.replace("ROUNDS", "10" if quick else "40"))
    yield _command("python3: json, re, threads", lab, ["/usr/bin/python3", scratch / "bench.py"], rounds)
    yield _command("the same, PYTHONMALLOC=malloc", lab, ["/usr/bin/python3", scratch / "bench.py"], rounds,
                   env={"PYTHONMALLOC": "malloc"})
    if shutil.which("perl"):
        yield _command("perl: hashes and strings", lab, ["perl", "-e", (
            "my (%%h,$s); for my $i (1..%d) { my $k = 'k'.($i*7919 %% 100003); $h{$k} .= \"x$i,\"; "
            "$s += length $h{$k}; } my @k = sort keys %%h; print scalar(@k), ' ', $s, ' ', substr(join('|', @k), 0, 50), \"\\n\";"
        ) % (300_000 if quick else 1_000_000)], rounds)
    if shutil.which("sqlite3"):
        r = random.Random(3)
        inserts = "\n".join(f"INSERT INTO t(a,b) VALUES('{r.random()}', {r.randrange(10007)});"
                            for _ in range(10_000 if quick else 40_000))
        (scratch / "load.sql").write_text(SQL.format(rows=60_000 if quick else 300_000, inserts=inserts))
        yield _command("sqlite3: inserts, index, update", lab,
                       ["sqlite3", ":memory:", f".read {scratch / 'load.sql'}"], rounds)
    if shutil.which("git"):
        repo = _repository(lab, 300 if quick else 1500)
        git = ["git", "-C", repo, "-c", "pack.threads=2"]
        yield _command("git log --stat", lab, [*git, "log", "--stat", "-p"], rounds)
        yield _command("git gc --aggressive", lab, [*git, "gc", "--quiet", "--aggressive", "--prune=now"], rounds)
    big = scratch / "big.c"
    big.write_text(_c_file(40 if quick else 200))
    clang = shutil.which("clang-19") or shutil.which("clang")
    if clang:
        yield _command("clang -O1 of a generated C file", lab, [clang, "-O1", "-w", "-S", "-o", "-", big], rounds)
    yield _command("gcc -O2 of a generated C file", lab, ["gcc", "-O2", "-w", "-S", "-o", "-", big], rounds)
    if shutil.which("ffmpeg"):
        yield _command("ffmpeg: testsrc to mpeg4", lab,
                       ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i",
                        f"testsrc=duration={3 if quick else 12}:size=640x480:rate=25", "-threads", "2", "-c:v", "mpeg4",
                        "-flags", "+bitexact", "-fflags", "+bitexact", "-f", "avi", "-"], rounds)
    if shutil.which("redis-server") and shutil.which("redis-benchmark"):
        yield _redis(lab, rounds, 20_000 if quick else 100_000)
