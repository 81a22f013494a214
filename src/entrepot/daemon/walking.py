"""Files on the operator's disk that are to become assets."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from entrepot.core.catalogue import AssetSource, AssetSpec
from entrepot.daemon.progress import ProgressFile


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and the folder below the path that was named."""

    path: Path
    folder: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is passed by, and why."""

    path: Path
    reason: str


def walk(paths: Sequence[Path]) -> Iterator[Found | LeftOut]:
    """The files named and those below the folders named, in the order of their names.

    Links are followed where they are named, not below a folder: they could lead out of it, or
    in a circle.
    """
    for path in paths:
        if path.is_dir():
            yield from _walk(path, "")
        else:
            yield _look_at(path, "")


def _walk(folder: Path, below: str) -> Iterator[Found | LeftOut]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield LeftOut(folder, error.strerror or str(error))
        return
    for path in entries:
        if path.name.startswith("."):
            yield LeftOut(path, "hidden")
        elif path.is_symlink():
            yield LeftOut(path, "a link")
        elif path.is_dir():
            yield from _walk(path, f"{below}/{path.name}" if below else path.name)
        else:
            yield _look_at(path, below)


def _look_at(path: Path, below: str) -> Found | LeftOut:
    if not path.is_file():
        return LeftOut(path, "no plain file")
    if not os.access(path, os.R_OK):
        return LeftOut(path, "not readable")
    return Found(path, below)


def asset_source(found: Found, spec: AssetSpec) -> AssetSource:
    """The file as it is to be added: in the folder of `spec`, and below that its own."""
    folder = "/".join(filter(None, (spec.folder.strip("/"), found.folder)))
    return AssetSource(replace(spec, file_name=found.path.name, folder=folder), _opener(found.path))


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: cast("BinaryIO", ProgressFile(path))
