"""The program inside the sandbox: takes one item after the other until the hub hangs up.

It is run by its path, with one argument (JSON: paths, limits, runners), on an interpreter without
site packages; standard input is the socket. Nothing that it says is believed by the hub.
"""

import contextlib
import ctypes
import errno
import gc
import json
import os
import resource
import shutil
import socket
import sys
import traceback
import types
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entrepot.core.conversions.port import Fact, Limits
    from entrepot.core.conversions.runners.protocol import Answer, Request

_RUNNERS = {
    name: f"entrepot.core.conversions.runners.{name}"
    for name in ("image", "video", "audio", "document", "office")
}
_SCRATCH = Path("/scratch")
# Beyond its own memory a process maps libraries and files.
_MAPPED_BYTES_MAX = 2 * 1024**3
_FILES_MAX = 256
_TASKS_MAX = 256
_SCRATCH_FREE_MIN = 1024 * 1024  # bytes; less: it is full
_MEMLOCK_BYTES_MAX = 64 * 1024
_CPU_GRACE_SECONDS = 5  # the hub measures first; this holds where the hub is stopped
# Importing these would bring the database's libraries along: their modules are had without.
_BARE_PACKAGES = ("entrepot.core.conversions", "entrepot.core.catalogue")


def main(options: dict[str, Any]) -> None:
    """Serves the socket that is standard input."""
    sys.path[:0] = options["paths"]
    _register_bare_packages()
    from entrepot.core.conversions.port import Limits
    from entrepot.core.conversions.runners import protocol

    hub = _take_socket()
    limits = Limits(**options["limits"])
    runners = _RUNNERS | options["runners"]
    _limit_process(limits)
    hub.send(protocol.encode_answer(protocol.Answer(protocol.READY, "ready")))
    while True:
        packet, descriptors, _, _ = socket.recv_fds(
            hub, protocol.MESSAGE_BYTES_MAX, protocol.DESCRIPTORS_MAX
        )
        if not packet:
            return
        _prepare_for_item(limits)
        try:
            answer = _run_item(protocol.decode_request(packet), descriptors, limits, runners)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        _tidy_up()
        hub.send(protocol.encode_answer(answer))


def _run_item(
    request: "Request", descriptors: list[int], limits: "Limits", runners: dict[str, str]
) -> "Answer":
    from entrepot.core.conversions.runners.protocol import Answer, Refused

    try:
        facts = _dispatch(request, [_path_of(fd) for fd in descriptors], limits, runners)
        return Answer(request.serial, "done", facts=facts)
    except Refused as error:
        return Answer(request.serial, "refused", code=error.code, message=error.message)
    except MemoryError:
        text = "The file needs more memory than a conversion may take."
        return Answer(request.serial, "refused", code="media-too-large", message=text)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and not _scratch_is_full():
            text = "There was no room on the hub's disk for the result."
            return Answer(request.serial, "refused", code="storage-full", message=text)
        if error.errno in (errno.EFBIG, errno.ENOSPC):
            text = "The result, or what is needed to make it, is larger than it may be."
            return Answer(request.serial, "refused", code="media-too-large", message=text)
        return Answer(request.serial, "defect", trace=traceback.format_exc())
    except Exception:
        return Answer(request.serial, "defect", trace=traceback.format_exc())


def _scratch_is_full() -> bool:
    """Whose fault it is that there was no room: the scratch folder is the item's own."""
    scratch = os.statvfs(_SCRATCH)
    return scratch.f_bavail * scratch.f_frsize < _SCRATCH_FREE_MIN


def _dispatch(
    request: "Request", paths: list[Path], limits: "Limits", runners: dict[str, str]
) -> "dict[str, Fact]":
    from entrepot.core.conversions.recipes import recipe_from_document

    if request.verb == "probe":
        runner = import_module(runners[_runner_of(request.content_type)])
        return dict(runner.probe(paths[0], request.content_type, limits))
    recipe = recipe_from_document(request.recipe)
    runner = import_module(runners[recipe.runner])
    return dict(runner.convert(paths[0], recipe, paths[1], limits, paths[2:]))


def _runner_of(content_type: str) -> str:
    from entrepot.core.conversions.runners.protocol import Refused

    kind = content_type.partition("/")[0]
    if content_type == "application/pdf":
        return "document"
    if kind in ("image", "video", "audio"):
        return kind
    raise Refused("media-unsupported", f"Files of type {content_type} are not looked into.")


def _path_of(descriptor: int) -> Path:
    """A name that ffmpeg, a process below this one, can open as well."""
    return Path(f"/proc/{os.getpid()}/fd/{descriptor}")


def _take_socket() -> socket.socket:
    """The socket, out of the reach of runners' children; whatever they print goes nowhere."""
    hub = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return hub


def _register_bare_packages() -> None:
    import entrepot.core

    for name in _BARE_PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(entrepot.core.__path__[0]) / name.rpartition(".")[2])]
        sys.modules[name] = package


def _limit_process(limits: "Limits") -> None:
    """For this process and each below it: the hub adds them up, these hold between two looks."""
    hard = {
        resource.RLIMIT_AS: limits.memory_bytes_max + _MAPPED_BYTES_MAX,
        resource.RLIMIT_DATA: limits.memory_bytes_max,
        resource.RLIMIT_FSIZE: limits.output_bytes_max,
        resource.RLIMIT_NOFILE: _FILES_MAX,
        resource.RLIMIT_MEMLOCK: _MEMLOCK_BYTES_MAX,
        resource.RLIMIT_CORE: 0,
    }
    if _counts_tasks_by_namespace():
        hard[resource.RLIMIT_NPROC] = _TASKS_MAX
    for kind, value in hard.items():
        allowed = resource.getrlimit(kind)[1]
        most = value if allowed == resource.RLIM_INFINITY else min(value, allowed)
        resource.setrlimit(kind, (most, most))


def _counts_tasks_by_namespace() -> bool:
    """From Linux 5.14 on; before, the limit would count all that the user runs anywhere."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (5, 14)


def _prepare_for_item(limits: "Limits") -> None:
    """The time of the processor counts from here; the scratch folder is empty."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + limits.cpu_seconds_max + _CPU_GRACE_SECONDS
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))
    os.chdir(_SCRATCH)
    for left in _SCRATCH.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _tidy_up() -> None:
    """Gives memory back, so that the hub keeps this child rather than starting another."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
