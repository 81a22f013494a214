"""The port of the converters: one file in, one file out, nothing else.

What implements `Converter` passes tests/conversions/test_converter_conformance.py. The hub's own
is sandbox.SandboxedConverter; tests of what stands above may bring another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from entrepot.errors import EntrepotError, Invalid, Unavailable

MEBIBYTE = 1024 * 1024

# What may stand in facts: small and scalar, since it comes from behind a hostile file.
Fact = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may cost. Every number is a maximum of its own; all are above zero."""

    memory_bytes_max: int = 2048 * MEBIBYTE  # all processes of the item together
    cpu_seconds_max: int = 1200  # all processes of the item together
    wall_seconds_max: int = 1800
    pixels_max: int = 300_000_000  # of one picture, width x height, before and after
    pages_max: int = 2_000  # of a document or a multi-page picture
    frames_max: int = 500_000  # of a video or an animation
    duration_seconds_max: int = 6 * 3600  # of a video or a sound
    output_bytes_max: int = 8192 * MEBIBYTE
    scratch_bytes_max: int = 512 * MEBIBYTE  # private files while converting, held in memory


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion gave: facts of the result, and its size in bytes as measured here.

    `facts` may have width, height, orientation, colour_space, pages, duration_seconds, fps, codec
    and more; what was not found is left out.
    """

    facts: Mapping[str, Fact]
    size: int


class ConversionFailed(Invalid):
    """This file cannot be converted so; another one may. `message` is fit for report.txt.

    Codes: media-damaged, media-too-large, media-too-slow, media-unsupported, converter-died,
    converter-defect; storage-full, where the converter says so and the disk has room again.
    """

    default_code = "media-damaged"


class ConversionCancelled(EntrepotError):  # noqa: N818 - the field's names, see errors.py
    """`cancelled()` became true; what had been written of the target is to be thrown away."""

    default_code = "conversion-cancelled"


def conversions_off(reason: str) -> Unavailable:
    """What is raised where nothing may be converted, since hostile files cannot be locked in."""
    return Unavailable(
        f"Conversions are switched off: {reason}",
        code="conversions-off",
        remedy="Allow user namespaces on this machine (docs/explanation/media-sandbox.md).",
        retry_after_seconds=3600,
    )


def never() -> bool:
    """For a conversion that nobody can cancel."""
    return False


class Converter(Protocol):
    """Converts and measures media files; safe to be called from several threads.

    Files are real ones, with a `fileno()`. Raises ConversionFailed for what the file or the
    recipe does not allow, Unavailable (conversions-off) where conversions are switched off.
    """

    def convert(
        self,
        source: BinaryIO,
        recipe: Mapping[str, object],
        target: BinaryIO,
        *,
        watermarks: Sequence[BinaryIO] = (),
        cancelled: Callable[[], bool] = never,
    ) -> Converted:
        """Writes `source` into the empty `target` by `recipe` (recipes.recipe_to_document).

        `watermarks` are the files of the recipe's `watermark_sha256s`, in their order.
        `cancelled` is asked at least twice a second; raises ConversionCancelled soon after it
        says yes. After an error `target` holds rubbish.
        """
        ...

    def probe(self, source: BinaryIO, *, content_type: str) -> Mapping[str, Fact]:
        """The facts of a file of this content type; only what was found."""
        ...

    def close(self) -> None:
        """Ends every process of the converter; what runs is killed."""
        ...
