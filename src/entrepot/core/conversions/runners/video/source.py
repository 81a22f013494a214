"""What a video or sound file holds, read with PyAV before ffmpeg is let near it."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.runners.hardening import AV_OPTIONS, FFMPEG_PICTURE_FORMATS
from entrepot.core.conversions.runners.protocol import FACT_TEXT_MAX, Refused, one_line

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_Stream = TypeVar("_Stream", "VideoStream", "AudioStream")

_OUR_OPTIONS = AV_OPTIONS | {
    "format_whitelist": f"{AV_OPTIONS['format_whitelist']},{FFMPEG_PICTURE_FORMATS}"
}
_NOT_THE_FILE_S_FAULT = (errno.ENOENT, errno.EACCES, errno.EMFILE, errno.ENFILE)
PACKETS_MAX = 2_000  # read at most in search of a first picture
TAGS_MAX = 64
TAG_LENGTH_MAX = 4_096
# ITU-T H.273, table 3: the curves of pictures brighter than a screen's white.
_BRIGHT_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
_UNSPECIFIED, _RGB = 2, 0


@dataclass(frozen=True, slots=True)
class Picture:
    """The moving picture. Sides are those seen: turned upright, with square pixels."""

    index: int
    codec: str
    width: int
    height: int
    rotation: int  # degrees clockwise that the player has to turn it
    fps: float | None
    duration_seconds: float | None
    square: bool  # the stored pixels are
    has_alpha: bool
    bright_transfer: str | None  # of a high dynamic range, as ffmpeg calls its curve
    matrix_known: bool  # the file says how colours became luma and chroma


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound that plays when nobody chooses another."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    duration_seconds: float | None
    deep: bool  # whole numbers of more than 16 bits
    language: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file with a picture, a sound or both; what is None is not there."""

    picture: Picture | None
    sound: Sound | None
    duration_seconds: float | None
    tags: dict[str, str] = field(default_factory=dict)


def read_source(
    path: Path, limits: Limits, *, pictures: bool = True, sounds: bool = True, ours: bool = False
) -> Source:
    """What `path` holds; without `pictures` or `sounds` those are passed over, good or bad.

    `ours`: we wrote it, so it may be an animation too. Refused: media-damaged,
    media-unsupported, media-too-large.
    """
    with _opened(path, _OUR_OPTIONS if ours else AV_OPTIONS) as container:
        video = _first_video(container) if pictures else None
        audio = _first_audio(container) if sounds else None
        if pictures and sounds and video is None and audio is None:
            raise Refused("media-unsupported", "The file has neither a picture nor a sound.")
        whole = container.duration / 1_000_000 if container.duration else None
        return Source(
            picture=None if video is None else _read_picture(container, video, limits),
            sound=None if audio is None else _read_sound(audio),
            duration_seconds=whole if whole and whole > 0 else None,
            tags=_tags_of(container.metadata),
        )


def facts_of(source: Source) -> dict[str, Fact]:
    """The source in the words of the port; only what was found."""
    found: dict[str, Fact | None] = {}
    if source.duration_seconds is not None:
        found["duration_seconds"] = round(source.duration_seconds, 3)
    if (picture := source.picture) is not None:
        found |= {
            "width": picture.width,
            "height": picture.height,
            "rotation": picture.rotation,
            "fps": None if picture.fps is None else round(picture.fps, 3),
            "video_codec": picture.codec,
        }
    if (sound := source.sound) is not None:
        found |= {
            "audio_codec": sound.codec,
            "channels": sound.channels,
            "sample_rate": sound.sample_rate,
        }
    title = one_line(source.tags.get("title", ""), FACT_TEXT_MAX)
    return {name: value for name, value in found.items() if value is not None} | (
        {"title": title} if title else {}
    )


