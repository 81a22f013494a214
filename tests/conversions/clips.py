"""Videos, sounds and PDFs made for the tests, and recipes as the runners get them."""

import subprocess
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg  # type: ignore[import-untyped]
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image

from entrepot.core.conversions.port import MEBIBYTE, Limits
from entrepot.core.conversions.recipes import Recipe, Step

LIMITS = Limits(
    pixels_max=4_000_000,
    pages_max=20,
    frames_max=2_000,
    duration_seconds_max=60,
    output_bytes_max=16 * MEBIBYTE,
)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# Red above blue, with green on the right of both: shows turns, mirrors and cuts.
FLAG = (
    "color=red:s={w}x{h}:r={r}:d={d},format=rgb24,drawbox=y=ih/2:w=iw:h=ih/2:c=blue:t=fill,"
    "drawbox=x=iw*3/4:w=iw/4:h=ih:c=lime:t=fill"
)
TONE = "sine=440:d={d}:sample_rate=44100"


def ffmpeg(*arguments: str) -> None:
    """The wheel's ffmpeg with all that it can read, for making sources."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run(
        [program, "-nostdin", "-loglevel", "error", "-y", *arguments],
        check=True,
        capture_output=True,
        timeout=60,
    )


@cache
def make(
    suffix: str = "mp4",
    *more: str,
    picture: bool = True,
    sound: bool = True,
    width: int = 160,
    height: int = 120,
    rate: int = 10,
    seconds: float = 1.5,
    before: tuple[str, ...] = (),
    graph: str = FLAG,
) -> bytes:
    """A small file; `more` are options of ffmpeg for it, `before` those before its input."""
    import tempfile

    fields = {"w": width, "h": height, "r": rate, "d": seconds}
    inputs: list[str] = []
    for wanted, lavfi in ((picture, graph), (sound, TONE)):
        inputs += ["-f", "lavfi", "-i", lavfi.format(**fields)] if wanted else []
    if suffix in ("mp4", "mov") and picture and "-c:v" not in more:
        more = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12",
                "-vf", "scale=out_color_matrix=bt709,format=yuv420p", "-colorspace", "bt709",
                *more)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"made.{suffix}"
        ffmpeg(*before, *inputs, *more, str(made))
        return made.read_bytes()


def video(extension: str = "mp4", *steps: Step, metadata: str = "strip", **value: Any) -> Recipe:
    """A recipe for a video or animation; `value` over the defaults of the step `video`."""
    codec, sound = {"webm": ("vp9", "opus"), "gif": ("gif", None)}.get(extension, ("h264", "aac"))
    full = {
        "codec": codec,
        "fps": None,
        "crf": None if extension == "gif" else 23,
        "bitrate_kbps": None,
        "start_seconds": 0,
        "duration_seconds": None,
        "mute": False,
        "audio_codec": sound,
        "audio_bitrate_kbps": 96 if sound else None,
    }
    settings = (Step("metadata", metadata), Step("video", full | value))
    return Recipe("video", (*steps, *settings), extension, f"video/{extension}")


def audio(extension: str, *, metadata: str = "strip", **value: Any) -> Recipe:
    """A recipe for a sound; `value` over the defaults of the step `audio`."""
    codec = {"m4a": "aac", "ogg": "vorbis", "wav": "pcm"}.get(extension, extension)
    full = {
        "codec": codec,
        "bitrate_kbps": None if codec in ("flac", "pcm") else 96,
        "channels": None,
        "sample_rate_hz": None,
        "start_seconds": 0,
        "duration_seconds": None,
    }
    settings = (Step("metadata", metadata), Step("audio", full | value))
    return Recipe("audio", settings, extension, f"audio/{extension}")


def picture(runner: str, extension: str, *steps: Step, **settings: object) -> Recipe:
    """A recipe for a picture out of a video (frame=...) or document (page=...)."""
    ordered = [
        *(Step(name, value) for name, value in settings.items()),
        Step("colorSpace", "srgb"),
        Step("colorProfile", "embed"),
        Step("metadata", "strip"),
        *([Step("quality", 95)] if extension in ("jpg", "webp") else []),
    ]
    return Recipe(runner, (*steps, *ordered), extension, f"image/{extension}")


def resize(
    width: int | None, height: int | None, fit: str = "inside", *, upscale: bool = False
) -> Step:
    """The normalised step."""
    return Step("resize", {"width": width, "height": height, "fit": fit, "upscale": upscale})


def colour_at(path: Path, x: float, y: float, *, frame: int = 0) -> tuple[int, int, int]:
    """The colour at a part (0..1) of the width and height of a video's frame."""
    with av.open(str(path)) as opened:
        for number, each in enumerate(opened.decode(video=0)):
            if number == frame:
                shown = each.to_image()  # type: ignore[no-untyped-call]
                at = (int(x * (shown.width - 1)), int(y * (shown.height - 1)))
                pixel = shown.convert("RGB").getpixel(at)
                assert isinstance(pixel, tuple)
                return pixel[0], pixel[1], pixel[2]
    raise AssertionError(f"there is no frame {frame}")


def near(colour: tuple[int, ...], wanted: tuple[int, int, int], *, by: int = 12) -> bool:
    """Whether two colours look alike, lossy coding allowed for."""
    return all(abs(one - other) <= by for one, other in zip(colour, wanted, strict=False))


def make_pdf(*sizes: tuple[float, float], title: str = "") -> bytes:
    """A PDF with pages of these sizes in points: red above blue, on white paper around."""
    document = pypdfium2.PdfDocument.new()
    for width, height in sizes:
        page = document.new_page(width, height)
        for colour, bottom in ((RED, height / 2), (BLUE, height / 4)):
            box = pypdfium2.PdfImage.new(document)
            box.set_bitmap(pypdfium2.PdfBitmap.from_pil(Image.new("RGB", (8, 8), colour)))
            matrix = pypdfium2.PdfMatrix().scale(width / 2, height / 4)
            box.set_matrix(matrix.translate(width / 4, bottom))
            page.insert_obj(box)
        page.gen_content()
    kept = BytesIO()
    document.save(kept)
    return kept.getvalue().replace(b"/Creator(PDFium)", b"/Title(" + title.encode() + b")")
