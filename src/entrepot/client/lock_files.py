"""The lock file: releases pinned by id, and their files by size and digest.

Whoever installs by it gets these bytes or an error. It is JSON, sorted, and the same content is
always the same bytes, so that it can be kept under version control and compared.
docs/reference/lock-file.md has every field.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from entrepot.client.choices import PRODUCTS_MAX, Choice, Chosen, newest_of, patterns_of
from entrepot.client.errors import InvalidUse
from entrepot.client.layouts import Layout, check_path
from entrepot.client.names import name_key
from entrepot.client.offers import OfferedFile, OfferedRelease
from entrepot.client.private_files import read_plain, write_plain

FILE_NAME = "entrepot.lock"
FILE_BYTES_MAX = 256 << 20
FORMAT = "entrepot-lock"
VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXT_CHARS_MAX = 1024


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file by what it is, not by what it is called: `size` in bytes, `sha256` in hex."""

    path: str
    artifact_id: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LockedRelease:
    """A release and the files that are wanted of it, by path.

    `requested` are the choices that it came from, so that they can be made anew; `manifest` is
    the SHA-256 of the signed manifest where there is one, else empty.
    """

    product: str
    id: str
    name: str
    requested: tuple[Choice, ...]
    manifest: str
    files: tuple[LockedFile, ...]


@dataclass(frozen=True, slots=True)
class LockFile:
    """The hub, and the releases by product, name and id."""

    hub: str
    releases: tuple[LockedRelease, ...]

    def products(self) -> frozenset[str]:
        """The codes of the products that are pinned."""
        return frozenset(release.product for release in self.releases)

    def replacing(self, fresh: Iterable[LockedRelease], products: Iterable[str]) -> "LockFile":
        """The same with everything of these products replaced by `fresh`."""
        gone = set(products)
        kept = [release for release in self.releases if release.product not in gone]
        return LockFile(self.hub, _sorted([*kept, *fresh]))


def lock_of(
    hub: str,
    chosen: Sequence[Chosen],
    *,
    manifests: "dict[str, str] | None" = None,
    before: LockFile | None = None,
) -> LockFile:
    """What pins these releases; files that `before` pins keep their paths.

    `manifests` has the digests of signed manifests by the release's id. Raises BadAnswer for
    a file that has no name.
    """
    layout = Layout()
    for release in before.releases if before else ():
        for file in release.files:
            layout.keep(file.path, release.product, release.id, file.artifact_id)
    return LockFile(hub, _sorted(_pinned(one, layout, manifests or {}) for one in chosen))


def _pinned(one: Chosen, layout: Layout, manifests: dict[str, str]) -> LockedRelease:
    release = one.release
    files = [
        LockedFile(
            layout.place(release.product, release.id, release.name, file.artifact_id, file.name),
            file.artifact_id,
            file.size,
            file.sha256,
        )
        for file in one.files
    ]
    return LockedRelease(
        release.product,
        release.id,
        release.name,
        _in_order(one.by),
        manifests.get(release.id, ""),
        tuple(sorted(files, key=lambda each: each.path)),
    )


def _sorted(releases: Iterable[LockedRelease]) -> tuple[LockedRelease, ...]:
    return tuple(sorted(releases, key=lambda each: (each.product, each.name, each.id)))


