"""Who is measured: each rival says how a bench program is built and started under it, or why it is not here."""
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# Leak reports go to stderr, which nobody reads here, and are not symbolized: what is measured is the check, not
# llvm-symbolizer. A leak that is found must not turn into a failed run: exit status 0.
QUIET = {"LSAN_OPTIONS": "exitcode=0:symbolize=0", "STANDSTILL_OPTIONS": "exitcode=0:symbolize=0"}


@dataclass
class Rival:
    name: str
    title: str
    preload: str = ""
    compiler: str = "gcc"
    cflags: tuple = ()
    wrapper: tuple = ()
    env: dict = field(default_factory=dict)
    missing: str = ""
    slow: bool = False

    @property
    def build(self):
        """Rivals with the same build share the executable."""
        return (self.compiler, *self.cflags)

    def environment(self):
        e = dict(QUIET, **self.env)
        if self.preload:
            e["LD_PRELOAD"] = self.preload
        return e


def _shared(*names):
    """The first of these libraries that the system has: the compiler's own search, then the loader's folders."""
    for name in names:
        if shutil.which("gcc"):
            p = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
            if p.startswith("/") and Path(p).exists():
                return os.path.realpath(p)
        for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"):
            if Path(folder, name).exists():
                return os.path.realpath(Path(folder, name))
    return ""


def _preloaded(name, title, *libraries):
    lib = _shared(*libraries)
    return Rival(name, title, preload=lib, missing="" if lib else f"{libraries[-1]} not installed")


def _clang_lsan():
    cc = shutil.which("clang-19") or shutil.which("clang")
    r = Rival("clang-lsan", "clang LSan", compiler=cc or "clang-19", cflags=("-fsanitize=leak",))
    if not cc:
        r.missing = "clang-19 not installed"
    return r


def _standstill(lab, lib):
    target = Path(os.environ.get("CARGO_TARGET_DIR", lab.root / "target"))
    so = Path(lib) if lib else target / "release/libstandstill.so"
    ok = so.exists()
    return Rival("standstill", "Standstill", preload=str(so.resolve()) if ok else "", missing="" if ok else "not built")


def find(lab, lib=None):
    """All rivals in the order of the table's columns, by name."""
    rivals = [
        Rival("plain", "plain"),
        _preloaded("gcc-lsan", "gcc liblsan", "liblsan.so", "liblsan.so.0"),
        _clang_lsan(),
        _preloaded("mimalloc", "mimalloc", "libmimalloc.so.2", "libmimalloc.so"),
        _preloaded("jemalloc", "jemalloc", "libjemalloc.so.2"),
    ]
    clang = rivals[2]
    rivals.append(Rival("clang-lsan-full", "clang LSan, full stacks", compiler=clang.compiler, cflags=clang.cflags,
                        env={"LSAN_OPTIONS": QUIET["LSAN_OPTIONS"] + ":fast_unwind_on_malloc=0"},
                        missing=clang.missing, slow=True))
    for tool, command in (("heaptrack", ("heaptrack", "-r", "-o", str(lab.scratch / "heaptrack"))),
                          ("valgrind", ("valgrind", "-q", "--leak-check=no", "--num-callers=30"))):
        path = shutil.which(tool)
        rivals.append(Rival(tool, tool, wrapper=command, missing="" if path else f"{tool} not installed", slow=True))
    rivals.append(_standstill(lab, lib))
    return {r.name: r for r in rivals}
