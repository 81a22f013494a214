"""What is written: sizes and formats, the same bytes each time, metadata, animations, bytes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pytest
import pyvips
from PIL import Image, ImageSequence, TiffImagePlugin

from entrepot.core.conversions.recipes import recipe_to_document
from entrepot.core.conversions.runners.protocol import Refused
from tests.conversions.pictures import (
    QUARTERS,
    converted,
    converted_with_facts,
    corner_colours,
    near,
    opened,
    pixel,
    quarters,
    recipe,
    saved,
)

EXTENSIONS = ("jpg", "png", "webp", "avif", "tif", "gif", "heic", "pdf")
FORMS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF", "tif": "TIFF", "gif": "GIF"}
HALF = ("resize", {"percent": 50, "upscale": False})
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" tiff:Orientation="6"'
    ' photoshop:Credit="Agency &amp; Sons" photoshop:City="Secret City">'
    '<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© Jürgen 2024</rdf:li></rdf:Alt></dc:rights>'
    "<dc:creator><rdf:Seq><rdf:li>Jürgen</rdf:li><rdf:li>Eva</rdf:li></rdf:Seq></dc:creator>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
).encode()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tmp_path / "quarters", quarters())


def described(path: Path, *, turned: int = 1, xmp: bytes | None = None) -> Path:
    """A JPEG with a notice, a place, a camera and a thumbnail's worth of EXIF."""
    exif = Image.Exif()
    exif[0x0112], exif[0x8298], exif[0x013B], exif[0x0110] = turned, "(c) Eva", "Eva", "Camera 9"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    options = {"xmp": xmp} if xmp else {}
    return saved(path, quarters(), "JPEG", exif=exif, dpi=(240, 240), **options)


def animation(path: Path, form: str = "GIF") -> Path:
    frames = [Image.new("RGB", (60, 40), (40 * at, 0, 200 - 40 * at)) for at in range(4)]
    delays = [100, 200, 300, 400]
    return saved(
        path, frames[0], form, save_all=True, append_images=frames[1:], duration=delays, loop=0
    )


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_each_format_shows_the_picture(source: Path, extension: str) -> None:
    target, facts = converted_with_facts(source, extension, HALF)
    image = opened(target)
    assert (facts["width"], facts["height"]) == (120, 80)
    # PDFium draws the picture of a page, and rounds outwards.
    assert near(image.size, (120, 80), 1 if extension == "pdf" else 0)
    assert all(near(a, b, 10) for a, b in zip(corner_colours(image), QUARTERS, strict=True))
    if extension in FORMS:
        assert image.format == FORMS[extension]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_transparency_is_kept_or_laid_on_white(tmp_path: Path, extension: str) -> None:
    sheet = Image.new("RGBA", (64, 64), (0, 0, 255, 0))
    sheet.paste((200, 30, 30, 255), (0, 0, 32, 64))
    source = saved(tmp_path / "half", sheet)
    target, facts = converted_with_facts(source, extension)
    image = opened(target)
    if extension in ("jpg", "pdf"):
        assert facts["alpha"] is False
        assert near(pixel(image.convert("RGB"), 50, 30), (255, 255, 255))
    else:
        assert facts["alpha"] is True
        assert pixel(image.convert("RGBA"), 50, 30)[3] < 8
        assert pixel(image.convert("RGBA"), 10, 30)[3] > 247
    behind = opened(converted(source, extension, background="#00ff00ff")).convert("RGBA")
    assert near(pixel(behind, 50, 30), (0, 255, 0, 255), 8)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_the_same_bytes_each_time_and_in_each_process(tmp_path: Path, extension: str) -> None:
    source = described(tmp_path / "photo", turned=6, xmp=XMP)
    steps: tuple[tuple[str, Any], ...] = (
        HALF,
        ("rotate", 10),
        ("sharpen", {"sigma": 1, "amount": 1}),
    )
    known: dict[str, Any] = {"colorSpace": "srgb", "metadata": "copyright", "dpi": 300}
    first = converted(source, extension, *steps, **known).read_bytes()
    assert converted(source, extension, *steps, **known).read_bytes() == first
    program = (
        "import json, sys; from pathlib import Path\n"
        "from entrepot.core.conversions.port import Limits\n"
        "from entrepot.core.conversions.recipes import recipe_from_document\n"
        "from entrepot.core.conversions.runners.image import convert\n"
        "made = recipe_from_document(json.loads(sys.argv[1]))\n"
        "convert(Path(sys.argv[2]), made, Path(sys.argv[3]), Limits(), ())\n"
    )
    document = json.dumps(recipe_to_document(recipe(extension, *steps, **known)))
    other = tmp_path / "other"
    command = [sys.executable, "-c", program, document, str(source), str(other)]
    subprocess.run(command, check=True, timeout=60, env={"TZ": "Asia/Tokyo", "LANG": "C"})
    assert hashlib.sha256(other.read_bytes()).digest() == hashlib.sha256(first).digest()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "avif", "heic"])
