"""A video into a video or an animation."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe, Step
from entrepot.core.conversions.runners.protocol import Refused
from entrepot.core.conversions.runners.video.ffmpeg import (
    Encoded,
    read_picture,
    read_stored,
    run_ffmpeg,
    write_target,
)
from entrepot.core.conversions.runners.video.filters import Drawing, begin, draw, finish
from entrepot.core.conversions.runners.video.overlays import draw_watermark
from entrepot.core.conversions.runners.video.sounds import write_sound
from entrepot.core.conversions.runners.video.source import Picture, Source, facts_of, read_source
from entrepot.core.conversions.runners.video.tags import keep_tags
from entrepot.core.conversions.runners.video.timing import Span, choose_span

_GIF_FPS_MAX = 50.0  # its clock counts hundredths of a second, and players mistrust a single one
_VP8_MOST = "50M"  # with a wanted quality it still asks for a ceiling

_ENCODERS: Mapping[str, tuple[str, ...]] = {
    # Notes in the stream (NAL units of type 6) name the encoder and its settings: left out.
    "h264": ("libx264", "-preset", "fast", "-bsf:v", "filter_units=remove_types=6"),
    "h265": ("libx265", "-preset", "fast", "-tag:v", "hvc1", "-x265-params", "info=0:log-level=1"),
    "vp8": ("libvpx", "-deadline", "good", "-cpu-used", "3"),
    "vp9": ("libvpx-vp9", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1"),
    "av1": ("libsvtav1", "-preset", "8", "-svtav1-params", "lp=2"),
}
_CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "mp4": ("mp4", "-movflags", "+faststart"),
    "mov": ("mov", "-movflags", "+faststart"),
    "webm": ("webm",),
}


@dataclass(frozen=True, slots=True)
class _Work:
    """One conversion: what is read, what is wanted, and further inputs as they turn up."""

    source: Path
    read: Source
    picture: Picture
    recipe: Recipe
    limits: Limits
    watermarks: Sequence[Path]
    scratch: Path
    span: Span
    overlays: list[Path] = field(default_factory=list)

    @property
    def inputs(self) -> list[str]:
        """The arguments before the filters: the video is input 0, then the watermarks."""
        stored = read_stored(self.source, self.limits, *self.span.options)
        return [*stored, *(word for path in self.overlays for word in read_picture(path))]

    @property
    def frames_max(self) -> tuple[str, ...]:
        """One more than allowed, so that too many show."""
        return ("-frames:v", str(self.limits.frames_max + 1))


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path]
) -> dict[str, Fact]:
    """See entry.convert."""
    read = read_source(source, limits)
    if read.picture is None:
        raise Refused("media-unsupported", "The file has no moving picture.")
    span = choose_span(recipe.setting("video"), read.duration_seconds, limits)
    with tempfile.TemporaryDirectory() as folder:
        work = _Work(source, read, read.picture, recipe, limits, watermarks, Path(folder), span)
        _check_frames_expected(work)
        encoded = _animate(work, target) if recipe.extension == "gif" else _encode(work, target)
    _check_frames(encoded.frames, limits)
    span.check(encoded, empty=encoded.frames == 0)
    return facts_of(read_source(target, limits, ours=True))


def _encode(work: _Work, target: Path) -> Encoded:
    value = work.recipe.setting("video")
    drawing = _draw(work, clear=False)
    return run_ffmpeg(
        [
            *work.inputs,
            *("-filter_complex", drawing.text, "-map", f"[{drawing.label}]"),
            *(*work.frames_max, *_picture_options(value)),
            *_sound_options(work, value),
            *("-sn", "-dn"),
            *_tag_options(work),
            *_CONTAINERS[work.recipe.extension][1:],
            *write_target(target, _CONTAINERS[work.recipe.extension][0]),
        ],
        work.limits,
    )


def _animate(work: _Work, target: Path) -> Encoded:
    """A GIF in two passes, so that no more than a few frames are ever held in memory."""
    drawing = _draw(work, clear=True)
    palette = work.scratch / "palette"
    run_ffmpeg(
        [
            *(*work.inputs, "-filter_complex", f"{drawing.text};[{drawing.label}]palettegen[p]"),
            *("-map", "[p]", "-frames:v", "1", "-c:v", "png"),
            *write_target(palette, "image2pipe"),
        ],
        work.limits,
    )
    number = 1 + len(work.overlays)
    use = f"[{drawing.label}][{number}:v]paletteuse=dither=sierra2_4a:diff_mode=rectangle[g]"
    return run_ffmpeg(
        [
            *(*work.inputs, *read_picture(palette)),
            *("-filter_complex", f"{drawing.text};{use}", "-map", "[g]", *work.frames_max),
            *("-c:v", "gif", "-loop", "0", *keep_tags("strip", {}), *write_target(target, "gif")),
        ],
        work.limits,
    )


def _draw(work: _Work, *, clear: bool) -> Drawing:
    steps = work.recipe.operations
    drawing = begin(
        work.picture,
        steps=steps,
        clear=clear,
        background=work.recipe.setting("background"),
        fps=_frames_per_second(work),
        limits=work.limits,
    )

    def watermark(upon: Drawing, step: Step) -> str:
        drawn = draw_watermark(
            step,
            (upon.width, upon.height),
            recipe=work.recipe,
            watermarks=work.watermarks,
            limits=work.limits,
            scratch=work.scratch,
        )
        work.overlays.append(drawn)
        return f"{len(work.overlays)}:v"

    draw(drawing, steps, watermark)
    finish(drawing, clear=clear)
    return drawing


def _frames_per_second(work: _Work) -> float | None:
    wanted = work.recipe.setting("video")["fps"]
    if work.recipe.extension != "gif":
        return None if wanted is None else float(wanted)
    return min(_GIF_FPS_MAX, float(wanted or _GIF_FPS_MAX))


def _picture_options(value: Mapping[str, Any]) -> list[str]:
    codec, crf, kbps = value["codec"], value["crf"], value["bitrate_kbps"]
    options = ["-c:v", *_ENCODERS[codec]]
    if crf is not None:
        ceiling = {"vp8": ["-b:v", _VP8_MOST], "vp9": ["-b:v", "0"]}.get(codec, [])
        return [*options, "-crf", str(crf), *ceiling]
    options += ["-b:v", f"{kbps}k"]
    if codec in ("h264", "h265"):
        options += ["-maxrate", f"{kbps * 3 // 2}k", "-bufsize", f"{kbps * 2}k"]
    return options


def _sound_options(work: _Work, value: Mapping[str, Any]) -> list[str]:
    if value["mute"] or value["audio_codec"] is None or work.read.sound is None:
        return ["-an"]
    return write_sound(work.read.sound, value["audio_codec"], value["audio_bitrate_kbps"])


def _tag_options(work: _Work) -> list[str]:
    kept = work.recipe.setting("metadata")
    options = keep_tags(kept, work.read.tags)
    if kept == "keep" and work.read.sound is not None and work.read.sound.language:
        options += ["-metadata:s:a:0", f"language={work.read.sound.language}"]
    return options


def _check_frames_expected(work: _Work) -> None:
    rates = [one for one in (work.picture.fps, _frames_per_second(work)) if one is not None]
    if rates and work.span.duration is not None:
        _check_frames(int(min(rates) * work.span.duration), work.limits)


def _check_frames(frames: int, limits: Limits) -> None:
    if frames > limits.frames_max:
        raise Refused(
            "media-too-large", f"It has more than the {limits.frames_max:,} frames allowed."
        )
