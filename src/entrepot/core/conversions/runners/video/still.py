"""One picture out of a video, handed on to the image runner without loss."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners import image
from entrepot.core.conversions.runners.protocol import Refused
from entrepot.core.conversions.runners.video.ffmpeg import read_stored, run_ffmpeg, write_target
from entrepot.core.conversions.runners.video.filters import begin
from entrepot.core.conversions.runners.video.source import Picture, Source, read_source
from entrepot.core.conversions.runners.video.tags import keep_tags


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path]
) -> dict[str, Fact]:
    """See entry.convert."""
    read = read_source(source, limits, sounds=False)
    if read.picture is None:
        raise Refused("media-unsupported", "The file has no moving picture.")
    seconds = _choose_instant(recipe.setting("frame"), read)
    steps = tuple(step for step in recipe.steps if step.type != "frame")
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "frame"
        _take(source, read.picture, seconds, held, limits)
        return image.convert(
            held, replace(recipe, runner="image", steps=steps), target, limits, watermarks
        )


def _choose_instant(value: Mapping[str, Any], read: Source) -> float:
    """The second of the frame. Refused: frame-outside."""
    assert read.picture is not None
    lengths = (read.picture.duration_seconds, read.duration_seconds)
    whole = next((one for one in lengths if one is not None), None)
    if "percent" in value:
        return float((whole or 0.0) * value["percent"] / 100)
    seconds = float(value["seconds"])
    if whole is not None and seconds > whole:
        raise Refused(
            "frame-outside",
            f"The video lasts {whole:.1f} seconds; there is no frame at {seconds:g}.",
        )
    return seconds


def _take(source: Path, picture: Picture, seconds: float, held: Path, limits: Limits) -> None:
    for instant in _instants(seconds, picture.fps or 25.0):
        drawing = begin(picture, steps=(), clear=True, background=None, fps=None, limits=limits)
        drawing.add(
            "format=rgba" if picture.has_alpha else "format=rgb24",
            "setparams=color_primaries=bt709:color_trc=iec61966-2-1",
        )
        label = drawing.close()
        encoded = run_ffmpeg(
            [
                *read_stored(source, limits, "-ss", f"{instant:.6f}"),
                *("-filter_complex", drawing.text, "-map", f"[{label}]", "-frames:v", "1"),
                *("-c:v", "png", "-compression_level", "1", *keep_tags("strip", {})),
                *write_target(held, "image2pipe"),
            ],
            limits,
        )
        if encoded.frames:
            return
    raise Refused("frame-outside", f"There is no frame at {seconds:g} seconds.")


def _instants(seconds: float, fps: float) -> Iterator[float]:
    """The instant itself; near the end the last frame has begun before, so earlier ones too."""
    yield seconds
    for earlier in (1.5 / fps, 0.5, 2.0, 10.0):
        if seconds:
            yield max(0.0, seconds - earlier)
