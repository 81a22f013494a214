"""Files replaced in one step: secrets that only their owner may read, and plain ones."""

import contextlib
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrepot.client.errors import LocalFileError
from entrepot.client.locks import lock

_FILE_BYTES_MAX = 1 << 20
_log = logging.getLogger(__name__)


def read_private(path: Path) -> dict[str, Any]:
    """The object stored in `path`, empty when there is none. Raises LocalFileError.

    A file that others can read is made private again, with a warning: a token that was open to
    others should be replaced.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                _log.warning("%s was readable by others (mode %o); made private", path, mode)
                path.chmod(0o600)
            raw = file.read(_FILE_BYTES_MAX)
        value = json.loads(raw)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LocalFileError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise LocalFileError(
            f"{path} is damaged.", remedy="Delete it and run `entrepot login` again."
        ) from error
    return value if isinstance(value, dict) else {}


def write_private(path: Path, value: dict[str, Any]) -> None:
    """Replace `path` in one step, mode 0600, folder 0700. Raises LocalFileError."""
    try:
        _replace(path, json.dumps(value, indent=2).encode(), file_mode=0o600, folder_mode=0o700)
    except OSError as error:
        raise LocalFileError(
            f"Cannot write {path}: {error.strerror}.",
            remedy="Make the folder writable or set ENTREPOT_ROOT to another one.",
        ) from error


def read_plain(path: Path, bytes_max: int) -> bytes:
    """A file that is no secret. Raises LocalFileError, also where it is larger than that."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise LocalFileError(f"Cannot read {path}: {error.strerror}.") from error
    if len(data) > bytes_max:
        raise LocalFileError(f"{path} is larger than {bytes_max} bytes, the most that it may be.")
    return data


def write_plain(path: Path, data: bytes) -> None:
    """Replace `path`, which is no secret, in one step. Raises LocalFileError."""
    try:
        _replace(path, data, file_mode=0o666, folder_mode=0o777)
    except OSError as error:
        raise LocalFileError(
            f"Cannot write {path}: {error.strerror}.",
            remedy="Make the folder writable or choose another one.",
        ) from error


def _replace(path: Path, data: bytes, *, file_mode: int, folder_mode: int) -> None:
    path.parent.mkdir(mode=folder_mode, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file_mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`, so that two commands do not change it at once."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalFileError(f"Cannot lock {path}: {error.strerror}.") from error
    try:
        try:
            lock(descriptor)
        except OSError as error:  # a file system without locks
            raise LocalFileError(f"Cannot lock {path}: {error.strerror}.") from error
        yield
    finally:
        os.close(descriptor)
