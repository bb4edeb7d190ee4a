"""The result: one Markdown table, and the record of a run (conditions, table, every single number)."""
import json
import os
import platform
import subprocess
import time
from pathlib import Path


def _number(x):
    if abs(x) >= 1000:
        return f"{x:,.0f}".replace(",", " ")
    if abs(x) >= 100:
        return f"{x:.0f}"
    if abs(x) >= 10:
        return f"{x:.1f}"
    return f"{x:.2f}"


def _cell(row, name):
    """Median; with failures their kind and number; never empty for a rival that takes part."""
    m = row.median(name)
    bad = row.failures.get(name, [])
    if not bad:
        return _number(m) if m is not None else ""
    kinds = ", ".join(sorted(set(bad)))
    if m is None:
        return f"**{kinds}**"
    return f"{_number(m)} (**{kinds}**, {len(bad)} of {max(len(bad), len(row.values[name]))} runs)"


def _ratio(row, name):
    """Standstill's figure divided by the rival's."""
    ours, theirs = row.median("standstill"), row.median(name)
    return f"{ours / theirs:.2f}" if ours is not None and theirs else ""


def bar_verdicts(row):
    """One text a bar: 'at most 0.8x plain: met'. Nothing depends on it, it is there to be read."""
    out = []
    for name, factor in row.metric.bars:
        ours, theirs = row.median("standstill"), row.median(name)
        if ours is None or not theirs:
            continue
        up = row.metric.higher_is_better
        met = ours >= factor * theirs if up else ours <= factor * theirs
        out.append(f"{'≥' if up else '≤'}{factor:g}× {name}: {'yes' if met else '**no**'}")
    for name, amount in row.metric.most_more:
        ours, theirs = row.median("standstill"), row.median(name)
        if ours is None or theirs is None:
            continue
        met = "yes" if ours <= theirs + amount else "**no**"
        out.append(f"≤{name} + {amount:g} {row.metric.unit}: {met} ({ours - theirs:+.2f})")
    return out


def render(lab, rows, rivals, wanted):
    used = [n for n in rivals if any(n in r.values or n in r.failures for r in rows)]
    against = [n for n in ("plain", "gcc-lsan", "clang-lsan", "mimalloc") if n in used and "standstill" in used]
    head = ["bench", "metric"] + [rivals[n].title for n in used] + [f"S / {rivals[n].title}" for n in against] + ["bars"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(used) + len(against)) + "---|"]
    for r in rows:
        cells = [r.case.title, f"{r.metric.title} ({r.metric.unit})"]
        cells += [_cell(r, n) for n in used] + [_ratio(r, n) for n in against] + ["<br>".join(bar_verdicts(r))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(conditions(lab)) + "\n\n" + "\n".join(lines) + "\n"


def _out(*argv, cwd=None):
    p = subprocess.run(argv, capture_output=True, text=True, cwd=cwd)
    return p.stdout.strip() if p.returncode == 0 else ""


def _cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.lower().startswith(("model name", "cpu part")):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit(lab):
    c = _out("git", "rev-parse", "--short", "HEAD", cwd=lab.root) or "unknown"
    return c + ("+changes" if _out("git", "status", "--porcelain", "--untracked-files=no", cwd=lab.root) else "")


def conditions(lab):
    mem = Path("/proc/meminfo").read_text().split()[1]
    return [f"{time.strftime('%Y-%m-%d %H:%M')}, commit {commit(lab)}, {'quick' if lab.quick else 'full'} run",
            f"CPU: {_cpu_model()}, {os.cpu_count()} CPUs, {int(mem) // 1024} MiB; kernel {platform.release()}; "
            f"{' '.join(platform.libc_ver())}; {_out('gcc', '--version').splitlines()[0] if _out('gcc', '--version') else 'no gcc'}",
            "load average before / after: " + " / ".join(f"{x[0]:.1f}" for x in (lab.load_before, os.getloadavg()))
            + " (a run on a busy machine is good for ratios only)"]


def record(lab, text, rows):
    folder = lab.here / "records"
    folder.mkdir(exist_ok=True)
    stem = f"{time.strftime('%Y-%m-%d-%H%M')}-{commit(lab)}"
    (folder / f"{stem}.md").write_text(text)
    raw = [{"bench": r.case.title, "metric": r.metric.key, "unit": r.metric.unit, "values": r.values,
            "failures": r.failures} for r in rows]
    (folder / f"{stem}.json").write_text(json.dumps({"conditions": conditions(lab), "rows": raw}, indent=1))
    return folder / f"{stem}.md"
