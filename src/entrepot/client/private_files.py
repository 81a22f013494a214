"""Small JSON files that only their owner may read: tokens and profiles."""

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

try:
    import fcntl
except ImportError:  # Windows: the files are private there, but not locked
    fcntl = None  # type: ignore[assignment]

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
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LocalFileError(
            f"Cannot write {path}: {error.strerror}.",
            remedy="Make the folder writable or set ENTREPOT_ROOT to another one.",
        ) from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path`, so that two commands do not change it at once."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalFileError(f"Cannot lock {path}: {error.strerror}.") from error
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
