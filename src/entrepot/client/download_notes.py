"""What `download` put into a folder: each file by its name, with the digest that it had then.

It lies in FOLDER/.entrepot, so that the folder can be verified later without the hub. No download
depends on it. It repeats what the hub said; what a publisher signed is kept beside it (proofs.py).
"""

import json
import logging
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from entrepot.client.connections import parse_hub_address
from entrepot.client.downloader import Downloaded
from entrepot.client.errors import InvalidUse, LocalFileError
from entrepot.client.inside import INSIDE, Inside
from entrepot.client.names import safe_name
from entrepot.client.stop import Stop
from entrepot.client.verification import Expected, hash_file

NAME = "downloads.json"
FILES_MAX = 100_000  # older ones are forgotten
_BYTES_MAX = 256 << 20
_FORMAT, _VERSION = "entrepot-downloads", 1
_SAVE_SECONDS_MIN = 1.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("hub", "product", "release_id", "release", "artifact_id", "sha256")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Note:
    """A file that came whole and verified: `size` in bytes, `sha256` in hex.

    `artifact_id` is empty for a ZIP of the whole release.
    """

    hub: str
    product: str
    release_id: str
    release: str
    artifact_id: str
    size: int
    sha256: str


class Notes:
    """Notes the files of one run as they arrive. Safe to use from several threads.

    Several commands may fill a folder at the same time: what others noted is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fresh: dict[str, Note] = {}
        self._lock = threading.Lock()
        self._save_at = monotonic() + _SAVE_SECONDS_MIN

    def add(
        self,
        done: Downloaded,
        *,
        hub: str,
        product: str,
        release_id: str,
        release: str,
        artifact_id: str,
        stop: Stop,
    ) -> None:
        """Note a file that lies in the folder; it is written down soon, at the latest by `save`."""
        try:
            digest = done.sha256 or hash_file(done.path, Expected(done.size, "sha256"), stop)
        except OSError as error:  # taken away again at once
            _log.error("`entrepot verify` will not know %s: %s.", done.path, error.strerror)
            return
        note = Note(hub, product, release_id, release, artifact_id, done.size, digest)
        with self._lock:
            self._fresh[done.path.name] = note
            due = monotonic() >= self._save_at
        if due:
            self.save()

    def save(self) -> None:
        """Write down what is not yet. What cannot be written is no failure of the download."""
        with self._lock:
            if not self._fresh:
                return
            began = monotonic()
            try:
                self._merge()
            except LocalFileError as error:
                _log.error("`entrepot verify` will not know these files. %s", error.message)
            self._save_at = monotonic() + max(_SAVE_SECONDS_MIN, 10 * (monotonic() - began))

    def _merge(self) -> None:
        inside = Inside(self._folder)
        with inside.locked("downloads.lock", wait=True):
            try:
                held = load_notes(self._folder)
            except LocalFileError as error:
                _log.warning("%s It is written anew.", error.message)
                held = {}
            kept = {name: note for name, note in held.items() if name not in self._fresh}
            whole = [*kept.items(), *self._fresh.items()]
            inside.write(NAME, _written(whole[-FILES_MAX:]))
            self._fresh = {}


def load_notes(folder: Path) -> dict[str, Note]:
    """The notes by the file's name, the oldest first; none where none were made.

    Raises LocalFileError, also where they are damaged.
    """
    raw = Inside(folder).read(NAME, _BYTES_MAX)
    if raw is None:
        return {}
    try:
        return _read(json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidUse) as error:
        raise LocalFileError(
            f"{folder / INSIDE / NAME} is damaged ({error}).",
            remedy="Delete it, and download what you want to verify once more: right files are "
            "only read.",
        ) from error


def _read(told: Any) -> dict[str, Note]:
    if (told["format"], told["version"]) != (_FORMAT, _VERSION):
        raise ValueError("it is of another version of entrepot")
    return {_name(name): _note(one) for name, one in told["files"].items()}


def _written(notes: Iterable[tuple[str, Note]]) -> bytes:
    """JSON with a line for each file: `indent` would be written by Python, ten times as slowly."""
    files = ",\n  ".join(
        f"{json.dumps(name)}: {json.dumps({key: getattr(note, key) for key in Note.__slots__})}"
        for name, note in notes
    )
    head = f'"format": {json.dumps(_FORMAT)}, "version": {_VERSION}'
    return f'{{{head}, "files": {{\n  {files}\n}}}}\n'.encode()


def _name(name: str) -> str:
    """What is read from a folder decides no more than the name of a file that lies in it."""
    if not name.strip() or safe_name(name) != name:
        raise ValueError(f"{name[:80]!r} is no plain name")
    return name


def _note(told: Mapping[str, Any]) -> Note:
    texts, size = {key: told[key] for key in _TEXTS}, told["size"]
    plain = all(isinstance(each, str) for each in texts.values())
    if not plain or not _SHA256.fullmatch(texts["sha256"]):
        raise ValueError("a file in it is not described as a file")
    if type(size) is not int or not 0 <= size < 1 << 63:
        raise ValueError("a size is none")
    parse_hub_address(texts["hub"])
    return Note(size=size, **texts)
