"""Media files to order: drawn, sounded and filmed here, since nothing else is sure to be there.

The same version of this hub with the same libraries gives the same bytes.
"""

import io
import math
import struct
import subprocess
import tempfile
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrepot.errors import Unavailable

_DPI = 150
_SECONDS = 4
_FILM_SECONDS_MAX = 60
_TONE_HERTZ = 16_000


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file of the sample world. `product` None: for everyone who signs in."""

    file_name: str
    titles: Mapping[str, str]
    folder: str
    product: str | None
    make: Callable[[], bytes]
    facts: Mapping[str, Any]

    @property
    def identifier(self) -> str:
        """Lasting, and easy to type: sample-dunes."""
        return f"sample-{self.file_name.partition('.')[0]}"


def _landscape(width: int, height: int, tint: tuple[int, int, int]) -> Any:
    """Sky, sun and dunes in three colours that run into each other."""
    from PIL import Image, ImageChops, ImageDraw

    sky = Image.linear_gradient("L").resize((width, height))
    bands = [
        sky.point([min(255, (level + 120) * part // 260) for level in range(256)]) for part in tint
    ]
    picture = Image.merge("RGB", bands)
    disc = Image.radial_gradient("L").resize((height // 2, height // 2))
    sun = disc.point([min(255, level * 3 // 2) for level in range(256)])  # nothing at its edges
    glow = Image.new("L", (width, height), 0)
    glow.paste(ImageChops.invert(sun), (width * 3 // 5, height // 8))
    picture = Image.composite(Image.new("RGB", picture.size, (255, 244, 214)), picture, glow)
    draw = ImageDraw.Draw(picture)
    for row in range(1, 6):
        line = [
            (x, height * (row + 4) // 10 + int(math.sin(x / 90 + row * 2) * height / (14 + row)))
            for x in range(0, width + 1, 4)
        ]
        shade = tuple(max(0, part - 32 * row) for part in tint)
        draw.polygon([(0, height), *line, (width, height)], fill=shade)
    return picture


def _photo(width: int, height: int, tint: tuple[int, int, int], form: str) -> Callable[[], bytes]:
    def make() -> bytes:
        return _saved(_landscape(width, height, tint), form, quality=88, dpi=(_DPI, _DPI))

    return make


def _logo() -> bytes:
    """Transparent around a mark."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGBA", (800, 800), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 40, 760, 760), fill=(20, 74, 92, 255))
    for at in range(3):
        top = 240 + at * 130
        draw.rounded_rectangle((220, top, 580, top + 90), 24, fill=(244, 180, 60, 255 - at * 60))
    return _saved(picture, "PNG", dpi=(_DPI, _DPI))


def _saved(picture: Any, form: str, **options: Any) -> bytes:
    raw = io.BytesIO()
    picture.save(raw, form, **options)
    return raw.getvalue()


_PAGES = (
    ("Sample brochure", "A document of three pages,", "made for the sandbox of a hub."),
    ("Second page", "Order it as it is,", "or its first page as a picture."),
    ("Last page", "What is ordered together", "comes in one ZIP."),
)


def _brochure() -> bytes:
    """A PDF with text on three A5 pages (ISO 32000-1, section 7.5)."""
    pages = [4 + 2 * number for number in range(len(_PAGES))]
    kids = " ".join(f"{page} 0 R" for page in pages)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page, lines in zip(pages, _PAGES, strict=True):
        text = " ".join(f"({line}) Tj 0 -32 Td" for line in lines)
        content = f"0.08 0.29 0.36 rg 0 480 420 115 re f 0 g BT /F1 20 Tf 48 430 Td {text} ET"
        resources = f"/Resources << /Font << /F1 3 0 R >> >> /Contents {page + 1} 0 R"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] {resources} >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    written, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    count = len(objects) + 1
    trailer = f"xref\n0 {count}\n0000000000 65535 f \n{table}"
    trailer += f"trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{len(written)}\n%%EOF\n"
    return written + trailer.encode()