@contextmanager
def _opened(path: Path, options: Mapping[str, str]) -> "Iterator[InputContainer]":
    import av
    from av.error import FFmpegError

    try:
        with av.open(
            str(path), mode="r", options=dict(options), metadata_errors="replace"
        ) as opened:
            yield opened
    except (FFmpegError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno in _NOT_THE_FILE_S_FAULT:
            raise
        if isinstance(error, MemoryError):
            raise Refused(
                "media-too-large", "Reading the file takes more memory than allowed."
            ) from error
        raise Refused(
            "media-damaged",
            "The file is damaged, or of a kind of video or sound that is not read here.",
        ) from error


def _first_video(container: "InputContainer") -> "VideoStream | None":
    from av.stream import Disposition

    # The cover of a song is a stream as well, of one picture: it is no video.
    no_video = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [one for one in container.streams.video if not one.disposition & no_video]
    return _preferred(moving)


def _first_audio(container: "InputContainer") -> "AudioStream | None":
    return _preferred(list(container.streams.audio))


def _preferred(streams: "list[_Stream]") -> "_Stream | None":
    """The stream that plays by itself; None where there is none."""
    from av.stream import Disposition

    # Of an unknown codec PyAV has no context, whatever its types say.
    known = [one for one in streams if cast("object", one.codec_context) is not None]
    if streams and not known:
        raise Refused("media-unsupported", "It is coded in a way that is not read here.")
    for stream in known:
        if stream.disposition & Disposition.default:
            return stream
    return known[0] if known else None


def _read_picture(container: "InputContainer", stream: "VideoStream", limits: Limits) -> Picture:
    context = stream.codec_context
    check_pixels(context.width, context.height, limits)
    frame = _first_frame(container, stream)
    check_pixels(frame.width, frame.height, limits)
    rotation = -frame.rotation % 360
    ratio = stream.sample_aspect_ratio or Fraction(1)
    width, height = _with_square_pixels(frame.width, frame.height, ratio)
    if rotation % 180 == 90:
        width, height = height, width
    check_pixels(width, height, limits)
    rate = stream.guessed_rate or stream.average_rate
    return Picture(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=width,
        height=height,
        rotation=rotation,
        fps=float(rate) if rate and rate > 0 else None,
        duration_seconds=_seconds(stream),
        square=ratio in (0, 1),
        has_alpha=any(part.is_alpha for part in frame.format.components),
        bright_transfer=_BRIGHT_TRANSFERS.get(int(frame.color_trc)),
        matrix_known=int(frame.colorspace) != _UNSPECIFIED,
    )


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refused (media-too-large) where one picture has more pixels than allowed."""
    if width * height > limits.pixels_max:
        raise Refused(
            "media-too-large",
            f"A picture of {width} x {height} pixels is more than the {limits.pixels_max} allowed.",
        )


def _first_frame(container: "InputContainer", stream: "VideoStream") -> "VideoFrame":
    from av.error import FFmpegError

    for number, packet in enumerate(container.demux(stream)):
        try:
            for frame in packet.decode():
                return frame
        except FFmpegError:  # one bad packet; ffmpeg goes on after it, too
            pass
        if number >= PACKETS_MAX:
            break
    raise Refused("media-damaged", "No picture of the video could be read.")


def _with_square_pixels(width: int, height: int, ratio: Fraction) -> tuple[int, int]:
    return (max(1, round(width * ratio)), height) if ratio > 0 else (width, height)


def _read_sound(stream: "AudioStream") -> Sound:
    context = stream.codec_context
    if not context.sample_rate or not context.channels:
        raise Refused("media-damaged", "The sound says neither its rate nor its channels.")
    return Sound(
        index=stream.index,
        codec=context.codec.canonical_name,
        channels=context.channels,
        sample_rate=context.sample_rate,
        duration_seconds=_seconds(stream),
        deep=context.format is not None and context.format.name in ("s32", "s32p"),
        language=one_line(stream.language or "", 16),
    )


def _seconds(stream: "VideoStream | AudioStream") -> float | None:
    if not stream.duration or stream.duration < 0 or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _tags_of(metadata: dict[str, str]) -> dict[str, str]:
    tags = {name.lower(): text for name, text in metadata.items() if len(text) <= TAG_LENGTH_MAX}
    return dict(sorted(tags.items())[:TAGS_MAX])
