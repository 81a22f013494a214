"""A transfer by IBM Aspera, run by its own program `ascli` where that is installed.

No shell takes part, so nothing the hub says can become a command; the program gets a folder of
its own inside the download folder, of the hub's specification it sees only what says where
from and how fast, and what it brings is verified like any other download.
"""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

from entrepot.client.downloader import Downloaded
from entrepot.client.errors import BadAnswer, Corrupt, InvalidUse, LocalFileError, Unreachable
from entrepot.client.partial import check_room, local_error, make_folder, part_name
from entrepot.client.stop import Stop
from entrepot.client.verification import Expected, hash_file, is_complete

PROGRAM = "ascli"
TRANSFER_SECONDS_MAX = 24 * 3600.0
# What a hub may decide of a transfer. All else in a specification steers this machine: the
# direction, the folders, arguments for the program underneath.
_TAKEN_OVER = (
    "remote_host",
    "remote_user",
    "ssh_port",
    "fasp_port",
    "wss_enabled",
    "wss_port",
    "sshfp",
    "token",
    "authentication",
    "cookie",
    "tags",
    "cipher",
    "rate_policy",
    "target_rate_kbps",
    "min_rate_kbps",
    "http_fallback",
    "http_fallback_port",
)


def download_by_aspera(
    spec: dict[str, Any], target: Path, expected: Expected, stop: Stop
) -> Downloaded:
    """Let `ascli` fetch what the transfer specification names, verify it, put it in place.

    Raises InvalidUse when the program is missing, Unreachable when it fails, Corrupt,
    LocalFileError.
    """
    started = monotonic()
    make_folder(target.parent)
    if is_complete(target, expected, stop):
        size = target.stat().st_size
        return Downloaded(target, size, expected.strength, True, monotonic() - started)
    program = shutil.which(PROGRAM)
    if program is None:
        raise InvalidUse(
            f"The program {PROGRAM} of IBM Aspera is not installed.",
            remedy="Install it, or download with `-m http`.",
        )
    check_room(target.parent, expected.size or 0)
    work = target.with_name(part_name(target.name, secrets.token_hex(4)))
    try:
        work.mkdir(mode=0o700)
        fetched = work / "bytes"
        _run(program, spec, work, fetched)
        size = _verify(fetched, expected, stop)
        fetched.replace(target)
    except OSError as error:
        raise local_error(error, target) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Downloaded(target, size, expected.strength, False, monotonic() - started)


def _run(program: str, spec: dict[str, Any], work: Path, fetched: Path) -> None:
    host, paths = spec.get("remote_host"), spec.get("paths")
    if not isinstance(host, str) or not host or not isinstance(paths, list) or len(paths) != 1:
        raise BadAnswer("The hub's Aspera transfer names no host, or not exactly one file.")
    source = paths[0].get("source") if isinstance(paths[0], dict) else None
    if not isinstance(source, str):
        raise BadAnswer("The hub's Aspera transfer names no file.")
    port = spec.get("ssh_port", 33001)
    # The specification holds a token: it goes through a private file, not the command line.
    spec_file = work / "spec.json"
    taken = {name: spec[name] for name in _TAKEN_OVER if name in spec}
    paths = [{"source": source, "destination": str(fetched)}]
    spec_file.write_text(
        json.dumps({**taken, "direction": "receive", "paths": paths}), encoding="utf-8"
    )
    command = [
        program,
        "server",
        "download",
        f"--url=ssh://{host}:{port}",
        f"--ts=@json:@file:{spec_file}",
        "--sources=@ts",
    ]
    try:
        ended = subprocess.run(  # noqa: S603 - a list, no shell
            command, stdin=subprocess.DEVNULL, stdout=2, timeout=TRANSFER_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable("The Aspera transfer took longer than a day.") from error
    if ended.returncode != 0:
        raise Unreachable(
            f"{PROGRAM} ended with status {ended.returncode}.", remedy="Try `-m http`."
        )


def _verify(fetched: Path, expected: Expected, stop: Stop) -> int:
    if not fetched.is_file() or fetched.is_symlink():
        raise LocalFileError(f"{PROGRAM} ended well and left no file.")
    size = fetched.stat().st_size
    if expected.size not in (None, size):
        raise Corrupt(f"The file has {size} bytes where the hub announced {expected.size}.")
    if expected.digest and hash_file(fetched, expected, stop) != expected.digest:
        raise Corrupt(f"The {expected.algorithm} differs from the one that was announced.")
    descriptor = os.open(fetched, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return size
