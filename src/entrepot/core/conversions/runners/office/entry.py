"""The door of the office runner."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners import document
from entrepot.core.conversions.runners.office.libreoffice import make_pdf


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path] = ()
) -> dict[str, Fact]:
    """Writes `source` into `target`: as a PDF, or a page as a picture.

    The facts are the document runner's. Refused: media-damaged (locked ones among them),
    media-too-large, media-unsupported, and whatever the document runner refuses.
    """
    steps = tuple(step for step in recipe.steps if step.type != "source")
    rest = replace(recipe, runner="document", steps=steps)
    with tempfile.TemporaryDirectory(prefix="office-") as folder:
        pdf = make_pdf(source, recipe.setting("source"), Path(folder), limits)
        return document.convert(pdf, rest, target, limits, watermarks)
