"""Real files to publish: archives of the sources that this very hub runs from.

The same sources give the same bytes, so loading two sandboxes of one version gives the same
digests. Without a network nothing else on a machine is sure to be there and free to hand on.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import entrepot
from entrepot.errors import Unavailable

_ROOT = Path(entrepot.__file__).parent
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644


@cache
def licence_text() -> str:
    """The licence under which everything in the archives may be handed on."""
    try:
        text = distribution("entrepot").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        text = None
    if text is None:
        raise Unavailable(
            "The sample files cannot be made: this installation holds no licence text.",
            code="installation-incomplete",
            remedy="Install the package `entrepot` again, with pip.",
        )
    return text


def collect_sources(folders: Iterable[str]) -> dict[str, bytes]:
    """Path below the package -> bytes, sorted; of whole folders, or of the package for ``.``."""
    held = {
        path.relative_to(_ROOT).as_posix(): path.read_bytes()
        for folder in folders
        for path in (_ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return {f"entrepot/{name}": held[name] for name in sorted(held)}


def make_tar_gz(top: str, members: dict[str, bytes]) -> bytes:
    """A .tar.gz with every member below the folder `top`, without owner or time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(data), _FILE_MODE
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def make_zip(top: str, members: dict[str, bytes]) -> bytes:
    """A .zip with every member below the folder `top`, without time."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(f"{top}/{name}", _ZIP_EPOCH)
            entry.external_attr, entry.compress_type = _FILE_MODE << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return raw.getvalue()
