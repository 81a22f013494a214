"""A runner that misbehaves as it is told: what a converter taken over by a file might do.

It runs inside the sandbox only; `recipe.steps[0]` names one of the functions below.
"""

import ctypes
import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners.protocol import Refused

BLOCK = bytes(1024 * 1024)


@dataclass(frozen=True)
class Item:
    source: Path
    target: Path
    value: Any
    watermarks: Sequence[Path]

    def copy(self) -> None:
        self.target.write_bytes(self.source.read_bytes())


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path]
) -> dict[str, Any]:
    step = recipe.steps[0]
    return DOES[step.type](Item(source, target, step.value, watermarks))


def probe(source: Path, content_type: str, limits: Limits) -> dict[str, Fact]:
    return {"content_type": content_type, "bytes": source.stat().st_size}


def copy(item: Item) -> dict[str, Any]:
    item.copy()
    return {"process": process_id(), "watermark": "".join(p.read_text() for p in item.watermarks)}


def process_id() -> str:
    """Tells children apart: numbers of processes repeat in each, addresses do not."""
    return str(id(BLOCK))


def refuse(item: Item) -> dict[str, Any]:
    raise Refused("page-outside", "The page\n\x1b[31m 7 is not there.")


def fail(item: Item) -> dict[str, Any]:
    raise RuntimeError("a defect of the runner")


def die(item: Item) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)
    return {}


def leave(item: Item) -> dict[str, Any]:
    os._exit(0)


def hang(item: Item) -> dict[str, Any]:
    item.target.write_text("begun")
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(60)


def spin(item: Item) -> dict[str, Any]:
    while True:
        pass


def spin_below(item: Item) -> dict[str, Any]:
    """Short-lived processes, one after the other: none of them uses much."""
    while True:
        subprocess.run([sys.executable, "-I", "-S", "-c", "sum(range(10**6))"], check=True)


def work(item: Item) -> dict[str, Any]:
    """Uses `value` seconds of the processor, and succeeds."""
    until = time.process_time() + float(item.value)
    while time.process_time() < until:
        pass
    return copy(item)


def flood(item: Item) -> dict[str, Any]:
    for _ in range(64):
        os.write(1, BLOCK)
        os.write(2, BLOCK)
    return copy(item)


def hub() -> socket.socket:
    """The socket to the hub, found as an attacker would."""
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return socket.socket(fileno=os.dup(descriptor))
        except OSError:
            continue
    raise LookupError("no socket")


def say(item: Item) -> dict[str, Any]:
    """Sends the packets in `value` in place of an answer, or an endless number of the last."""
    with hub() as spoken:
        for packet in item.value["packets"]:
            spoken.send(packet.encode())
        while item.value.get("again"):
            spoken.send(item.value["packets"][-1].encode())
    time.sleep(60)
    return {}


def say_long(item: Item) -> dict[str, Any]:
    with hub() as spoken:
        spoken.send(bytes(int(item.value)))
    time.sleep(60)
    return {}


def say_more(item: Item) -> dict[str, Any]:
    """Answers well, and something more besides, which waits for the next item."""
    from threading import Thread, main_thread

    answering = main_thread().ident or 0

    def wait_and_send() -> None:
        while sys._current_frames()[answering].f_code.co_name != "recv_fds":
            time.sleep(0.01)
        hub().send(b'{"serial":2,"outcome":"done"}')

    Thread(target=wait_and_send).start()
    return copy(item)


def claim(item: Item) -> dict[str, Any]:
    """Facts as given."""
    item.copy()
    return dict(item.value)


def claim_infinity(item: Item) -> dict[str, Any]:
    with hub() as spoken:
        spoken.send(b'{"serial":%d,"outcome":"done","facts":{"fps":1e999}}' % item.value)
    time.sleep(60)
    return {}


def write_nothing(item: Item) -> dict[str, Any]:
    return {}


def write(item: Item) -> dict[str, Any]:
    with item.target.open("wb") as file:
        for _ in range(int(item.value)):
            file.write(BLOCK)
    return {}


def stretch(item: Item) -> dict[str, Any]:
    """A large file without writing it."""
    with item.target.open("r+b") as file:
        file.truncate(int(item.value))
    return {}


def fill_scratch(item: Item) -> dict[str, Any]:
    for number in range(10_000):
        try:
            Path(f"/scratch/{number}").write_bytes(BLOCK)
        except OSError as error:
            return copy(item) | {"written": number, "error": errno.errorcode[error.errno or 0]}
    return {}


def overflow(item: Item) -> dict[str, Any]:
    """There is no room: in the scratch folder, or where the result goes."""
    if item.value == "scratch":
        with Path("/scratch/all").open("wb", buffering=0) as file:
            while True:
                file.write(BLOCK)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def list_scratch(item: Item) -> dict[str, Any]:
    return copy(item) | {"files": sum(1 for _ in Path("/scratch").iterdir())}


