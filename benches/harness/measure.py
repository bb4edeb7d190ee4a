"""How it is measured: builds the programs, runs the rivals of a case in turn (A B C A B C ...), collects numbers.

Whatever goes wrong in a run (a crash, a hang, a wrong answer, a missing rival) becomes the content of its cell.
"""
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

CFLAGS = ("-O2", "-g", "-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-pthread")


class Failed(Exception):
    """A run that gave no number. Its text goes into the table."""


@dataclass
class Metric:
    key: str
    title: str
    unit: str
    # (rival, factor): this many times that rival's figure is the bar that Standstill has to reach.
    bars: tuple = ()
    higher_is_better: bool = False
    # (rival, amount): Standstill may have so much more than that rival.
    most_more: tuple = ()


@dataclass
class Case:
    title: str
    metrics: list
    rivals: tuple
    rounds: int
    # (lab, rival) -> {key: number}; raises Failed.
    run: Callable
    note: str = ""
    # A run after which the numbers are worthless, although there are some: sample -> reason or "".
    wrong: Callable = lambda sample: ""


@dataclass
class Row:
    case: Case
    metric: Metric
    # rival name -> list of numbers, and rival name -> list of reasons
    values: dict = field(default_factory=dict)
    failures: dict = field(default_factory=dict)

    def median(self, rival) -> Optional[float]:
        v = self.values.get(rival)
        return statistics.median(v) if v else None


class Lab:
    """One run of the benches: folders, options, built programs."""

    def __init__(self, here, quick=False, verbose=False):
        self.here, self.root, self.quick, self.verbose = here, here.parent, quick, verbose
        self.target = Path(os.environ.get("CARGO_TARGET_DIR", self.root / "target")) / "benches"
        self.target.mkdir(parents=True, exist_ok=True)
        self.scratch = Path(tempfile.mkdtemp(prefix="standstill-bench-"))
        self.load_before = os.getloadavg()
        self.built = {}

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def say(self, text):
        if self.verbose:
            print(text, file=sys.stderr, flush=True)

    def program(self, name, build=("gcc",)):
        """Path of benches/c/NAME.c, compiled by `build` (compiler and its flags)."""
        key = (name, build)
        if key not in self.built:
            out = self.target / "-".join([name] + [Path(b).name.lstrip("-").replace("=", "-") for b in build])
            src = self.here / "c" / f"{name}.c"
            newest = max(f.stat().st_mtime for f in (src, *(self.here / "c").glob("*.h")))
            if not out.exists() or out.stat().st_mtime < newest:
                p = subprocess.run([build[0], *build[1:], *CFLAGS, str(src), "-o", str(out), "-ldl"],
                                   capture_output=True, text=True)
                if p.returncode:
                    raise Failed("does not compile: " + p.stderr.strip().split("\n")[0])
            self.built[key] = out
        return self.built[key]

    def launch(self, rival, command, timeout, times=1, stdout="/dev/null", env=None, cwd=None):
        """Runs a command under a rival through c/launch.c; numbers as it prints them. Failed on crash and hang."""
        result = self.scratch / "result"
        result.unlink(missing_ok=True)
        errors = self.scratch / "stderr"
        variables = [a for k, v in {**rival.environment(), **(env or {})}.items() for a in ("-E", f"{k}={v}")]
        argv = [str(self.program("launch")), "-n", str(times), "-o", str(stdout), "-e", str(errors),
                "-r", str(result), *variables, "--", *rival.wrapper, *map(str, command)]
        # Its own session, so that a hang can be ended with all it started, and nothing else.
        p = subprocess.Popen(argv, start_new_session=True, cwd=cwd, stdin=subprocess.DEVNULL)
        try:
            code = p.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            raise Failed(f"hang (> {timeout:g} s)")
        except BaseException:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            raise
        if code or not result.exists():
            raise Failed(f"cannot start (launch status {code})")
        sample = numbers(result.read_text())
        if sample["failed"]:
            what = signal.Signals(int(sample["signal"])).name if sample["signal"] else f"exit {sample['status']:g}"
            if times > 1:
                what += f" in {sample['failed']:g} of {times}"
            elif sample["status"] == 99:
                what = _last_line(errors) or what
            raise Failed(what)
        return sample

    def bench_program(self, rival, name, args, timeout, env=None):
        """Runs one of the C programs under a rival: its own numbers and those of `launch` (prefixed by os_)."""
        out = self.scratch / "stdout"
        outside = self.launch(rival, [self.program(name, rival.build), *args], timeout, stdout=out, env=env)
        sample = numbers(out.read_text())
        if not sample:
            raise Failed("no result line")
        sample.update({"os_" + k: v for k, v in outside.items()})
        return sample


def _last_line(path):
    lines = path.read_text(errors="replace").strip().split("\n")
    return lines[-1].removeprefix("bench program: ")[:60] if lines else ""


def numbers(text):
    """key=value pairs of the last line that has any."""
    for line in reversed(text.strip().split("\n")):
        pairs = [w.split("=", 1) for w in line.split() if "=" in w]
        try:
            if pairs:
                return {k: float(v) for k, v in pairs}
        except ValueError:
            continue
    return {}


def run_case(lab, case, rivals, wanted=None, rounds=None):
    """One row for each metric of the case."""
    rows = [Row(case, m) for m in case.metrics]
    names = [n for n in rivals if n in case.rivals and not (lab.quick and rivals[n].slow)
             and (wanted is None or n in wanted or n == "plain")]
    dead = set()
    print(f"  {case.title} ...", file=sys.stderr, flush=True)
    for turn in range(rounds or case.rounds):
        for name in names:
            if name in dead:
                continue
            try:
                if rivals[name].missing:
                    dead.add(name)
                    raise Failed(rivals[name].missing)
                sample = case.run(lab, rivals[name])
                wrong = case.wrong(sample)
                lab.say(f"    {turn} {name}: " + " ".join(f"{k}={v:g}" for k, v in sample.items()))
                for row in rows:
                    if row.metric.key in sample:
                        row.values.setdefault(name, []).append(sample[row.metric.key])
                    if wrong:
                        row.failures.setdefault(name, []).append(wrong)
            except Failed as e:
                lab.say(f"    {turn} {name}: {e}")
                for row in rows:
                    row.failures.setdefault(name, []).append(str(e))
                # A hang costs its whole time limit: once is enough to be in the table.
                if str(e).startswith("hang") or str(e).startswith("does not compile"):
                    dead.add(name)
    return rows