def test_strip_leaves_nothing_but_the_picture(tmp_path: Path, extension: str) -> None:
    target = converted(described(tmp_path / "photo", turned=6, xmp=XMP), extension)
    data = target.read_bytes()
    for secret in (b"Eva", b"Camera 9", b"Secret City", b"GPS"):
        assert secret not in data
    assert 0x8825 not in opened(target).getexif()
    assert opened(target).size == (160, 240)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "avif", "heic"])
def test_copyright_keeps_whose_it_is_and_not_where(tmp_path: Path, extension: str) -> None:
    target = converted(described(tmp_path / "photo", turned=6), extension, metadata="copyright")
    exif = opened(target).getexif()
    assert (exif[0x8298].strip(), exif[0x013B].strip()) == ("(c) Eva", "Eva")
    assert exif.get(0x0112, 1) == 1
    assert 0x0110 not in exif
    assert not exif.get_ifd(0x8825)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "avif", "heic", "tif", "pdf"])
def test_copyright_of_xmp_travels_in_full(tmp_path: Path, extension: str) -> None:
    source = described(tmp_path / "photo", xmp=XMP)
    target = converted(source, extension, metadata="copyright")
    data = target.read_bytes()
    if extension == "png":  # which packs it
        data += str(opened(target).info["XML:com.adobe.xmp"]).encode("latin-1")
    for kept in ("© Jürgen 2024", "<rdf:li>Eva</rdf:li>", "Agency &amp; Sons"):
        assert kept.encode() in data
    assert b"Secret City" not in data


def test_copyright_of_iptc_is_found(tmp_path: Path) -> None:
    image = pyvips.Image.new_from_file(str(saved(tmp_path / "plain", quarters()))).copy()
    notice = b"\x1c\x02\x74\x00\x0b(c) Old One\x1c\x02\x50\x00\x05Maria\x1c\x02\x5a\x00\x04Rome"
    block = b"8BIM\x04\x04\0\0" + len(notice).to_bytes(4, "big") + notice + b"\0"
    image.set_type(pyvips.GValue.blob_type, "iptc-data", b"Photoshop 3.0\0" + block)
    image.jpegsave(str(tmp_path / "iptc"), keep="iptc")
    target = converted(tmp_path / "iptc", "jpg", metadata="copyright")
    exif = opened(target).getexif()
    assert (exif[0x8298].strip(), exif[0x013B].strip()) == ("(c) Old One", "Maria")
    assert b"Rome" not in target.read_bytes()


def test_keep_keeps_it_upright(tmp_path: Path) -> None:
    source = described(tmp_path / "photo", turned=6, xmp=XMP)
    image = opened(converted(source, "jpg", HALF, metadata="keep"))
    exif = image.getexif()
    assert image.size == (80, 120)
    assert exif.get(0x0112, 1) == 1
    assert exif[0x0110].strip() == "Camera 9"
    assert exif.get_ifd(0x8825)[1] == "N"
    assert b'tiff:Orientation="1"' in image.info["xmp"]
    assert b"Secret City" in image.info["xmp"]


def test_keep_drops_the_thumbnail_of_the_old_picture(tmp_path: Path) -> None:
    source = described(tmp_path / "photo")
    loaded = pyvips.Image.new_from_file(str(source)).copy()
    tiny = loaded.thumbnail_image(16).jpegsave_buffer(keep="none")
    loaded.set_type(pyvips.GValue.blob_type, "jpeg-thumbnail-data", tiny)
    loaded.jpegsave(str(tmp_path / "thumbed"))
    assert bytes(tiny) in (tmp_path / "thumbed").read_bytes()
    target = converted(tmp_path / "thumbed", "jpg", ("flip", "h"), metadata="keep")
    assert bytes(tiny) not in target.read_bytes()


