"""From what was read to what is done: every default filled in for the output at hand.

Steps that mean nothing for the output are refused, not ignored: who asks for a blurred video
should know that there is none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.conversions._formats import ANIMATION, PAGES, PICTURE, SOUND, Format, Origin
from entrepot.core.conversions._recipe import OPERATIONS, SETTINGS, Step
from entrepot.errors import Invalid

_ON_VIDEOS = {"resize", "crop", "rotate", "flip", "watermark"}
_EYES = {"entropy", "attention"}
_QUALITY: Mapping[str, int] = {"maximum": 95, "high": 85, "medium": 70, "low": 50}
_VIDEO_QUALITY: Mapping[str, int] = {"maximum": 90, "high": 75, "medium": 60, "low": 40}
_AUDIO_QUALITY: Mapping[str, int] = {"maximum": 100, "high": 55, "medium": 35, "low": 12}
# Constant rate factor at quality 100 and 1, the default, and the most: encoders count apart.
_CRF: Mapping[str, tuple[int, int, int, int]] = {
    "h264": (14, 40, 23, 51),
    "h265": (16, 44, 27, 51),
    "vp8": (6, 44, 20, 63),
    "vp9": (18, 56, 32, 63),
    "av1": (20, 58, 35, 63),
}
# kbit/s: least, default, most.
_KBPS: Mapping[str, tuple[int, int, int]] = {
    "mp3": (32, 192, 320),
    "aac": (24, 160, 512),
    "vorbis": (48, 160, 480),
    "opus": (8, 128, 510),
}
_LOSSLESS = {"flac", "pcm"}
_VIDEO_KBPS_MIN = 50
_GIF_FPS, _GIF_FPS_MAX = 10, 50
_OPUS_RATES_HZ = {8_000, 12_000, 16_000, 24_000, 48_000}
_MP3_RATE_HZ_MAX = 48_000


@dataclass(frozen=True, slots=True)
class Told:
    """A setting that was read, and its place."""

    value: Any
    field: str


class Completion:
    """One pipeline on its way to a recipe. `pair` names source and pipeline in messages."""

    def __init__(
        self,
        origin: Origin,
        output: Format,
        operations: list[tuple[Step, str]],
        settings: Mapping[str, Told],
        pair: str,
    ) -> None:
        self._origin = origin
        self._output = output
        self._operations = operations
        self._left = dict(settings)
        self._pair = pair

    def steps(self) -> tuple[Step, ...]:
        """The steps in their normal form and order; Invalid where one cannot be done."""
        kind = self._output.kind
        for step, field in self._operations:
            self._check_operation(step, field)
        complete = {PICTURE: self._picture, SOUND: self._sound, PAGES: self._pages}
        settings = dict(complete.get(kind, self._video)())
        for name, told in self._left.items():
            raise self._not_for_this(name, told.field)
        ordered = sorted(settings.items(), key=lambda item: SETTINGS.index(item[0]))
        return (
            *(step for step, _ in self._operations),
            *(Step(name, value) for name, value in ordered),
        )

    # --- what may be asked for ---------------------------------------------------------------

    def _refuse(self, problem: str, field: str) -> Invalid:
        return Invalid(
            f"{self._pair}: {problem}.",
            field=field,
            code="conversion-impossible",
            remedy="Leave the step out, or choose another format.",
        )

    def _not_for_this(self, name: str, field: str) -> Invalid:
        output = self._output
        what = {PICTURE: "picture", SOUND: "sound", PAGES: "document"}.get(output.kind, "video")
        return self._refuse(f"{name} does not apply to a {what} in {output.extension}", field)

    def _check_operation(self, step: Step, field: str) -> None:
        output = self._output
        moving = output.kind not in (PICTURE, SOUND, PAGES)
        allowed = OPERATIONS if output.kind == PICTURE else _ON_VIDEOS if moving else ()
        if step.type not in allowed:
            raise self._not_for_this(step.type, field)
        if step.type == "resize":
            for side in (step.value.get("width"), step.value.get("height")):
                if side and side > output.side_pixels_max:
                    most = output.side_pixels_max
                    raise self._refuse(
                        f"{output.extension} has at most {most} pixels a side", field
                    )
        if moving and step.type == "rotate" and step.value % 90:
            raise self._refuse("a video turns by 90, 180 or 270 degrees", field)
        if moving and step.type == "crop" and step.value.get("gravity") in _EYES:
            raise self._refuse("of a video the part is chosen by a direction of the compass", field)

    def _take(self, name: str, default: Any = None) -> Any:
        told = self._left.pop(name, None)
        return default if told is None else told.value

    def _choose(self, name: str, choices: tuple[str, ...] | set[Any]) -> Any:
        """A setting that must be one of `choices`; None where it was not made."""
        told = self._left.pop(name, None)
        if told is not None and told.value not in choices:
            listed = ", ".join(map(str, sorted(choices)))
            extension = self._output.extension
            raise self._refuse(f"{name} of {extension} is one of {listed}", told.field)
        return None if told is None else told.value

    def _within(self, name: str, least: int, most: int) -> Any:
        """A number that must lie in a range of the format at hand; None where not given."""
        told = self._left.pop(name, None)
        if told is not None and not least <= told.value <= most:
            extension = self._output.extension
            raise self._refuse(f"{name} of {extension} is {least} to {most} here", told.field)
        return None if told is None else told.value

    def _only_one(self, *names: str) -> None:
        told = [name for name in names if name in self._left]
        if len(told) > 1:
            given = self._left[told[1]]
            raise self._refuse(f"{told[0]} and {told[1]} cannot both be kept", given.field)

    # --- pictures ----------------------------------------------------------------------------

    def _picture(self) -> Iterator[tuple[str, Any]]:
        output = self._output
        yield from self._background()
        yield from self._which_picture()
        yield from self._colours()
        if "dpi" in self._left:
            yield "dpi", self._take("dpi")
        yield "metadata", self._take("metadata", "copyright")
        if output.quality is not None:
            quality = self._take("quality", output.quality)
            yield "quality", _QUALITY[quality] if isinstance(quality, str) else quality
        if output.bytes_max and "maxBytes" in self._left:
            yield "maxBytes", self._take("maxBytes")

    def _background(self) -> Iterator[tuple[str, Any]]:
        if "background" in self._left:
            yield "background", self._take("background")

    def _which_picture(self) -> Iterator[tuple[str, Any]]:
        if self._origin.runner in ("document", "office"):
            told = self._left.get("page")
            if told is not None and not isinstance(told.value, int):
                raise self._refuse("a picture shows one page", told.field)
            yield "page", self._take("page", 1)
        if self._origin.runner == "video":
            # Films begin in black more often than not.
            yield "frame", self._take("frame", {"percent": 10})

    def _colours(self) -> Iterator[tuple[str, str]]:
        output = self._output
        space, profile = self._left.pop("colorSpace", None), self._left.pop("colorProfile", None)
        if profile is not None and profile.value not in ("embed", "strip"):
            if space is not None and space.value != profile.value:
                raise self._refuse("colorSpace and colorProfile contradict each other", space.field)
            space, profile = profile, Told("embed", profile.field)
        wanted = "auto" if space is None else space.value
        if space is not None and wanted not in output.colour_spaces:
            raise self._refuse(f"{output.extension} cannot hold {wanted}", space.field)
        kept = ("embed" if output.profile else "strip") if profile is None else profile.value
        if profile is not None and kept == "embed" and not output.profile:
            raise self._refuse(f"{output.extension} cannot hold a profile", profile.field)
        if kept == "strip" and profile is not None and wanted in ("p3", "cmyk"):
            raise self._refuse(f"{wanted} means nothing without its profile", profile.field)
        # Without a profile every reader takes a picture for sRGB.
        yield "colorSpace", "srgb" if kept == "strip" and wanted == "auto" else wanted
        yield "colorProfile", kept

    # --- videos and sounds -------------------------------------------------------------------

    def _video(self) -> Iterator[tuple[str, Any]]:
        yield from self._background()
        if self._output.kind == ANIMATION:
            yield "metadata", self._take("metadata", "strip")
            yield "video", self._animation()
            return
        yield "metadata", self._take("metadata", "copyright")
        self._only_one("crf", "bitrate", "quality")
        codec = self._choose("codec", self._output.codecs) or self._output.codecs[0]
        kbps = self._within("bitrate", _VIDEO_KBPS_MIN, 100_000)
        yield (
            "video",
            {
                "codec": codec,
                "fps": self._take("fps"),
                "crf": None if kbps else self._crf(codec),
                "bitrate_kbps": kbps,
                **self._times(),
                **self._sound_track(),
            },
        )

    def _animation(self) -> dict[str, Any]:
        return {
            "codec": "gif",
            "fps": self._within("fps", 1, _GIF_FPS_MAX) or _GIF_FPS,
            "crf": None,
            "bitrate_kbps": None,
            **self._times(),
            "mute": True,
            "audio_codec": None,
            "audio_bitrate_kbps": None,
        }

    def _crf(self, codec: str) -> int:
        best, worst, default, most = _CRF[codec]
        if "quality" not in self._left:
            told = self._within("crf", 0, most)
            return default if told is None else told
        quality = self._take("quality")
        quality = _VIDEO_QUALITY[quality] if isinstance(quality, str) else quality
        return round(worst - (worst - best) * quality / 100)

    def _times(self) -> dict[str, Any]:
        return {"start_seconds": self._take("start", 0), "duration_seconds": self._take("duration")}

    def _sound_track(self) -> dict[str, Any]:
        if self._take("mute", False):
            return {"mute": True, "audio_codec": None, "audio_bitrate_kbps": None}
        codecs = self._output.audio_codecs
        codec = self._choose("audio codec", codecs) or codecs[0]
        least, default, most = _KBPS[codec]
        kbps = self._within("audio bitrate", least, most) or default
        return {"mute": False, "audio_codec": codec, "audio_bitrate_kbps": kbps}

    def _sound(self) -> Iterator[tuple[str, Any]]:
        yield "metadata", self._take("metadata", "keep")
        for plain in ("codec", "bitrate"):
            self._only_one(plain, f"audio {plain}")
            if plain in self._left:
                self._left[f"audio {plain}"] = self._left.pop(plain)
        codec = self._output.codecs[0]
        self._choose("audio codec", self._output.codecs)
        kbps = None if codec in _LOSSLESS else self._kbps(codec)
        yield (
            "audio",
            {
                "codec": codec,
                "bitrate_kbps": kbps,
                "channels": self._take("channels"),
                "sample_rate_hz": self._sample_rate(codec),
                **self._times(),
            },
        )

    def _kbps(self, codec: str) -> int:
        self._only_one("audio bitrate", "quality")
        least, default, most = _KBPS[codec]
        if "quality" not in self._left:
            return self._within("audio bitrate", least, most) or default
        quality = self._take("quality")
        quality = _AUDIO_QUALITY[quality] if isinstance(quality, str) else quality
        return max(least, round(min(most, 320) * quality / 100))

    def _sample_rate(self, codec: str) -> Any:
        if codec == "opus":
            return self._choose("sample rate", _OPUS_RATES_HZ)
        if codec == "mp3":
            return self._within("sample rate", 8_000, _MP3_RATE_HZ_MAX)
        return self._take("sample rate")

    # --- documents ---------------------------------------------------------------------------

    def _pages(self) -> Iterator[tuple[str, Any]]:
        if "page" in self._left:
            page = self._take("page")
            yield "page", {"first": page, "last": page} if isinstance(page, int) else page
        yield "metadata", self._take("metadata", "keep")
