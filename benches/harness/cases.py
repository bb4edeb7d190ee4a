"""What is measured: the benches by name, each a list of cases (a program with its arguments and its metrics)."""
from .measure import Case, Failed, Metric
from . import programs

ALLOCATORS = ("plain", "gcc-lsan", "clang-lsan", "mimalloc", "jemalloc", "standstill")
TOOLS = ALLOCATORS + ("clang-lsan-full", "heaptrack", "valgrind")
CHECKERS = ("gcc-lsan", "clang-lsan", "standstill")

NOT_WORSE_THAN_GCC = ("gcc-lsan", 1.0)


def c_program(name, *args, timeout=60):
    return lambda lab, rival: lab.bench_program(rival, name, args, timeout)


def checker_or_bare(checker, bare):
    """The plain column of a check is not a check but a yardstick: the least that has to be done."""
    return lambda lab, rival: (bare if rival.name == "plain" else checker)(lab, rival)


def honest(sample):
    if sample.get("false_leaks"):
        return f"{sample['false_leaks']:g} FALSE LEAKS"
    if sample.get("found") == 0:
        return "MISSED the planted leak"
    return ""


def pair(lab):
    """malloc+free pair under churn at call depth 5, 30, 100."""
    ms = 250 if lab.quick else 600
    shapes = [(5, 1), (30, 1), (30, 2)] if lab.quick else [(d, t) for t in (1, 2) for d in (5, 30, 100)]
    for depth, threads in shapes:
        key = "cpu_ns" if threads == 1 else "wall_ns"
        clock = "CPU" if threads == 1 else "wall"
        metrics = [Metric(key, f"{clock} time a pair", "ns",
                          (NOT_WORSE_THAN_GCC, ("plain", 0.8), ("gcc-lsan", 0.35), ("mimalloc", 1.6)))]
        yield Case(f"pair, depth {depth}, {threads} thread{'s' * (threads > 1)}", metrics, TOOLS,
                   3 if lab.quick else 7, c_program("pair", depth, threads, 100_000, ms))


def check_threads(lab):
    """One leak check with many threads."""
    rounds, checks = (2, 3) if lab.quick else (5, 5)
    for n in (1, 100, 1000) if lab.quick else (1, 100, 1000, 4000, 10_000):
        bars = {1000: (("clang-lsan", 0.2), ("clang-lsan", 0.12)), 4000: (("clang-lsan", 0.1),)}.get(n, ())
        yield Case(f"check, {n} blocked thread{'s' * (n > 1)}",
                   [Metric("ms", "one check", "ms", (NOT_WORSE_THAN_GCC, *bars))], ("plain", *CHECKERS), rounds,
                   checker_or_bare(c_program("threads", "blocked", n, checks),
                                   c_program("bare_stop", "blocked", n, checks)), wrong=honest)
    yield Case("check, 50 spinning threads",
               [Metric("ms", "one check", "ms", (NOT_WORSE_THAN_GCC, ("clang-lsan", 0.15))),
                Metric("pause_ms", "longest pause", "ms", (NOT_WORSE_THAN_GCC,))], ("plain", *CHECKERS), rounds,
               checker_or_bare(c_program("threads", "spinning", 50, 3), c_program("bare_stop", "spinning", 50, 3)),
               wrong=honest)


def stop_threads(lab):
    """The stop alone: all threads stopped, both register sets read, all let go. LSan has no such call: its column is its
    whole check of the same threads."""
    bars = {1000: 0.12, 4000: 0.1}
    for n in (100, 1000) if lab.quick else (100, 1000, 4000, 10_000):
        run = {"plain": c_program("bare_stop", "blocked", n, 9), "standstill": c_program("stop", "blocked", n, 9),
               "clang-lsan": c_program("threads", "blocked", n, 3)}
        yield Case(f"stop, {n} blocked threads",
                   [Metric("ms", "stop, registers, resume", "ms",
                           (("plain", 1.3), *((("clang-lsan", bars[n]),) if n in bars else ())))],
                   tuple(run), 3 if lab.quick else 5, lambda lab, rival, run=run: run[rival.name](lab, rival))


def check_heap(lab):
    """One leak check over a large heap."""
    million = 1_000_000
    gib = 512 if lab.quick else 2048
    checks = 3
    heaps = [("graph", million, "1 M nodes, random graph", 1.0)]
    if not lab.quick:
        heaps.append(("graph", 5 * million, "5 M nodes, random graph", 0.12))
    heaps += [("list", (1 if lab.quick else 5) * million, f"{1 if lab.quick else 5} M nodes, shuffled list", 0.4),
              ("words", gib, f"{gib} MiB of random words", 0.35),
              ("untouched", gib, f"{gib} MiB calloc'ed, untouched", 0.02)]
    for kind, amount, title, factor in heaps:
        metrics = [Metric("ms", "one check", "ms", (NOT_WORSE_THAN_GCC, ("clang-lsan", factor)))]
        if kind == "words":
            metrics[0].bars += (("plain", 2.0),)
        if kind in ("untouched", "graph"):
            metrics.append(Metric("rss_growth_mib", "resident memory grown by checks", "MiB"))
            metrics.append(Metric("peak_percent", "resident memory more while a check runs", "%"))
        run = checker_or_bare(c_program("heap", kind, amount, checks, timeout=120),
                              c_program("heap", kind, amount, "bare", timeout=120))
        yield Case(f"check, {title}", metrics, ("plain", *CHECKERS) if kind == "words" else CHECKERS,
                   1 if lab.quick else 3, run, wrong=honest)