def test_a_wild_xmp_is_no_harm(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;&b;</a>'
    for wild in (bomb, b"<broken", b"\0\xff" * 50):
        source = described(tmp_path / "photo", xmp=wild)
        image = opened(converted(source, "jpg", metadata="copyright"))
        assert image.getexif()[0x8298].strip() == "(c) Eva"


@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
def test_dpi_is_noted_and_changes_no_pixel(source: Path, extension: str) -> None:
    target = converted(source, extension, dpi=300)
    image = opened(target)
    assert image.size == (240, 160)
    if extension != "webp":  # which has no place for it
        assert near([float(part) for part in image.info["dpi"]], (300, 300), 0.5)


def test_a_page_has_the_size_that_the_density_gives(source: Path) -> None:
    for dpi, size in ((None, (115.2, 76.8)), (300, (57.6, 38.4)), (72, (240, 160))):
        known: dict[str, Any] = {} if dpi is None else {"dpi": dpi}
        with pypdfium2.PdfDocument(converted(source, "pdf", **known)) as document:
            assert len(document) == 1
            assert near(document[0].get_size(), size, 0.1)
            drawn = document[0].render(scale=1).to_pil()
    assert all(near(a, b, 8) for a, b in zip(corner_colours(drawn), QUARTERS, strict=True))


def test_quality_matters(tmp_path: Path) -> None:
    noise = saved(tmp_path / "noise", Image.effect_noise((200, 200), 60))
    for extension in ("jpg", "webp", "avif", "heic", "pdf"):
        sizes = [
            converted(noise, extension, quality=quality).stat().st_size for quality in (20, 90)
        ]
        assert sizes[0] * 1.5 < sizes[1]


@pytest.mark.parametrize("extension", ["jpg", "webp", "avif", "heic"])
def test_bytes_are_met_by_the_best_quality_that_fits(tmp_path: Path, extension: str) -> None:
    noise = saved(tmp_path / "noise", Image.effect_noise((160, 160), 60))
    large = converted(noise, extension, quality=85).stat().st_size
    most = large * 6 // 10
    target, facts = converted_with_facts(noise, extension, quality=85, maxBytes=most)
    assert most // 2 < target.stat().st_size <= most
    quality = facts["quality"]
    assert isinstance(quality, int) and 10 <= quality < 85
    assert converted(noise, extension, quality=quality).stat().st_size <= most
    with pytest.raises(Refused) as refusal:
        converted(noise, extension, quality=85, maxBytes=1000)
    assert refusal.value.code == "max-bytes"


@pytest.mark.parametrize("came", ["GIF", "WEBP"])
@pytest.mark.parametrize("extension", ["gif", "webp"])
def test_animations_stay_animations(tmp_path: Path, came: str, extension: str) -> None:
    source = animation(tmp_path / "moving", came)
    steps = (("resize", {"width": 30, "height": 30, "fit": "pad", "upscale": False}), ("flip", "v"))
    target, facts = converted_with_facts(source, extension, *steps)
    with Image.open(target) as image:
        frames = [frame.convert("RGBA") for frame in ImageSequence.Iterator(image)]
    assert len(frames) == 4 == facts["frames"]
    assert facts["duration_seconds"] == 1.0
    assert {frame.size for frame in frames} == {(30, 30)}
    for at, frame in enumerate(frames):
        assert near(pixel(frame, 15, 15)[:3], (40 * at, 0, 200 - 40 * at), 20)
        assert pixel(frame, 15, 1)[3] == 0
    # Read by libvips: Pillow tells the delays of GIF only.
    strip = pyvips.Image.new_from_file(str(target), n=-1)
    assert strip.get("delay") == [100, 200, 300, 400]
    assert strip.get("loop") == 0


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "avif"])
def test_of_an_animation_a_still_shows_the_first_frame(tmp_path: Path, extension: str) -> None:
    target, facts = converted_with_facts(animation(tmp_path / "moving"), extension)
    image = opened(target)
    assert image.size == (60, 40)
    assert "frames" not in facts
    assert near(pixel(image.convert("RGB"), 30, 20), (0, 0, 200), 8)


def test_frames_are_cut_alike(tmp_path: Path) -> None:
    """Where the first frame decides, the others follow: none may have another size."""
    frames = [Image.new("RGB", (60, 40), (255, 255, 255)) for _ in range(3)]
    for at, frame in enumerate(frames):
        frame.paste((200, 0, 0), (10 + 8 * at, 10, 30 + 8 * at, 30))
    source = saved(
        tmp_path / "moving", frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50
    )
    with Image.open(converted(source, "gif", ("trim", {"threshold": 20}))) as image:
        assert image.size == (20, 20)
        assert getattr(image, "n_frames", 1) == 3


def test_a_page_or_a_frame_in_a_gif_has_no_delay(tmp_path: Path) -> None:
    stack = [quarters().convert("L") for _ in range(3)]
    source = saved(tmp_path / "pages", stack[0], "TIFF", save_all=True, append_images=stack[1:])
    image = opened(converted(source, "gif"))
    assert image.size == (240, 160)
    assert getattr(image, "n_frames", 1) == 1
    pages = opened(converted(source, "tif"))
    assert isinstance(pages, TiffImagePlugin.TiffImageFile)
    assert pages.n_frames == 1


def test_sides_that_a_format_cannot_hold_are_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "long", Image.new("L", (20_000, 2)))
    with pytest.raises(Refused) as refusal:
        converted(source, "webp")
    assert refusal.value.code == "media-too-large"
    assert "16,383" in refusal.value.message
    assert opened(converted(source, "png")).size == (20_000, 2)


def test_formats_that_are_none_are_refused(source: Path) -> None:
    with pytest.raises(Refused) as refusal:
        converted(source, "mp4")
    assert refusal.value.code == "media-unsupported"


def test_the_libraries_are_loaded_by_the_first_item_only() -> None:
    program = (
        "import sys; from entrepot.core.conversions.runners import image\n"
        "sys.exit(any(name in sys.modules for name in ('pyvips', 'PIL', 'pillow_heif')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