def write_lock(lock: LockFile) -> bytes:
    """The lock as it is stored."""
    releases = []
    for release in _sorted(lock.releases):
        told: dict[str, Any] = {
            "product": release.product,
            "id": release.id,
            "name": release.name,
            "requested": [_told_choice(each) for each in _in_order(release.requested)],
            "files": [
                {
                    "path": file.path,
                    "id": file.artifact_id,
                    "size": file.size,
                    "sha256": file.sha256,
                }
                for file in sorted(release.files, key=lambda each: each.path)
            ],
        }
        if release.manifest:
            told["manifest"] = release.manifest
        releases.append(told)
    whole = {"format": FORMAT, "version": VERSION, "hub": lock.hub, "releases": releases}
    return (json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse_lock(raw: bytes) -> LockFile:
    """The lock from its bytes. Raises InvalidUse that says what is wrong."""
    try:
        return _lock(json.loads(raw))
    except KeyError as error:
        raise InvalidUse(f"it lacks {error}.", remedy="Write it anew: entrepot lock") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidUse(f"{error}.", remedy="Write it anew: entrepot lock") from error


def _lock(told: Any) -> LockFile:
    if told["format"] != FORMAT:
        raise ValueError("it is no lock file of entrepot")
    if told["version"] != VERSION:
        raise ValueError(f"its version is {told['version']!r}, known is {VERSION}")
    releases = [_release(each) for each in told["releases"]]
    paths = [file.path for release in releases for file in release.files]
    if len({name_key(path) for path in paths}) != len(paths):
        raise ValueError("it has a path twice")
    ids = [(release.product, release.id) for release in releases]
    if len(set(ids)) != len(ids):
        raise ValueError("it has a release twice")
    return LockFile(_text(told["hub"]), _sorted(releases))


def read_lock(path: Path) -> LockFile:
    """The lock in a file. Raises InvalidUse, LocalFileError."""
    if not path.exists():
        raise InvalidUse(
            f"There is no {path}.",
            remedy=f"Write one: entrepot lock --lock-file {quote(str(path))}",
        )
    try:
        return parse_lock(read_plain(path, FILE_BYTES_MAX))
    except InvalidUse as error:
        raise InvalidUse(f"{path} cannot be used: {error.message}", remedy=error.remedy) from error


def save_lock(path: Path, lock: LockFile) -> bool:
    """Replace the file where its content differs; whether it did. Raises LocalFileError."""
    raw = write_lock(lock)
    if path.exists() and read_plain(path, FILE_BYTES_MAX) == raw:
        return False
    write_plain(path, raw)
    return True


def differences(
    locked: LockedRelease, offered: OfferedRelease, chosen: Sequence[OfferedFile]
) -> list[str]:
    """In words, what the hub offers under the release that is not what was pinned; none: nothing.

    `chosen` are the files of `offered` that the release's choices mean.
    """
    label = f"{locked.product} {locked.name}"
    by_id = {file.artifact_id: file for file in offered.files}
    found = []
    for pinned in locked.files:
        name = pinned.path.rpartition("/")[2]
        file = by_id.get(pinned.artifact_id)
        if file is None:
            found.append(f"{label}: {name} ({pinned.artifact_id}) is no longer in it")
        elif file.sha256 != pinned.sha256:
            found.append(f"{label}: {name} has SHA-256 {file.sha256}, pinned is {pinned.sha256}")
        elif file.size != pinned.size:
            found.append(f"{label}: {name} has {file.size} bytes, pinned are {pinned.size}")
    pinned_ids = {file.artifact_id for file in locked.files}
    found += [
        f"{label}: {file.name} ({file.artifact_id}) is in it, and was not pinned"
        for file in chosen
        if file.artifact_id not in pinned_ids
    ]
    return found


def _release(told: Any) -> LockedRelease:
    manifest = told.get("manifest", "")
    if manifest and not _SHA256.fullmatch(manifest):
        raise ValueError("a manifest's digest is none")
    requested, product = told["requested"], _text(told["product"])
    if not isinstance(requested, list) or not 1 <= len(requested) <= PRODUCTS_MAX:
        raise ValueError(f"requested is no list of 1 to {PRODUCTS_MAX} choices")
    files = [_file(each) for each in told["files"]]
    return LockedRelease(
        product,
        _text(told["id"]),
        _text(told["name"]),
        _in_order(_choice(product, each) for each in requested),
        manifest,
        tuple(sorted(files, key=lambda each: each.path)),
    )


def _told_choice(choice: Choice) -> dict[str, Any]:
    told: dict[str, Any] = {"releases": "all" if choice.newest is None else choice.newest}
    if choice.versions:
        told["versions"] = sorted(choice.versions)
    if choice.artifacts:
        told["artifacts"] = sorted(choice.artifacts)
    return told


def _choice(product: str, told: Any) -> Choice:
    try:
        return Choice(
            product,
            tuple(sorted(patterns_of(told.get("versions", []), "versions"))),
            tuple(sorted(patterns_of(told.get("artifacts", []), "artifacts"))),
            newest_of(told["releases"], "releases"),
        )
    except InvalidUse as error:
        raise ValueError(error.message.rstrip(".")) from error


def _in_order(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    plain = {
        Choice(
            each.product, tuple(sorted(each.versions)), tuple(sorted(each.artifacts)), each.newest
        )
        for each in choices
    }
    return tuple(sorted(plain, key=lambda each: json.dumps(_told_choice(each), sort_keys=True)))


def _file(told: Any) -> LockedFile:
    size, sha256 = told["size"], told["sha256"]
    if type(size) is not int or not 0 <= size < 1 << 63:
        raise ValueError("a size is none")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError("a SHA-256 is none")
    try:
        path = check_path(told["path"])
    except InvalidUse as error:
        raise ValueError(error.message.rstrip(".")) from error
    return LockedFile(path, _text(told["id"]), size, sha256)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > _TEXT_CHARS_MAX:
        raise ValueError(f"{value!r:.80} is not a text of 1 to {_TEXT_CHARS_MAX} characters")
    return value
