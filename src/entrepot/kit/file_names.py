"""File names that are safe to hand to any customer's machine."""

import re
import unicodedata

from entrepot.errors import Invalid

FILE_NAME_BYTES_MAX = 255
_DEVICES = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$) *(\..*)?", re.IGNORECASE
)
_FORBIDDEN = frozenset('/\\:*?"<>|')
# Control, format, private, surrogate and unassigned characters; line and paragraph separators.
_KINDS = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})


def check_file_name(name: str, *, field: str) -> str:
    """`name` in Unicode form NFC where every system takes it as a plain file name, else Invalid.

    Refused: empty names, names of more than 255 bytes of UTF-8, path separators and the other
    characters that Windows forbids, control, format (bidirectional) and unassigned characters,
    line separators, a leading or trailing space, a trailing dot, `.` and `..`, and device names
    such as `NUL.txt`.
    """
    normal = unicodedata.normalize("NFC", name)
    if not normal or len(normal.encode(errors="replace")) > FILE_NAME_BYTES_MAX:
        raise _refused(name, field, f"has 1 to {FILE_NAME_BYTES_MAX} bytes")
    if any(map(is_unwritable, normal)):
        raise _refused(name, field, 'has no control characters and none of / \\ : * ? " < > |')
    if normal != normal.strip() or normal.endswith(".") or normal == "..":
        raise _refused(name, field, "neither begins nor ends with a space, nor ends with a dot")
    if is_device_name(normal):
        raise _refused(name, field, "is no device name of Windows")
    return normal


def is_unwritable(char: str) -> bool:
    """Whether no name may hold the character: some system forbids it, or nobody can see it."""
    return char in _FORBIDDEN or unicodedata.category(char) in _KINDS


def is_device_name(name: str) -> bool:
    """Whether Windows takes the name for a device, such as `NUL.txt`."""
    return _DEVICES.fullmatch(name) is not None


def fold_file_name(name: str) -> str:
    """The form in which two names are equal where a file system ignores case."""
    return unicodedata.normalize("NFC", name.casefold())


def _refused(name: str, field: str, rule: str) -> Invalid:
    shown = name[:80].encode("ascii", "backslashreplace").decode()
    message = f"{shown!r} is no safe file name: a safe one {rule}."
    return Invalid(message, field=field, code="file-name")
