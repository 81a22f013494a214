"""The ZIP of an order, checked by the manifest inside it, and what it says of missing files."""

import errno
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from entrepot.client.answers import JsonObject
from entrepot.client.errors import Corrupt, LocalFileError
from entrepot.client.stop import Stop
from entrepot.client.verification import BUFFER_BYTES
from entrepot.client.zips import UNSOUND

ORDER, MANIFEST, REPORT = "order.json", "manifest.json", "report.txt"
MANIFEST_BYTES_MAX = 512 * 1024 * 1024  # half a million files take some 150 MB
REPORT_BYTES_MAX = 4 * 1024 * 1024  # of it is read for showing


@dataclass(frozen=True, slots=True)
class Papers:
    """What an order's ZIP says of itself.

    `files` and `missing` are the manifest's lists, as the hub wrote them; `report` is the text
    of report.txt, empty where nothing failed.
    """

    order_id: int
    files: list[JsonObject]
    missing: list[JsonObject]
    report: str


def read_papers(path: Path) -> Papers:
    """The papers in the ZIP at `path`. Raises Corrupt, LocalFileError."""
    with _opened(path) as zipped:
        return _papers(zipped)


class OrderZipCheck:
    """Whether a file is the ZIP of this order: each entry has the SHA-256 that the manifest says,
    and none is missing or too many.

    The SHA-256 of the manifest itself is told by nobody: its CRC-32 is checked, as that of every
    entry.
    """

    def __init__(self, order_id: int, stop: Stop) -> None:
        self._order_id = order_id
        self._stop = stop

    def __call__(self, path: Path) -> None:
        """Raises Corrupt where `path` is not that ZIP, LocalFileError where it cannot be read."""
        with _opened(path) as zipped:
            papers = _papers(zipped)
            if papers.order_id != self._order_id:
                raise Corrupt(f"The ZIP is that of order {papers.order_id}.")
            listed = _listed(papers)
            names = zipped.namelist()
            found = set(names)
            if len(names) != len(found) or found - {ORDER, MANIFEST, REPORT} != listed.keys():
                raise Corrupt("The ZIP does not hold the files that its manifest lists.")
            for name, told in listed.items():
                with zipped.open(name) as entry:
                    _check(name, entry, told, self._stop)
            for name in found & {ORDER, REPORT}:
                with zipped.open(name) as entry:
                    while entry.read(BUFFER_BYTES):
                        self._stop.check()


def verify_folder(folder: Path, stop: Stop | None = None) -> Papers:
    """Check what was unpacked from an order's ZIP into `folder` by its manifest.json.

    Raises Corrupt for a file that is missing or not as the manifest says, LocalFileError for
    what cannot be read. Files that are not of the order do no harm.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        report = folder / REPORT
        text = report.read_text("utf-8", "replace") if report.is_file() else ""
        papers = _parsed(manifest, text)
        for name, told in _listed(papers).items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
                raise Corrupt(f"{name} is not there.")
            with path.open("rb") as file:
                _check(name, file, told, stop or Stop())
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{folder / MANIFEST} is damaged.") from error
    except OSError as error:
        raise LocalFileError(f"Cannot read {error.filename}: {error.strerror}.") from error
    return papers


class _opened:  # noqa: N801 - used as a function
    """The ZIP at a path; what is wrong with it or the disk becomes an error of ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zipped: zipfile.ZipFile | None = None

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self._zipped = zipfile.ZipFile(self._path)
        except (*UNSOUND, OSError) as error:
            raise self._meant(error) from error
        return self._zipped

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._zipped is not None:
            self._zipped.close()
        if isinstance(error, (*UNSOUND, OSError)):
            raise self._meant(error) from error

    def _meant(self, error: BaseException) -> Corrupt | LocalFileError:
        # EINVAL: a record that points before the first byte, which is the ZIP's fault.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            return LocalFileError(f"Cannot read {self._path}: {error.strerror}.")
        return Corrupt(f"What arrived is not a sound ZIP: {error}.")


def _papers(zipped: zipfile.ZipFile) -> Papers:
    try:
        if zipped.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
            raise Corrupt("The manifest in the ZIP is too large.")
        manifest = json.loads(zipped.read(MANIFEST))
    except (KeyError, RecursionError) as error:
        raise Corrupt("The ZIP is not that of an order: it has no manifest.") from error
    text = ""
    if REPORT in zipped.NameToInfo:
        with zipped.open(REPORT) as report:
            text = report.read(REPORT_BYTES_MAX).decode("utf-8", "replace")
    return _parsed(manifest, text)


def _parsed(manifest: Any, report: str) -> Papers:
    told = manifest if isinstance(manifest, dict) else {}
    order_id = told.get("order_id")
    if not isinstance(order_id, int):
        raise Corrupt("The manifest is not that of an order.")
    files, missing = _objects(told.get("files")), _objects(told.get("missing"))
    return Papers(order_id, files, missing, report.replace("\r\n", "\n"))


def _objects(value: Any) -> list[JsonObject]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Corrupt("The manifest is not that of an order.")
    return value


def _listed(papers: Papers) -> Mapping[str, JsonObject]:
    listed = {str(one.get("name")): one for one in papers.files}
    if len(listed) != len(papers.files):
        raise Corrupt("The manifest lists two files of one name.")
    return listed


def _check(name: str, file: IO[bytes], told: JsonObject, stop: Stop) -> None:
    hasher, size = hashlib.sha256(), 0
    for data in _pieces(file):
        stop.check()
        hasher.update(data)
        size += len(data)
    if size != told.get("size"):
        raise Corrupt(f"{name} has {size} bytes where the manifest says {told.get('size')}.")
    if hasher.hexdigest() != told.get("sha256"):
        raise Corrupt(f"{name} is damaged: its SHA-256 is not that of the manifest.")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(BUFFER_BYTES):
        yield data
