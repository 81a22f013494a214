"""Whether a folder holds what it should, by its digests: no network, no sign-in.

What it should hold is told by its lock file, else by what the last sync or download put there; and
where signed manifests were kept with it, by what the publisher signed, which counts for more.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from entrepot.client.choices import FILE_NAME as CHOICES_NAME
from entrepot.client.errors import LocalFileError, NotFound
from entrepot.client.inside import INSIDE
from entrepot.client.lock_files import FILE_NAME as LOCK_NAME
from entrepot.client.lock_files import LockFile
from entrepot.client.manifests import Manifest
from entrepot.client.mirror_state import MirrorState
from entrepot.client.names import safe_name
from entrepot.client.stop import Stop
from entrepot.client.verification import Expected, hash_file

FOUND_MAX = 1_000_000  # files below the folder
Standing: TypeAlias = Literal["ok", "changed", "missing", "unknown"]
# Who says what a file should be: a lock file, or what the hub said at a sync or a download.
Told: TypeAlias = Literal["lock", "sync", "download"]


@dataclass(frozen=True, slots=True)
class Should:
    """What has to lie at a path, and who says so. `signed`: a publisher's signature does.

    `product` is its code where the path does not begin with it.
    """

    path: str
    release_id: str
    artifact_id: str
    size: int
    sha256: str
    signed: bool = False
    told: Told = "sync"
    product: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """How one file stands; `found` is the SHA-256 of what is there, where it was read."""

    path: str
    standing: Standing
    detail: str = ""
    found: str = ""
    signed: bool = False
    told: Told = "sync"

    @property
    def against(self) -> Literal["signature", "lock", "sync", "download"]:
        """What it was held against."""
        return "signature" if self.signed else self.told


def of_lock(lock: LockFile) -> list[Should]:
    """What a lock file says."""
    return [
        Should(file.path, release.id, file.artifact_id, file.size, file.sha256, told="lock")
        for release in lock.releases
        for file in release.files
    ]


def of_state(state: MirrorState) -> list[Should]:
    """What the last sync put there."""
    return [
        Should(path, held.release_id, held.artifact_id, held.size, held.sha256)
        for path, held in sorted(state.files.items())
    ]


def of_manifests(wanted: Iterable[Should], manifests: Iterable[Manifest]) -> list[Should]:
    """The same, where what the publisher signed takes the place of what was noted.

    Raises Untrusted for a file that a signed release does not name.
    """
    by_release = {manifest.release_id: manifest for manifest in manifests}
    found = []
    for one in wanted:
        manifest = by_release.get(one.release_id)
        if manifest is None:
            found.append(one)
            continue
        file = manifest.file(one.artifact_id)
        found.append(replace(one, size=file.size, sha256=file.sha256, signed=True))
    return found


def of_downloads(folder: Path, manifests: Iterable[Manifest]) -> list[Should]:
    """The files of signed releases that lie in a folder which no sync was made into.

    Those of a release that are not there may never have been fetched, and are not missed.
    """
    named: dict[str, list[Should]] = {}
    for one in manifests:
        for file in one.files:
            name = safe_name(file.name)
            if (folder / name).is_file():
                signed = Should(
                    name,
                    one.release_id,
                    file.artifact_id,
                    file.size,
                    file.sha256,
                    signed=True,
                    told="download",
                    product=one.product,
                )
                named.setdefault(name, []).append(signed)
    return [_fitting(folder / name, those) for name, those in named.items()]


def _fitting(path: Path, candidates: Sequence[Should]) -> Should:
    """Of several releases that have a file of this name, the one whose file it is."""
    if len(candidates) > 1:
        digest = ""
        with suppress(OSError), path.open("rb") as file:  # `verify_folder` tells of it
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        candidates = [one for one in candidates if one.sha256 == digest] or candidates
    return candidates[-1]


def verify_folder(
    folder: Path, wanted: Sequence[Should], *, jobs: int = 4, stop: Stop | None = None
) -> list[Verified]:
    """How each wanted file stands, and what else lies there, by path.

    Several files are read at a time. Raises NotFound where there is no such folder,
    LocalFileError where it cannot be read.
    """
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.")
    halt = stop or Stop()
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        try:
            found = list(pool.map(lambda one: _verify(folder, one, halt), wanted))
        except BaseException:
            halt.set()
            raise
    known = {one.path for one in wanted}
    found += [Verified(path, "unknown") for path in files_below(folder) if path not in known]
    return sorted(found, key=lambda one: one.path)


def files_below(folder: Path) -> list[str]:
    """Every file that is not the command's own, as paths with `/`. Raises LocalFileError."""
    own = {INSIDE, CHOICES_NAME, LOCK_NAME}
    found: list[str] = []

    def refuse(error: OSError) -> None:
        raise LocalFileError(f"Cannot read {error.filename}: {error.strerror}.") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        inside = Path(parent).relative_to(folder)
        if inside == Path():
            folders[:] = [name for name in folders if name not in own]
            names = [name for name in names if name not in own]
        # That of a mirror further down is its own as well; a link of that name is not.
        folders[:] = [
            name for name in folders if name != INSIDE or (Path(parent) / name).is_symlink()
        ]
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        # What a download that was stopped goes on with is no file yet.
        found += [(inside / name).as_posix() for name in (*names, *links) if not _is_partial(name)]
        if len(found) > FOUND_MAX:
            raise LocalFileError(f"{folder} has more than {FOUND_MAX} files.")
    return sorted(found)


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith((".part", ".etag", ".state", ".state~"))


def _verify(folder: Path, wanted: Should, stop: Stop) -> Verified:
    path = folder / wanted.path
    inside = PurePosixPath(wanted.path).parents[:-1]  # without the folder itself
    through_link = any((folder / parent).is_symlink() for parent in inside)

    def verified(standing: Standing, detail: str = "", found: str = "") -> Verified:
        return Verified(wanted.path, standing, detail, found, wanted.signed, wanted.told)

    if not os.path.lexists(path):
        return verified("missing")
    if through_link or path.is_symlink() or not path.is_file():
        return verified("changed", "it is no plain file")
    try:
        size = path.stat().st_size
        if size != wanted.size:
            return verified("changed", f"it has {size} bytes, not {wanted.size}")
        digest = hash_file(path, Expected(wanted.size, "sha256"), stop)
    except OSError as error:
        return verified("changed", f"cannot read it: {error.strerror}")
    if digest != wanted.sha256:
        return verified("changed", f"its SHA-256 is {digest}, not {wanted.sha256}", digest)
    return verified("ok", found=digest)


def counts_of(found: Iterable[Verified]) -> Mapping[Standing, int]:
    """How many stand how."""
    counts: dict[Standing, int] = {"ok": 0, "changed": 0, "missing": 0, "unknown": 0}
    for one in found:
        counts[one.standing] += 1
    return counts
