"""The customer's command: how much it installs, and how fast it starts, beside edmgr.

Each goes into an environment of its own that has nothing else, from the versions that are locked:
what lies in site-packages afterwards, as unpacked and with Python's bytecode beside it. Needs the
registry of packages, or its copies in uv's cache.
"""

import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from bench._cpu import median
from bench._figures import Figure, Report

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 15
_UV = Path(sys.executable).parent / "uv"
_MB = 1_000_000


def measure() -> Report:
    """Install both, weigh them, start them."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        _install(ours, ("--require-hashes", "-r", str(ROOT / "requirements/client.lock")))
        _install(ours, ("--no-deps", str(_wheel(Path(folder)))))
        _install(theirs, ("-c", _constraints(Path(folder)), "edmgr==1.3.2"))
        bare = [(_bytes(home), _others(home)) for home in (ours, theirs)]
        for home in (ours, theirs):
            _run(_python(home), "-m", "compileall", "-q", str(_packages(home)))
        compiled = [_bytes(home) for home in (ours, theirs)]
        started = {
            "--version": _starts(ours, "--version"),
            "--help": _starts(ours, "--help"),
            "edmgr --version": _starts(theirs, "--version", command="edmgr"),
            "python": _starts(ours, "-c", "pass", command="python"),
            "import": _starts(ours, "-c", "import entrepot.client", command="python"),
        }
    return Report(_SHAPE, [*_sizes(bare, compiled), *_times(started)])


_SHAPE = (
    "`requirements/client.lock` and our own wheel (which holds the server's sources, too) in an "
    "empty environment; edmgr 1.3.2 with what it needs in another. Sizes are sums of the files in "
    "site-packages. Starting: wall time of the whole process, page cache warm, bytecode there."
)


def _sizes(bare: list[tuple[int, int]], compiled: list[int]) -> list[Figure]:
    (ours, others), (theirs, _) = bare
    return [
        Figure(
            "packages, as unpacked",
            ours / _MB,
            "MB",
            target="<= 15",
            peer=f"{others / _MB:.1f} MB of others; edmgr {theirs / _MB:.1f} MB",
        ),
        Figure(
            "packages, with bytecode",
            compiled[0] / _MB,
            "MB",
            target="<= 15",
            peer=f"edmgr {compiled[1] / _MB:.1f} MB",
        ),
    ]


def _times(started: dict[str, list[float]]) -> list[Figure]:
    python, edmgr = median(started["python"]), median(started["edmgr --version"])
    peer = f"Python alone {python:.0f} ms; edmgr --version {edmgr:.0f} ms"
    return [
        _time("entrepot --version", started["--version"], "<= 150", peer),
        _time("entrepot --help", started["--help"], "", ""),
        _time("import entrepot.client", started["import"], "", "Python's own start included"),
    ]


def _time(what: str, samples: list[float], target: str, peer: str) -> Figure:
    return Figure(what, median(samples), "ms", tuple(samples), target, peer)


def _starts(home: Path, *arguments: str, command: str = "entrepot") -> list[float]:
    """Milliseconds of each start but the first."""
    program = str(home / "bin" / command)
    samples = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        _run(program, *arguments)
        samples.append((time.perf_counter() - begun) * 1000)
    return samples[1:]


def _install(home: Path, what: tuple[str, ...]) -> None:
    if not home.exists():
        venv.create(home, with_pip=False, symlinks=True)
    _run(str(_UV), "pip", "install", "--quiet", "--python", _python(home), *what)


def _wheel(folder: Path) -> Path:
    """Our distribution as it would be published."""
    made = folder / "wheel"
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made), cwd=ROOT)
    (wheel,) = made.glob("*.whl")
    return wheel


def _constraints(folder: Path) -> str:
    """The locked versions without their hashes: edmgr needs but some of them."""
    lines = (ROOT / "requirements/test.lock").read_text().splitlines()
    path = folder / "constraints.txt"
    pins = [line.removesuffix("\\").strip() for line in lines if line[:1].isalnum()]
    path.write_text("\n".join(pins) + "\n")
    return str(path)


def _python(home: Path) -> str:
    return str(home / "bin" / "python")


def _packages(home: Path) -> Path:
    (found,) = (home / "lib").glob("python3*/site-packages")
    return found


def _bytes(home: Path) -> int:
    return sum(path.stat().st_size for path in _packages(home).rglob("*") if path.is_file())


def _others(home: Path) -> int:
    """Without our own distribution."""
    ours = sum(
        path.stat().st_size
        for folder in _packages(home).glob("entrepot*")
        for path in folder.rglob("*")
        if path.is_file()
    )
    return _bytes(home) - ours


def _run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd=cwd, timeout=600)
