"""Where files lie below a folder that is kept in step: CODE/RELEASE/FILE, names made safe.

What a hub calls a thing never decides where it is written: each part is one plain name
(names.safe_name), and two things whose names a file system takes for one get different ones.
What has a place keeps it, so that a newcomer of the same name does not move it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from entrepot.client.errors import InvalidUse, LocalFileError
from entrepot.client.names import distinct_name, name_key, safe_name

# Beside the products lie these; a product of such a name gets another one.
RESERVED = ("entrepot.toml", "entrepot.lock")


@dataclass(slots=True)
class Layout:
    """Places given so far: owners by (folder, name), names by (folder, owner).

    `_last` is the last name of those that wanted one name, and where counting goes on.
    """

    _owners: dict[tuple[str, str], str] = field(default_factory=dict)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _last: dict[tuple[str, str, str], tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in RESERVED:
            self._owners["", name_key(name)] = "\0"

    def keep(self, path: str, product: str, release_id: str, artifact_id: str) -> None:
        """Remember a place from before; one that is taken already is left to who has it."""
        folder = ""
        owners = (product, f"{product}\0{release_id}", artifact_id)
        for name, owner in zip(path.split("/"), owners, strict=True):
            key = (folder, name_key(name))
            if self._owners.setdefault(key, owner) != owner:
                return
            self._names.setdefault((folder, owner), name)
            folder = f"{folder}/{name}"

    def place(
        self, product: str, release_id: str, release_name: str, artifact_id: str, file_name: str
    ) -> str:
        """The path of a file, with `/` between its parts. Raises BadAnswer for an empty name."""
        mark = hashlib.sha256(product.encode()).hexdigest()[:8]
        # A code that is not a plain name itself may not look like another's: signatures go by code.
        wanted = product if safe_name(product) == product else distinct_name(product, mark)
        code = self._name("", wanted, product, mark)
        owner = f"{product}\0{release_id}"
        release = self._name(f"/{code}", release_name, owner, release_id[:8])
        folder = f"/{code}/{release}"
        return f"{code}/{release}/{self._name(folder, file_name, artifact_id, artifact_id[:8])}"

    def _name(self, folder: str, wanted: str, owner: str, mark: str) -> str:
        known = self._names.get((folder, owner))
        if known is not None:
            return known
        plain = safe_name(wanted)
        counted = (folder, plain, mark)
        name, count = self._last.get(counted, (plain, 1))
        while (folder, name_key(name)) in self._owners:
            name = distinct_name(plain, mark if count == 1 else f"{mark}-{count}")
            count += 1
        self._last[counted] = name, count
        self._owners[folder, name_key(name)] = owner
        self._names[folder, owner] = name
        return name


def check_path(path: object) -> str:
    """`path` where it is CODE/RELEASE/FILE of safe names. Raises InvalidUse.

    What is read from a file (a lock, a saved state) is not to be trusted with it either.
    """
    parts = path.split("/") if isinstance(path, str) else []
    if len(parts) != 3 or any(not part.strip() or safe_name(part) != part for part in parts):
        raise InvalidUse(f"{str(path)[:200]!r} is no path of the form CODE/RELEASE/FILE.")
    return "/".join(parts)


def check_folders(root: Path, paths: Iterable[str]) -> None:
    """Raises LocalFileError where a folder on the way to a file leads out of `root`."""
    seen: set[Path] = set()
    for path in paths:
        code, release, _ = path.split("/")
        for folder in (root / code, root / code / release):
            if folder not in seen and folder.is_symlink():
                raise LocalFileError(
                    f"{folder} is a symbolic link: files of a hub are not written through it.",
                    remedy="Replace it by a folder.",
                )
            seen.add(folder)
