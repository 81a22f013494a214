"""How much room text takes on a terminal, and cutting and folding it to the room there is."""

import unicodedata

_WIDE = frozenset("WF")
_NO_ROOM = frozenset({"Mn", "Me", "Cf"})


def width_of(text: str) -> int:
    """The cells that a line takes: two for wide letters, none for combining marks."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text: str, cells: int) -> str:
    """`text`, or so much of it as fits with `…` behind it."""
    if width_of(text) <= cells:
        return text
    kept, used = [], 1
    for char in text:
        used += _cells(char)
        if used > cells:
            break
        kept.append(char)
    return "".join(kept) + "…"


def fold(text: str, cells: int) -> list[str]:
    """The lines of `text`, none wider than `cells`: between words, within one that is too long.

    Nothing is left out but the white space at which a line was broken.
    """
    lines = []
    for line in text.split("\n"):
        lines += [line] if width_of(line) <= cells else _fold_line(line, cells)
    return lines


def _fold_line(line: str, cells: int) -> list[str]:
    lines, current = [], ""
    for word in line.split(" "):
        joined = f"{current} {word}" if current else word
        if width_of(joined) <= cells:
            current = joined
            continue
        if current:
            lines.append(current)
        *broken, current = _pieces(word, cells)
        lines += broken
    return [*lines, current]


def _pieces(word: str, cells: int) -> list[str]:
    pieces, piece, used = [], "", 0
    for char in word:
        width = _cells(char)
        if used + width > cells and piece:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + char, used + width
    return [*pieces, piece]


def _cells(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.category(char) in _NO_ROOM:
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1
