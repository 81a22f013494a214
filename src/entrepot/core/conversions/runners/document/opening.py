"""Opening a PDF, and what its pages say of their size."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.runners.protocol import FACT_TEXT_MAX, Refused, one_line

POINTS_PER_INCH = 72
_MM_PER_INCH = 25.4
_LOCKED = (4, 5)  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
_SIGN = b"%PDF-"
_SIGN_WITHIN = 1024  # PDF 1.7, implementation note 13: junk may come first


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Any]:
    """The PDF as pypdfium2's document; its forms are filled in as they are seen.

    Refused: media-unsupported (no PDF, or locked), media-damaged, media-too-large.
    """
    import pypdfium2  # type: ignore[import-untyped]

    with path.open("rb") as file:
        if _SIGN not in file.read(_SIGN_WITHIN + len(_SIGN)):
            raise Refused(
                "media-unsupported", "It is no PDF; of documents, only PDFs are converted here."
            )
        file.seek(0)
        try:
            document = pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError as error:
            if error.err_code in _LOCKED:
                raise Refused("media-unsupported", "The PDF is locked by a password.") from error
            raise Refused("media-damaged", "The PDF is damaged.") from error
        try:
            _check_pages(len(document), limits)
            yield document
        except pypdfium2.PdfiumError as error:
            raise Refused("media-damaged", "The PDF is damaged.") from error
        finally:
            document.close()


def facts_of(document: Any) -> dict[str, Fact]:
    """Facts of an open document; only what was found."""
    width, height = page_size(document[0])
    facts: dict[str, Fact] = {
        "pages": len(document),
        "page_width_mm": round(width / POINTS_PER_INCH * _MM_PER_INCH, 1),
        "page_height_mm": round(height / POINTS_PER_INCH * _MM_PER_INCH, 1),
    }
    title = one_line(document.get_metadata_value("Title"), FACT_TEXT_MAX)
    return facts | ({"title": title} if title else {})


def page_size(page: Any) -> tuple[float, float]:
    """Width and height in points as seen, turned as the page says. Refused: media-damaged."""
    width, height = page.get_size()
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        raise Refused("media-damaged", "A page of the PDF has no size.")
    return width, height


def _check_pages(pages: int, limits: Limits) -> None:
    if pages < 1:
        raise Refused("media-damaged", "The PDF has no pages.")
    if pages > limits.pages_max:
        raise Refused(
            "media-too-large",
            f"The PDF has {pages} pages, more than the {limits.pages_max} allowed.",
        )
