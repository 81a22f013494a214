"""The two doors of the document runner. PDFium is loaded by the first call, not by import."""

from collections.abc import Sequence
from pathlib import Path

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path] = ()
) -> dict[str, Fact]:
    """Writes `source` into `target`: one page as a picture, or pages as a PDF.

    Of a picture: the facts that the image runner gives; of a PDF those of `probe`. Raises
    Refused: media-damaged, media-too-large, media-unsupported, page-outside, and the image
    runner's for a picture.
    """
    from entrepot.core.conversions.runners.document import pages, pictures

    if recipe.extension == "pdf":
        return pages.convert(source, recipe, target, limits)
    return pictures.convert(source, recipe, target, limits, watermarks)


def probe(source: Path, content_type: str, limits: Limits) -> dict[str, Fact]:
    """Facts of a PDF: pages, page_width_mm and page_height_mm of the first one, title.

    Raises Refused: media-damaged, media-too-large, media-unsupported.
    """
    from entrepot.core.conversions.runners.document.opening import facts_of, opened

    del content_type
    with opened(source, limits) as document:
        return facts_of(document)
