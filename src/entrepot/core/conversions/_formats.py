"""What can be read and what can be written, and how the two fit together."""

from collections.abc import Mapping
from dataclasses import dataclass

from entrepot.core.conversions.office import OFFICE_TYPES, find_office

PICTURE, ANIMATION, VIDEO, SOUND, PAGES = "picture", "animation", "video", "sound", "pages"


@dataclass(frozen=True, slots=True)
class Format:
    """A format that a runner writes. `codecs` are the choices, the first is the default.

    `side_pixels_max` is what the format, or its encoder, can hold.
    """

    kind: str
    extension: str
    content_type: str
    side_pixels_max: int = 20_000
    quality: int | None = None  # default of a picture's lossy coding; None: lossless
    bytes_max: bool = False  # whether quality can be lowered until a size is met
    colour_spaces: tuple[str, ...] = ("auto", "srgb", "gray")
    profile: bool = True
    codecs: tuple[str, ...] = ()
    audio_codecs: tuple[str, ...] = ()


_WIDE = ("auto", "srgb", "p3", "gray")
_PRINT = ("auto", "srgb", "p3", "cmyk", "gray")
_PICTURES = (
    Format(PICTURE, "jpg", "image/jpeg", 20_000, 85, True, _PRINT),
    Format(PICTURE, "png", "image/png", 20_000, None, False, _WIDE),
    Format(PICTURE, "webp", "image/webp", 16_383, 80, True, _WIDE),
    Format(PICTURE, "avif", "image/avif", 16_384, 60, True, _WIDE),
    Format(PICTURE, "tif", "image/tiff", 20_000, None, False, _PRINT),
    Format(PICTURE, "gif", "image/gif", 20_000, None, False, profile=False),
    Format(PICTURE, "heic", "image/heic", 16_384, 60, True, _WIDE),
)
_PICTURE_PDF = Format(PICTURE, "pdf", "application/pdf", 20_000, 85, False, _PRINT)
_GIF = Format(ANIMATION, "gif", "image/gif", 4_096, codecs=("gif",))
_VIDEOS = (
    Format(
        VIDEO,
        "mp4",
        "video/mp4",
        8_192,
        codecs=("h264", "h265", "av1"),
        audio_codecs=("aac", "opus"),
    ),
    Format(
        VIDEO,
        "webm",
        "video/webm",
        8_192,
        codecs=("vp9", "vp8", "av1"),
        audio_codecs=("opus", "vorbis"),
    ),
    Format(VIDEO, "mov", "video/quicktime", 8_192, codecs=("h264", "h265"), audio_codecs=("aac",)),
)
_SOUNDS = (
    Format(SOUND, "mp3", "audio/mpeg", codecs=("mp3",)),
    Format(SOUND, "m4a", "audio/mp4", codecs=("aac",)),
    Format(SOUND, "ogg", "audio/ogg", codecs=("vorbis",)),
    Format(SOUND, "opus", "audio/ogg", codecs=("opus",)),
    Format(SOUND, "flac", "audio/flac", codecs=("flac",)),
    Format(SOUND, "wav", "audio/wav", codecs=("pcm",)),
)
_PDF = Format(PAGES, "pdf", "application/pdf")

ALIASES: Mapping[str, str] = {"jpeg": "jpg", "tiff": "tif", "heif": "heic", "oga": "ogg"}
EXTENSIONS: tuple[str, ...] = tuple(
    dict.fromkeys(each.extension for each in (*_PICTURES, _PDF, *_VIDEOS, *_SOUNDS))
)
"""Everything that some runner writes, by extension."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A kind of source: its runner, and what may be made of it."""

    name: str
    runner: str
    outputs: tuple[Format, ...]


_IMAGE = Origin("a picture", "image", (*_PICTURES, _PICTURE_PDF))
_DRAWING = Origin("a drawing", "image", (*_PICTURES, _PICTURE_PDF))
_FILM = Origin("a video", "video", (*_VIDEOS, _GIF, *_SOUNDS, *_PICTURES))
_RECORDING = Origin("a sound", "audio", _SOUNDS)
_PAPER = Origin("a PDF", "document", (*_PICTURES, _PDF))
_OFFICE = Origin("an office document", "office", (*_PICTURES, _PDF))

# Content type of the source -> its kind, and the extension to keep where none is asked for.
_READ: Mapping[str, tuple[Origin, str]] = {
    "image/jpeg": (_IMAGE, "jpg"),
    "image/png": (_IMAGE, "png"),
    "image/webp": (_IMAGE, "webp"),
    "image/avif": (_IMAGE, "avif"),
    "image/tiff": (_IMAGE, "tif"),
    "image/gif": (_IMAGE, "gif"),
    "image/heic": (_IMAGE, "heic"),
    "image/heif": (_IMAGE, "heic"),
    "image/bmp": (_IMAGE, "png"),
    "image/svg+xml": (_DRAWING, "png"),
    "video/mp4": (_FILM, "mp4"),
    "video/quicktime": (_FILM, "mov"),
    "video/webm": (_FILM, "webm"),
    "video/x-matroska": (_FILM, "mp4"),
    "video/x-msvideo": (_FILM, "mp4"),
    "video/mpeg": (_FILM, "mp4"),
    "video/mp2t": (_FILM, "mp4"),
    "video/ogg": (_FILM, "webm"),
    "video/3gpp": (_FILM, "mp4"),
    "video/x-flv": (_FILM, "mp4"),
    "video/x-ms-wmv": (_FILM, "mp4"),
    "audio/mpeg": (_RECORDING, "mp3"),
    "audio/mp4": (_RECORDING, "m4a"),
    "audio/aac": (_RECORDING, "m4a"),
    "audio/ogg": (_RECORDING, "ogg"),
    "audio/flac": (_RECORDING, "flac"),
    "audio/wav": (_RECORDING, "wav"),
    "audio/aiff": (_RECORDING, "wav"),
    "audio/webm": (_RECORDING, "opus"),
    "audio/x-matroska": (_RECORDING, "m4a"),
    "audio/x-ms-wma": (_RECORDING, "mp3"),
    "audio/amr": (_RECORDING, "mp3"),
    "application/pdf": (_PAPER, "pdf"),
    **dict.fromkeys(OFFICE_TYPES, (_OFFICE, "pdf")),
}


def is_convertible(content_type: str) -> bool:
    """Whether any runner of this machine reads files of this type."""
    return origin_of(content_type) is not None


def origin_of(content_type: str) -> Origin | None:
    """The kind of source that a file of this type is; None where nothing reads it."""
    found = _READ.get(content_type)
    if found is None or (found[0] is _OFFICE and find_office() is None):
        return None
    return found[0]


def kept_extension(content_type: str) -> str:
    """What a readable file becomes where no format is asked for: its own, if we write that."""
    return _READ[content_type][1]


def find_format(origin: Origin, extension: str, *, still: bool) -> Format | None:
    """The format to write; `still` tells a picture from an animation where both are meant."""
    fitting = [each for each in origin.outputs if each.extension == extension]
    if len(fitting) > 1:
        fitting = [each for each in fitting if (each.kind == PICTURE) == still]
    return fitting[0] if fitting else None
