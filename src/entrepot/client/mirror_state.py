"""What is known of a folder that is kept in step: its hub, and the files that were put there.

It lies in FOLDER/.entrepot, and nothing depends on it: without it every file is read once more.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrepot.client.connections import parse_hub_address
from entrepot.client.errors import InvalidUse, LocalFileError
from entrepot.client.inside import INSIDE, Inside
from entrepot.client.layouts import check_path

STATE_NAME = "state.json"
STATE_BYTES_MAX = 256 << 20
_FORMAT = "entrepot-sync"
_VERSION = 1
_TEXTS = ("product", "release_id", "release", "artifact_id", "sha256")


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that was put in place whole and verified, and what it looked like then.

    `size` in bytes, `sha256` in hex, `mtime_ns` in nanoseconds; `entitlement` gave it.
    """

    product: str
    release_id: str
    release: str
    artifact_id: str
    entitlement: str
    size: int
    sha256: str
    mtime_ns: int


@dataclass(slots=True)
class MirrorState:
    """The files by path (CODE/RELEASE/FILE), and the hub that they are of.

    `fates` has why releases, by id, are offered no more, so that it is not asked every time.
    """

    hub: str
    files: dict[str, HeldFile] = field(default_factory=dict)
    fates: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What lies at a path now; `regular`: a file and no symbolic link."""

    size: int
    mtime_ns: int
    regular: bool


def look_at(path: Path) -> Seen | None:
    """What lies there, None where nothing does. Raises LocalFileError."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LocalFileError(f"Cannot look at {path}: {error.strerror}.") from error
    return Seen(found.st_size, found.st_mtime_ns, path.is_file() and not path.is_symlink())


def load_state(folder: Path, hub: str | None) -> MirrorState:
    """What is known of the folder; nothing yet where nothing was saved.

    Raises InvalidUse where it is that of another hub, LocalFileError where it is damaged.
    """
    path = folder / INSIDE / STATE_NAME
    raw = Inside(folder).read(STATE_NAME, STATE_BYTES_MAX)
    if raw is None:
        return MirrorState(hub or "")
    try:
        state = parse_state(raw)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidUse) as error:
        raise LocalFileError(
            f"{path} is damaged ({error}).",
            remedy="Delete it: the next sync reads every file once more, and fetches no right one.",
        ) from error
    if hub is not None and state.hub != hub:
        raise InvalidUse(
            f"{folder} is kept in step with {state.hub}, not with {hub}.",
            remedy="Choose another folder for this hub.",
        )
    return state


def parse_state(raw: bytes) -> MirrorState:
    """The state from its bytes. Raises ValueError, KeyError, TypeError, InvalidUse."""
    told = json.loads(raw)
    if told["format"] != _FORMAT or told["version"] != _VERSION:
        raise ValueError("it is of another version of entrepot")
    files = {check_path(path): _held(one) for path, one in told["files"].items()}
    fates = {str(name): str(fate) for name, fate in told.get("fates", {}).items()}
    return MirrorState(parse_hub_address(str(told["hub"])).url, files, fates)


def write_state(state: MirrorState) -> bytes:
    """The state as JSON, sorted: the same state is the same bytes."""
    files = {
        path: {name: getattr(held, name) for name in HeldFile.__slots__}
        for path, held in sorted(state.files.items())
    }
    told = {
        "format": _FORMAT,
        "version": _VERSION,
        "hub": state.hub,
        "files": files,
        "fates": state.fates,
    }
    return (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()


def save_state(folder: Path, state: MirrorState) -> None:
    """Replace what was saved, in one step. Raises LocalFileError."""
    Inside(folder).write(STATE_NAME, write_state(state))


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Be the only command at work in this folder. Raises LocalFileError where another is."""
    with Inside(folder).locked("lock", wait=False):
        yield


def _held(told: Any) -> HeldFile:
    texts = [told[name] for name in _TEXTS]
    numbers = [told["size"], told["mtime_ns"]]
    if not all(isinstance(each, str) for each in texts) or not all(
        isinstance(each, int) and not isinstance(each, bool) for each in numbers
    ):
        raise ValueError("a file in it is not described as a file")
    product, release_id, release, artifact_id, sha256 = texts
    return HeldFile(
        product,
        release_id,
        release,
        artifact_id,
        str(told.get("entitlement", "")),
        numbers[0],
        sha256,
        numbers[1],
    )