def eat(item: Item) -> dict[str, Any]:
    held = []
    while True:
        held.append(bytearray(os.urandom(4096) * 4096))


def eat_below(item: Item) -> dict[str, Any]:
    """Every process below its own limit, all together far above."""
    for _ in range(12):
        if os.fork() == 0:
            held = bytearray(b"x" * int(item.value))
            time.sleep(60)
            os._exit(len(held) and 0)
    time.sleep(60)
    return {}


def keep(item: Item) -> dict[str, Any]:
    """Goes on holding `value` bytes of memory after the item, and never takes more than those."""
    kept = globals()["KEPT"] = bytearray(int(item.value))
    for page in range(0, len(kept), resource.getpagesize()):
        kept[page] = 1
    return copy(item)


def fork_bomb(item: Item) -> dict[str, Any]:
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def thread_bomb(item: Item) -> dict[str, Any]:
    import threading

    threading.stack_size(64 * 1024)
    while True:
        try:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)


def stay_behind(item: Item) -> dict[str, Any]:
    """Succeeds and leaves a process that keeps running."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
    return copy(item)


def try_to(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def look(item: Item) -> dict[str, Any]:
    """How reading each of the paths ends."""
    item.copy()
    return {f"p{i}": try_to(partial(look_at, p)) for i, p in enumerate(item.value)}


def look_at(path: str) -> object:
    found = Path(path)
    return list(found.iterdir()) if found.is_dir() else found.read_bytes()


def write_at(item: Item) -> dict[str, Any]:
    item.copy()
    return {f"p{i}": try_to(Path(p, "x").touch) for i, p in enumerate(item.value)}


def list_root(item: Item) -> dict[str, Any]:
    item.copy()
    return {f"n{i}": str(path) for i, path in enumerate(Path("/").iterdir())}


def see_processes(item: Item) -> dict[str, Any]:
    item.copy()
    return {"processes": sum(path.name.isdigit() for path in Path("/proc").iterdir())}


def link_to(item: Item) -> dict[str, Any]:
    """Follows a symbolic link of its own making out of the scratch folder."""
    item.copy()
    Path("/scratch/way-out").symlink_to(item.value)
    return {"read": try_to(Path("/scratch/way-out").read_bytes)}


def spoil_source(item: Item) -> dict[str, Any]:
    """Every way to change the file that it was given only to read."""
    item.copy()
    path = str(item.source)
    fd = os.open(path, os.O_RDONLY)
    return {
        "write": try_to(lambda: os.open(path, os.O_RDWR)),
        "truncate": try_to(lambda: os.truncate(path, 0)),
        "write_given": try_to(lambda: os.write(fd, b"x")),
        "fchmod": try_to(lambda: os.fchmod(fd, 0o600)),
        "chmod": try_to(lambda: Path(path).chmod(0o600)),
        "utime": try_to(lambda: os.utime(path, (0, 0))),
        "setxattr": try_to(lambda: os.setxattr(path, "user.x", b"x")),
        "again": try_to(lambda: os.open(path, os.O_WRONLY)),
    }


def connect(item: Item) -> dict[str, Any]:
    item.copy()
    socket.setdefaulttimeout(2)
    there = ("127.0.0.1", int(item.value))
    return {
        "tcp": try_to(lambda: socket.create_connection(there)),
        "udp": try_to(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", there)),
        "unix": try_to(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)),
        "interfaces": Path("/proc/net/dev").read_text().count(":"),
    }


def describe(item: Item) -> dict[str, Any]:
    """Who it is: /proc/self/status, the environment, the limits."""
    item.copy()
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    wanted = ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    return {name.lower(): status[name].strip() for name in wanted} | {
        "uid": os.getuid(),
        "environment": " ".join(sorted(os.environ)),
        "host": os.uname().nodename,
    }


def call(item: Item) -> dict[str, Any]:
    """How system calls that it has no business with end; by number, as an exploit would."""
    item.copy()
    libc = ctypes.CDLL(None, use_errno=True)
    facts = {}
    for name, numbers in item.value.items():
        ctypes.set_errno(0)
        returned = libc.syscall(*[ctypes.c_long(number) for number in numbers])
        code = ctypes.get_errno()
        facts[name] = errno.errorcode.get(code, str(code)) if returned == -1 else "done"
    return facts


DOES: dict[str, Callable[[Item], dict[str, Any]]] = {
    function.__name__: function
    for function in (
        *(copy, refuse, fail, die, leave, hang, spin, spin_below, work, flood),
        *(say, say_long, say_more, claim, claim_infinity, write_nothing, write, stretch),
        *(
            overflow,
            fill_scratch,
            list_scratch,
            eat,
            eat_below,
            keep,
            fork_bomb,
            thread_bomb,
            stay_behind,
        ),
        *(look, write_at, list_root, see_processes, link_to, spoil_source, connect, describe, call),
    )
}
