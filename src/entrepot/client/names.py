"""File names and texts that come from a hub, made safe for this machine.

A hub is trusted for bytes (they are verified), never for where they go.
"""

import unicodedata

from entrepot.client.errors import BadAnswer

# `.NAME.XXXXXXXX.part` must fit the 255 bytes that file systems allow.
NAME_BYTES_MAX = 200
_SUFFIX_BYTES_MAX = 20
_FALLBACK = "artifact"
# Separators of any system, and what Windows refuses in a name.
_FORBIDDEN = frozenset('/\\:<>"|?*')
# Control, format (bidirectional overrides are here), surrogate, line and paragraph separators.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)


def safe_name(name: str) -> str:
    """`name` as one plain file name of at most 200 bytes of UTF-8.

    The result has no separator, no control or bidirectional character, does not begin with a
    dot or end with a dot or a space, and is no device of Windows. An ordinary name comes back
    unchanged, and so does every result.
    Raises BadAnswer for an empty name.
    """
    if not name.strip():
        raise BadAnswer(
            "The hub gave no file name for this artifact.",
            remedy="Ask the publisher to publish it again with a file name.",
        )
    if _is_printable_ascii(name) and _FORBIDDEN.isdisjoint(name):
        plain = name  # as nearly all names are
    else:
        plain = "".join(_plain(char) for char in unicodedata.normalize("NFC", name))
    plain = plain.strip(" ").rstrip(". ")
    if plain.startswith("."):
        plain = "_" + plain.lstrip(".")
    if plain.split(".")[0].rstrip(" ").casefold() in _DEVICES:
        plain = "_" + plain
    return _shorten(plain) or _FALLBACK


def distinct_name(name: str, mark: str) -> str:
    """`name` with `mark` (such as the start of an id) before its ending, still safe."""
    stem, dot, ending = name.partition(".")
    return safe_name(f"{_cut(stem, 100)}-{mark}{dot}{ending}")


def name_key(name: str) -> str:
    """Equal for two names that a case-insensitive file system takes for one."""
    return unicodedata.normalize("NFC", name.casefold())


def printable(text: str, *, keep: str = "") -> str:
    """`text` for a terminal: control and bidirectional characters become visible escapes."""
    if _is_printable_ascii(text):
        return text
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in _FORBIDDEN_CATEGORIES
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _is_printable_ascii(text: str) -> bool:
    """Whether each character is one of U+0020 to U+007E, none of which does anything."""
    return text.isascii() and text.isprintable()


def _plain(char: str) -> str:
    bad = char in _FORBIDDEN or unicodedata.category(char) in _FORBIDDEN_CATEGORIES
    return "_" if bad else char


def _shorten(name: str) -> str:
    if len(name.encode()) <= NAME_BYTES_MAX:
        return name
    dot = name.rfind(".")
    ending = name[dot:] if dot > 0 else ""
    if len(ending.encode()) > _SUFFIX_BYTES_MAX:
        ending = ""
    stem = name[: len(name) - len(ending)]
    stem = _cut(stem, NAME_BYTES_MAX - len(ending.encode()))
    return (stem.rstrip(". ") + ending).rstrip(". ")


def _cut(text: str, bytes_max: int) -> str:
    return text.encode()[:bytes_max].decode("utf-8", errors="ignore")