def snapshot(lab):
    """What a check on a snapshot costs another thread, beside a bare stop and a bare fork in the same process."""
    million, gib, rounds = (1_000_000, 512, 5) if lab.quick else (5_000_000, 2048, 9)
    heaps = [("graph", million), ("list", million), ("words", gib), ("untouched", gib)]
    for kind, amount in heaps:
        unit = "MiB" if kind in ("words", "untouched") else "nodes"
        for what, key, title, factor in (("pause", "pause_ms", "longest pause of a busy thread", 1.5),
                                         ("writer", "lost_ms", "time lost by a writer of all pages", 1.2)):
            if what == "writer" and kind == "untouched":
                continue
            # The figures of the yardstick are the plain column's: the key is the same.
            def run(lab, rival, what=what, key=key, kind=kind, amount=amount):
                sample = lab.bench_program(rival, "snapshot", (kind, amount, what, rounds), 170,
                                           env={"STANDSTILL_OPTIONS": "exitcode=0:symbolize=0:snapshot=1"})
                return sample if key in sample else {**sample, key: sample["bare_ms"]}
            metrics = [Metric(key, title, "ms", (("plain", factor),)), Metric("ratio", "beside the yardstick in the same run", "x")]
            yield Case(f"snapshot check, {amount} {unit} {kind}", metrics, ("plain", "standstill"), 1 if lab.quick else 3,
                       run, wrong=honest)


def rss(lab):
    """Resident memory."""
    rounds = 1 if lab.quick else 3
    yield Case("5 M blocks of 48 bytes",
               [Metric("rss_mib", "resident", "MiB", (NOT_WORSE_THAN_GCC,)),
                Metric("build_ms", "time to allocate and write", "ms", (NOT_WORSE_THAN_GCC,))],
               ALLOCATORS, rounds, c_program("rss", "small", 5_000_000))
    mib = 256 if lab.quick else 1024
    yield Case(f"90% of {mib} MiB freed, after 1.2 s",
               [Metric("rss_mib", "resident", "MiB", (NOT_WORSE_THAN_GCC,)),
                Metric("returned_pct", "of it given back", "%", higher_is_better=True)],
               ALLOCATORS, rounds, c_program("rss", "giveback", mib))


def startup(lab):
    """/bin/true under the preload: 500 times from outside, 10,000 times fork and exec by a program that is preloaded too."""
    rounds, times = (5, 30) if lab.quick else (10, 50)
    who = ("plain", "gcc-lsan", "mimalloc", "jemalloc", "standstill")

    def true(lab, rival):
        return lab.launch(rival, ["/bin/true"], 60, times=times)

    def memory(lab, rival):
        out = lab.scratch / "status"
        lab.launch(rival, ["/bin/cat", "/proc/self/status"], 20, stdout=out)
        for line in out.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return {"hwm_mib": int(line.split()[1]) / 1024}
        raise Failed("no VmHWM")

    # Rounds are interleaved: a short one of each rival in turn.
    forks = 50 if lab.quick else 500
    yield Case("/bin/true", [Metric("wall_us", "spawn, run, wait", "us", (NOT_WORSE_THAN_GCC,), most_more=(("plain", 2000),)),
                             Metric("cpu_us", "CPU time", "us", (NOT_WORSE_THAN_GCC,))], who, rounds, true)
    yield Case("/bin/cat", [Metric("hwm_mib", "peak resident", "MiB", (NOT_WORSE_THAN_GCC,), most_more=(("plain", 2),))], who,
               3, memory)
    yield Case("fork and exec of /bin/true by a program under the same",
               [Metric("wall_us", "fork, exec, run, wait", "us", (NOT_WORSE_THAN_GCC,), most_more=(("plain", 2000),)),
                Metric("cpu_us", "CPU time of the command", "us", (NOT_WORSE_THAN_GCC,)),
                Metric("rss_mib", "peak resident", "MiB", (NOT_WORSE_THAN_GCC,), most_more=(("plain", 2),))], who,
               20, c_program("forkexec", forks, "/bin/true"))


def bare_stop(lab):
    """The yardstick for a stop; no rival takes part, the other benches show it in their plain column."""
    for n in (1000,) if lab.quick else (1000, 4000):
        yield Case(f"bare stop of {n} blocked threads",
                   [Metric("ms", "release by detach", "ms"), Metric("exit_ms", "release by exit", "ms")], ("plain",),
                   3 if lab.quick else 5, c_program("bare_stop", "blocked", n, 5))


def mixes(lab):
    """Allocator loads with several threads."""
    ms, rounds = (250, 3) if lab.quick else (600, 7)
    for name, title in (("larson", "larson-like, blocks change threads"), ("xfree", "freed by the other thread"),
                        ("scratch", "cache-scratch-like, 1000 writes a block")):
        yield Case(f"{title}, 2 threads", [Metric("wall_ns", "wall time a pair", "ns", (NOT_WORSE_THAN_GCC,))],
                   ALLOCATORS, rounds, c_program(name, 2, ms))


def cpu(lab):
    """Total CPU time of real programs."""
    return programs.cases(lab)


BENCHES = {"pair": pair, "check-threads": check_threads, "stop-threads": stop_threads, "check-heap": check_heap,
           "snapshot": snapshot, "rss": rss, "startup": startup,
           "bare-stop": bare_stop, "mixes": mixes, "cpu": cpu}