def _chime() -> bytes:
    """Three tones that die away, as WAV."""
    frames = bytearray()
    for at in range(_TONE_HERTZ * _SECONDS):
        second = at / _TONE_HERTZ
        level = sum(
            math.sin(2 * math.pi * hertz * second) * math.exp(-2 * (second - start))
            for hertz, start in ((523.25, 0.0), (659.25, 1.0), (783.99, 2.0))
            if second >= start
        )
        frames += struct.pack("<h", int(level * 9_000))
    raw = io.BytesIO()
    with wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_TONE_HERTZ)
        file.writeframes(bytes(frames))
    return raw.getvalue()


def _film() -> bytes:
    """A moving test picture with a tone, as MP4."""
    import imageio_ffmpeg  # type: ignore[import-untyped]

    inputs = [
        *("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate=25:duration={_SECONDS}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:duration={_SECONDS}"),
    ]
    coding = [
        *("-c:v", "libx264", "-threads", "1", "-preset", "veryfast", "-crf", "30"),
        *("-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart"),
        *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
    ]
    with tempfile.TemporaryDirectory(prefix="entrepot-film-") as folder:
        target = Path(folder) / "film.mp4"
        program = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-threads", "1"]
        try:
            made = subprocess.run(  # noqa: S603 - our own command, without a shell
                [*program, *inputs, *coding, str(target)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_FILM_SECONDS_MAX,
                check=False,
            )
            if not made.returncode:
                return target.read_bytes()
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _incomplete(str(error)) from error
    raise _incomplete(made.stderr.decode(errors="replace").strip()[:200])


def _incomplete(reason: str) -> Unavailable:
    return Unavailable(
        f"The sample video cannot be made: {reason}.",
        code="installation-incomplete",
        remedy="Install the package `entrepot[server]` again, with pip.",
    )


_PRODUCT = "EP100"  # every organisation of the sandbox has it
_TEAL, _SAND, _VIOLET = (90, 170, 190), (214, 160, 96), (150, 110, 190)
SAMPLE_FILES = (
    SampleFile(
        "dunes.jpg",
        {"en-US": "Dunes", "de": "D\u00fcnen", "ja": "\u7802\u4e18"},
        "photos",
        None,
        _photo(2400, 1600, _SAND, "JPEG"),
        {"width": 2400, "height": 1600},
    ),
    SampleFile(
        "bay.jpg",
        {"en-US": "Bay in the morning", "de": "Bucht am Morgen"},
        "photos",
        None,
        _photo(1600, 2400, _TEAL, "JPEG"),
        {"width": 1600, "height": 2400},
    ),
    SampleFile(
        "dusk.webp",
        {"en-US": "Dusk"},
        "photos",
        _PRODUCT,
        _photo(1280, 720, _VIOLET, "WEBP"),
        {"width": 1280, "height": 720},
    ),
    SampleFile(
        "mark.png",
        {"en-US": "Mark, transparent"},
        "brand",
        None,
        _logo,
        {"width": 800, "height": 800},
    ),
    SampleFile(
        "scan.tif",
        {"en-US": "Scan"},
        "brand",
        _PRODUCT,
        _photo(900, 600, _TEAL, "TIFF"),
        {"width": 900, "height": 600},
    ),
    SampleFile(
        "brochure.pdf",
        {"en-US": "Brochure", "de": "Prospekt"},
        "documents",
        None,
        _brochure,
        {"pages": len(_PAGES)},
    ),
    SampleFile(
        "film.mp4",
        {"en-US": "Test film"},
        "films",
        _PRODUCT,
        _film,
        {"width": 640, "height": 360, "duration_seconds": _SECONDS, "fps": 25},
    ),
    SampleFile(
        "chime.wav",
        {"en-US": "Chime"},
        "sounds",
        None,
        _chime,
        {"duration_seconds": _SECONDS},
    ),
)
