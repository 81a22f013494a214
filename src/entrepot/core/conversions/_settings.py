"""Steps that say how to read the source and how to write the output.

They may stand anywhere in a pipeline, each once. What they mean depends on the output, which
may be named after them, so they are read here and given their final form in `_completing.py`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from entrepot.core.conversions._formats import ALIASES, EXTENSIONS
from entrepot.core.conversions._given import (
    Given,
    plain,
    read_fields,
    read_flag,
    read_number,
    read_seconds,
    read_whole,
    read_word,
    words,
)
from entrepot.core.conversions._operations import read_colour
from entrepot.errors import Invalid

DURATION_SECONDS_MAX = 24 * 3600
PAGE_MAX = 100_000
DPI_MAX = 1_200
OUTPUT_BYTES_MAX = 2**31
OUTPUT_BYTES_MIN = 1_000
FPS_MAX = 120
VIDEO_KBPS_MAX = 100_000
AUDIO_KBPS_MAX = 512
SAMPLE_RATES_HZ = (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_SIZE = re.compile(r"(\d{1,12})\s*(|b|bytes|kb|kib|mb|mib)", re.ASCII)
_UNITS = {"kb": 10**3, "kib": 2**10, "mb": 10**6, "mib": 2**20}
_BIT_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(|k|kbps|kbit/s|m|mbps|mbit/s)", re.ASCII)
_PAGES = re.compile(r"(\d{1,6})\s*-\s*(\d{1,6})", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)\s*%", re.ASCII)

_Number = TypeVar("_Number", int, float)

_SPACES = words(
    "srgb", "p3", "cmyk", "gray", "auto", rgb="srgb", displayp3="p3", grey="gray", grayscale="gray"
)
_PROFILES = {**_SPACES, "embed": "embed", "keep": "embed", "strip": "strip", "none": "strip"}
_METADATA = words("keep", "strip", "copyright", all="keep", none="strip")
_QUALITY = words("maximum", "high", "medium", "low", max="maximum")
_CODECS = words(
    "h264", "h265", "vp8", "vp9", "av1", avc="h264", libx264="h264", hevc="h265", libx265="h265"
)
_AUDIO_CODECS = words("mp3", "aac", "vorbis", "opus", "flac", "pcm")


def _extension(given: Given) -> str:
    if isinstance(given.value, str):
        extension = given.value.strip().lower().removeprefix(".")
        extension = ALIASES.get(extension, extension)
        if extension in EXTENSIONS:
            return extension
    raise given.refuse(f"one of {', '.join(EXTENSIONS)}")


def _otherwise(given: Given, expected: str, read: Callable[[], _Number]) -> _Number:
    """What `read` gives; what it refuses is told with every way of writing the value."""
    try:
        return read()
    except Invalid as error:
        raise given.refuse(expected) from error


def _page(given: Given) -> int | dict[str, int]:
    """One page, or a range of them for a PDF: `2`, `2-5`, {first, last}."""
    match = _PAGES.fullmatch(given.value.strip()) if isinstance(given.value, str) else None
    if not match and not isinstance(given.value, Mapping):
        expected = f'a page from 1 to {PAGE_MAX}, or pages for a PDF such as "2-5"'
        return _otherwise(given, expected, lambda: read_whole(given, 1, PAGE_MAX))
    told = read_fields(given, ("first", "last"), "first and last") if not match else {}
    if match:
        told = {"first": given.at("first", match[1]), "last": given.at("last", match[2])}
    if told.keys() != {"first", "last"}:
        raise given.refuse("an object with first and last")
    first, last = (read_whole(told[name], 1, PAGE_MAX) for name in ("first", "last"))
    if first > last:
        raise given.refuse("a last page that is not before the first")
    return {"first": first, "last": last}


def _frame(given: Given) -> dict[str, int | float]:
    """A time in the video, or a part of its duration: `1.5`, `00:00:10`, `50%`."""
    match = _PERCENT.fullmatch(given.value.strip()) if isinstance(given.value, str) else None
    if match:
        return {"percent": read_number(Given(match[1], given.field), 0, 100)}
    if isinstance(given.value, Mapping):
        told = read_fields(given, ("seconds", "percent"), "seconds or percent")
        if len(told) != 1:
            raise given.refuse("an object with either seconds or percent")
        if "percent" in told:
            return {"percent": read_number(told["percent"], 0, 100)}
        given = told["seconds"]
    expected = f'seconds from 0 to {DURATION_SECONDS_MAX}, a time "00:01:30", or a part "10%"'
    return {"seconds": _otherwise(given, expected, lambda: _duration(given))}


def _duration(given: Given) -> int | float:
    return read_seconds(given, DURATION_SECONDS_MAX)


def _length(given: Given) -> int | float:
    seconds = _duration(given)
    if seconds < 0.01:
        raise given.refuse(f"seconds from 0.01 to {DURATION_SECONDS_MAX}")
    return seconds


def _dpi(given: Given) -> int:
    return read_whole(given, 10, DPI_MAX)


def _quality(given: Given) -> int | str:
    if isinstance(given.value, str) and plain(given.value) in _QUALITY:
        return read_word(given, _QUALITY)
    expected = "1 to 100, or Maximum, High, Medium or Low"
    return _otherwise(given, expected, lambda: read_whole(given, 1, 100))


def _bytes(given: Given) -> int:
    match = _SIZE.fullmatch(given.value.strip().lower()) if isinstance(given.value, str) else None
    wanted = Given(int(match[1]) * _UNITS.get(match[2], 1), given.field) if match else given
    expected = f'bytes from {OUTPUT_BYTES_MIN} to {OUTPUT_BYTES_MAX}, or such as "500 KB" or "1 MB"'
    return _otherwise(
        given, expected, lambda: read_whole(wanted, OUTPUT_BYTES_MIN, OUTPUT_BYTES_MAX)
    )


def _bit_rate(given: Given) -> int:
    """kbit/s: a number, or a text such as 128k or 2.5M."""
    match = None
    if isinstance(given.value, str):
        match = _BIT_RATE.fullmatch(given.value.strip().lower())
    wanted = given
    if match:
        factor = 1_000 if match[2].startswith("m") else 1
        wanted = Given(round(float(match[1]) * factor), given.field)
    expected = f'kbit/s from 8 to {VIDEO_KBPS_MAX}, or such as "128k" or "2.5M"'
    return _otherwise(given, expected, lambda: read_whole(wanted, 8, VIDEO_KBPS_MAX))


def _fps(given: Given) -> int | float:
    return read_number(given, 1, FPS_MAX)


def _crf(given: Given) -> int:
    return read_whole(given, 0, 63)


def _codec(given: Given) -> str:
    return read_word(given, {**_CODECS, **_AUDIO_CODECS})


def _channels(given: Given) -> int:
    if isinstance(given.value, str):
        return int(read_word(given, _CHANNELS))
    return read_whole(given, 1, 2)


_CHANNELS = words("1", "2", mono="1", stereo="2")


def _sample_rate(given: Given) -> int:
    rate = read_whole(given, SAMPLE_RATES_HZ[0], SAMPLE_RATES_HZ[-1], unit="Hz")
    if rate not in SAMPLE_RATES_HZ:
        raise given.refuse(f"one of {', '.join(map(str, SAMPLE_RATES_HZ))}")
    return rate


def _space(given: Given) -> str:
    return read_word(given, _SPACES)


def _profile(given: Given) -> str:
    return read_word(given, _PROFILES)


def _metadata(given: Given) -> str:
    return read_word(given, _METADATA)


Reader = Callable[[Given], Any]

READERS: Mapping[str, Reader] = {
    "fileExtension": _extension,
    "background": read_colour,
    "page": _page,
    "frame": _frame,
    "colorSpace": _space,
    "colorProfile": _profile,
    "dpi": _dpi,
    "metadata": _metadata,
    "quality": _quality,
    "maxBytes": _bytes,
    "fps": _fps,
    "crf": _crf,
    "bitrate": _bit_rate,
    "codec": _codec,
    "start": _duration,
    "duration": _length,
    "mute": read_flag,
}
"""Type as the contract writes it -> its reader."""

BY_OBJECT = frozenset({"page", "frame"})
"""Types whose value may be an object with fields of its own."""

VIDEO_FIELDS: Mapping[str, str] = {
    "fps": "fps",
    "crf": "crf",
    "bitrate": "bitrate",
    "codec": "codec",
    "start": "start",
    "duration": "duration",
    "mute": "mute",
}
"""Field of a `video` step -> the setting that it stands for; width and height resize."""

AUDIO_FIELDS: Mapping[str, str] = {
    "bitrate": "audio bitrate",
    "codec": "audio codec",
    "start": "start",
    "duration": "duration",
    "mute": "mute",
    "channels": "channels",
    "sample_rate": "sample rate",
}
"""Field of an `audio` step -> the setting that it stands for."""

FURTHER: Mapping[str, Reader] = {
    "audio bitrate": _bit_rate,
    "audio codec": lambda given: read_word(given, _AUDIO_CODECS),
    "channels": _channels,
    "sample rate": _sample_rate,
}
"""Settings that only a `video` or `audio` step can make."""
