"""Content-Disposition of a download (RFC 6266, RFC 8187)."""

import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import quote

FILE_NAME_BYTES_MAX: Final = 255
_FALLBACK: Final = "download"
_ATTR_CHAR: Final = "!#$&+.^`|"  # RFC 8187 attr-char beyond what `quote` always keeps
# Joiners carry meaning in Persian, Indic scripts and emoji; all other format characters
# (bidi overrides, isolates, zero-width marks) only serve to make a name look like another.
_JOINERS: Final = "\u200c\u200d"
_TOUCHED: Final = frozenset('"\\%/')  # by quoting or decoding
_UNSAFE_CATEGORIES: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")


@lru_cache(maxsize=4096)
def attachment(file_name: str) -> bytes:
    """The header value that offers a download under `file_name`, made safe first.

    An ASCII name travels as `filename` alone; another one has its nearest ASCII form there
    and itself in `filename*`, which every client of today prefers.
    """
    name = safe_file_name(file_name)
    plain = _ascii(name)
    value = f'attachment; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"
    return value.encode("ascii")


def safe_file_name(file_name: str) -> str:
    """`file_name` without path separators, control, bidi and other invisible characters.

    At most FILE_NAME_BYTES_MAX bytes of UTF-8, the extension kept; `download` where nothing
    is left.
    """
    visible = file_name
    if not _is_plain(file_name):
        visible = "".join(
            char
            for char in file_name
            if char in _JOINERS or unicodedata.category(char) not in _UNSAFE_CATEGORIES
        )
    kept = visible.replace("/", "_").replace("\\", "_").strip(" ")
    if not kept.strip(". " + _JOINERS):
        return _FALLBACK
    return _shorten(kept)


def _is_plain(name: str) -> bool:
    """Whether it is of visible ASCII and spaces alone, as most names are."""
    return name.isascii() and name.isprintable()


def _shorten(name: str) -> str:
    if len(name.encode()) <= FILE_NAME_BYTES_MAX:
        return name
    stem, dot, extension = name.rpartition(".")
    tail = dot + extension
    if not stem or len(tail.encode()) > FILE_NAME_BYTES_MAX // 4:
        stem, tail = name, ""
    room = FILE_NAME_BYTES_MAX - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail


def _ascii(name: str) -> str:
    """`name` in printable ASCII without the characters that quoting or decoding would touch."""
    if _is_plain(name) and _TOUCHED.isdisjoint(name):
        return name
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c not in _TOUCHED else "_" for c in bare)
