"""Pages of a PDF as a PDF."""

import re
import shutil
from pathlib import Path
from typing import IO, Any

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners.document.opening import facts_of, opened
from entrepot.core.conversions.runners.protocol import Refused

_HEAD = 4 * 1024 * 1024  # PDFium writes catalogue, list of pages and information first
_TAIL = 4 * 1024
_INFORMATION = re.compile(rb"(?<=\n)3 0 obj\s*<<(.*?)>>\s*endobj", re.DOTALL)
_IDENTIFIERS = re.compile(rb"/ID\[<([0-9A-F]{32})><([0-9A-F]{32})>\]")


def convert(source: Path, recipe: Recipe, target: Path, limits: Limits) -> dict[str, Fact]:
    """See entry.convert.

    A whole document that keeps its metadata is copied byte by byte. Else its pages are put into
    a new document: what belongs to the document rather than to a page (bookmarks, attachments,
    title, author) stays behind, and so does a notice of copyright, which PDFium cannot write.
    """
    wanted = recipe.setting("page")
    with opened(source, limits) as document:
        if wanted is None and recipe.setting("metadata") == "keep":
            _copy(source, target, limits)
            return facts_of(document)
        first, last = (wanted["first"], wanted["last"]) if wanted else (1, len(document))
        if not 1 <= first <= last <= len(document):
            raise Refused(
                "page-outside",
                f"There are no pages {first} to {last}: the PDF has {len(document)} pages.",
            )
        return _take(document, range(first - 1, last), target, limits)


def _copy(source: Path, target: Path, limits: Limits) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written, 1024 * 1024)
        _check_size(written, limits)


def _take(document: Any, numbers: range, target: Path, limits: Limits) -> dict[str, Fact]:
    import pypdfium2  # type: ignore[import-untyped]

    taken = pypdfium2.PdfDocument.new()
    try:
        taken.import_pages(document, list(numbers))
        with target.open("w+b") as written:
            taken.save(written)
            _check_size(written, limits)
            _forget_the_time(written)
        return facts_of(taken)
    finally:
        taken.close()


def _check_size(written: IO[bytes], limits: Limits) -> None:
    if written.tell() > limits.output_bytes_max:
        raise Refused(
            "media-too-large",
            f"The result would be larger than {limits.output_bytes_max:,} bytes.",
        )


def _forget_the_time(written: IO[bytes]) -> None:
    """Blanks the time of writing and the random identifiers: same pages, same bytes.

    Nothing moves, so that the table of places in the file stays right.
    """
    size = written.tell()
    written.seek(0)
    head = written.read(_HEAD)
    if (information := _INFORMATION.search(head)) is not None:
        _blank(written, information.start(1), information.end(1), b" ")
    start = max(0, size - _TAIL)
    written.seek(start)
    found = list(_IDENTIFIERS.finditer(written.read()))
    for number in (1, 2):
        _blank(written, start + found[-1].start(number), start + found[-1].end(number), b"0")


def _blank(written: IO[bytes], start: int, end: int, filling: bytes) -> None:
    written.seek(start)
    written.write(filling * (end - start))
