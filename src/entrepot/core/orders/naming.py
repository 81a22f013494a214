"""Names inside a package: made by a resolver's template, safe on every system, each one once.

What a publisher or customer typed is mended here rather than refused, since a file must have
some name: by the rules of kit/file_names, with limits in bytes, in Unicode form NFC. Two names
that are equal where a file system ignores case, and a file that would have the name of a
folder, are told apart by ` (2)`, ` (3)`, ... The same items in the same order give the same
names. 100,000 names take about 0.6 s.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import TypeAlias

from entrepot.kit.file_names import is_device_name, is_unwritable

NAME_BYTES_MAX = 200
FOLDERS_BYTES_MAX = 200  # of the whole path before the name; deeper folders are left out
RESERVED = ("order.json", "manifest.json", "report.txt")
_FIELD = re.compile(r"\{([a-z_.]+)\}")
_EXTENSION_LENGTH_MAX = 16
_MARK_BYTES_MAX = len(" (500000)")  # behind the stem of a name that is there already
_UNNAMED = "file"
# Text that needs no look at each of its characters.
_PLAIN = re.compile(r"[A-Za-z0-9 _.()+,;=@#&!'\[\]-]*", re.ASCII)

Values: TypeAlias = Mapping[str, str]
Resolved: TypeAlias = tuple[tuple[str, ...], str]  # folders, name


def compile_template(template: str) -> Callable[[Values], Resolved]:
    """A resolver's template as a function from an item's values to its place, mended.

    `/` in the template separates folders. A folder that is `{asset.folder}` and nothing else
    becomes as many as the asset lies in; anywhere else a `/` in a value becomes `_`.
    """
    *folders, name = template.split("/")
    fill_folders = [(part == "{asset.folder}", _compiled(part)) for part in folders]
    fill_name = _compiled(name)

    def resolve(values: Values) -> Resolved:
        path = "/".join(
            values["asset.folder"] if whole else fill(values) for whole, fill in fill_folders
        )
        return mend_folders(path), mend_name(fill_name(values), values["ext"])

    return resolve


def fields_of(template: str) -> set[str]:
    """The fields whose values the template needs."""
    return {"ext", *_FIELD.findall(template)}


def _compiled(part: str) -> Callable[[Values], str]:
    pieces = _FIELD.split(part)  # text, field, text, field, ..., text
    first, rest = pieces[0], list(zip(pieces[1::2], pieces[2::2], strict=True))

    def fill(values: Values) -> str:
        filled = first
        for field, text in rest:
            filled += values[field].replace("/", "_") + text
        return filled

    return fill


@lru_cache(maxsize=4096)
def mend_folders(path: str) -> tuple[str, ...]:
    """The folders of `a/b` as every system takes them; what is empty or too deep is left out."""
    mended: list[str] = []
    room = FOLDERS_BYTES_MAX
    for folder in path.split("/"):
        if not folder.strip(" ."):
            continue
        name = _shortened(_mended(folder), NAME_BYTES_MAX)
        room -= len(name.encode()) + 1
        if room < 0:
            break
        mended.append(name)
    return tuple(mended)


def mend_name(name: str, extension: str = "") -> str:
    """A file name that every system takes; an ending that is the extension survives shortening."""
    mended = _mended(name)
    if len(mended) * 4 <= NAME_BYTES_MAX or len(mended.encode()) <= NAME_BYTES_MAX:
        return mended
    stem, ending = take_apart(mended, extension)
    return _shortened(stem, NAME_BYTES_MAX - len(ending.encode())) + ending


def take_apart(name: str, extension: str = "") -> tuple[str, str]:
    """Stem and ending of a name; the ending has its dot and is empty where there is none."""
    if extension and name.endswith(f".{extension}"):
        at = len(name) - len(extension) - 1
    else:
        at = name.rfind(".")
    if at <= 0 or len(name) - at > _EXTENSION_LENGTH_MAX + 1:
        return name, ""
    return name[:at], name[at:]


def _mended(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        normal = unicodedata.normalize("NFC", text)
        text = "".join("_" if is_unwritable(char) else char for char in normal)
    text = _trimmed(text)
    if not text:
        return _UNNAMED
    return f"_{text}" if is_device_name(text) else text


def _shortened(text: str, bytes_max: int) -> str:
    """At most so many bytes, cut between characters and not behind a space or dot.

    `CON`, 200 spaces and a letter are no device, but cut off behind the spaces they would be.
    """
    encoded = text.encode()
    if len(encoded) <= bytes_max:
        return text
    cut = _trimmed(encoded[:bytes_max].decode(errors="ignore")) or _UNNAMED
    return f"_{cut}" if is_device_name(cut) else cut


def _trimmed(text: str) -> str:
    """Without what no name begins or ends with."""
    text = text.strip()
    while text.endswith("."):
        text = text.rstrip(".").rstrip()
    return text


def fold(path: str) -> str:
    """The form in which two paths are equal on a file system that ignores case."""
    if path.isascii():
        return path.lower()
    # Folding can leave a form that folds again, and that NFC composes: repeated once, it stays.
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
    return unicodedata.normalize("NFC", folded.casefold())


def number_duplicates(
    resolved: Sequence[Resolved], reserved: Iterable[str] = RESERVED
) -> list[str]:
    """A path for each: folders and name joined by `/`, no two of them equal anywhere.

    A file named in `reserved` lies beside them all: a folder of its name becomes `_` and that.
    """
    files = {fold(name) for name in reserved}
    placed = [_beside(files, folders, name) for folders, name in resolved]
    taken = files | _folders({folders for folders, _ in placed})
    following: dict[str, int] = {}
    paths: list[str] = []
    for folders, name in placed:
        path = "/".join((*folders, name)) if folders else name
        key = fold(path)
        if key in taken:
            path = _numbered(folders, name, taken, following)
            key = fold(path)
        taken.add(key)
        paths.append(path)
    return paths


def _beside(files: Set[str], folders: tuple[str, ...], name: str) -> Resolved:
    if folders and fold(folders[0]) in files:
        return (f"_{folders[0]}", *folders[1:]), name
    return folders, name


def _folders(found: Iterable[tuple[str, ...]]) -> set[str]:
    return {
        fold("/".join(folders[:depth])) for folders in found for depth in range(1, len(folders) + 1)
    }


def _numbered(
    folders: tuple[str, ...], name: str, taken: set[str], following: dict[str, int]
) -> str:
    stem, ending = take_apart(name)
    # Long names that are cut to the same text count together: each by itself would try the
    # numbers of all the others, and 20,000 names would take an hour.
    room = NAME_BYTES_MAX - _MARK_BYTES_MAX - len(ending.encode())
    stem = _shortened(stem, room)
    kind = fold("/".join((*folders, stem + ending)))
    while True:
        number = following[kind] = following.get(kind, 1) + 1
        path = "/".join((*folders, f"{stem} ({number}){ending}"))
        if fold(path) not in taken:
            return path
