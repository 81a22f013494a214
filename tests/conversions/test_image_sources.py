"""What is read: orientation first, every source format, damage and limits refused, facts."""

import io
from dataclasses import replace
from pathlib import Path

import pillow_heif
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from entrepot.core.conversions.runners.image import probe
from entrepot.core.conversions.runners.protocol import Refused
from tests.conversions.pictures import (
    BLUE,
    GREEN,
    LIMITS,
    QUARTERS,
    RED,
    WHITE,
    converted,
    corner_colours,
    near,
    opened,
    pixel,
    quarters,
    saved,
)

# What the four quarters must have been so that each orientation (EXIF 2.32, 4.6.4) rights them.
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
INSIDE = ("resize", {"width": 600, "height": 600, "fit": "inside", "upscale": False})
SVG = """<?xml version="1.0"?>
<!-- four quarters -->
<svg xmlns="http://www.w3.org/2000/svg" width="24" height="16" viewBox="0 0 24 16">
<rect width="12" height="8" fill="rgb(200,30,30)"/>
<rect x="12" width="12" height="8" fill="rgb(30,160,40)"/>
<rect y="8" width="12" height="8" fill="rgb(40,50,190)"/></svg>"""


def turned(path: Path, orientation: int, size: tuple[int, int] = (240, 160)) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = TURNS[orientation]
    image = quarters(*size) if turn is None else quarters(*size).transpose(turn)
    return saved(path, image, "JPEG", exif=exif, quality=95)


@pytest.mark.parametrize("orientation", sorted(TURNS))
def test_orientation_comes_first(tmp_path: Path, orientation: int) -> None:
    source = turned(tmp_path / "turned", orientation)
    part = {"kind": "custom", "left": 0, "top": 0, "width": 120, "height": 80}
    corner = opened(converted(source, "png", ("crop", part)))
    assert near(pixel(corner, 60, 40), RED, 8)
    whole = opened(converted(source, "jpg", metadata="keep"))
    assert whole.size == (240, 160)
    assert all(near(a, b, 8) for a, b in zip(corner_colours(whole), QUARTERS, strict=True))
    assert whole.getexif().get(0x0112, 1) == 1
    facts = probe(source, "image/jpeg", LIMITS)
    assert (facts["width"], facts["height"], facts["orientation"]) == (240, 160, orientation)


@pytest.mark.parametrize("orientation", sorted(TURNS))
def test_orientation_holds_where_the_decoder_shrinks(tmp_path: Path, orientation: int) -> None:
    source = turned(tmp_path / "large", orientation, (1600, 1000))
    for value, size in (
        ({"width": 200, "height": None, "fit": "inside", "upscale": False}, (200, 125)),
        ({"width": 100, "height": 20, "fit": "fill", "upscale": False}, (100, 20)),
        ({"width": 90, "height": 90, "fit": "cover", "upscale": False}, (90, 90)),
    ):
        image = opened(converted(source, "png", ("resize", value), ("blur", 0.3)))
        assert image.size == size
        assert all(near(a, b, 9) for a, b in zip(corner_colours(image), QUARTERS, strict=True))


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000", "HEIF"]
)
def test_each_source_format_is_read(tmp_path: Path, form: str) -> None:
    source = tmp_path / "named-without-extension"
    if form == "HEIF":
        pillow_heif.from_pillow(quarters()).save(source, quality=95)
    else:
        saved(source, quarters(), form)
    image = opened(converted(source, "png"))
    assert image.size == (240, 160)
    assert all(near(a, b, 14) for a, b in zip(corner_colours(image), QUARTERS, strict=True))
    facts = probe(source, "image/whatever", LIMITS)
    assert (facts["width"], facts["height"]) == (240, 160)
    assert facts["colour_space"] == "rgb"


def test_heic_keeps_profile_notice_and_direction(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x0112] = "(c) Eva", 6
    image = quarters().transpose(Image.Transpose.ROTATE_90)
    pillow_heif.from_pillow(image).save(tmp_path / "phone", exif=exif.tobytes(), quality=95)
    result = opened(converted(tmp_path / "phone", "jpg", metadata="keep"))
    assert result.getexif()[0x8298].strip() == "(c) Eva"
    assert result.getexif().get(0x0112, 1) == 1
    assert result.size == (240, 160)
    assert all(near(a, b, 14) for a, b in zip(corner_colours(result), QUARTERS, strict=True))


def test_svg_is_drawn_at_the_size_asked_for(tmp_path: Path) -> None:
    (tmp_path / "drawing").write_text(SVG)
    image = opened(converted(tmp_path / "drawing", "png", INSIDE))
    assert image.size == (600, 400)
    assert corner_colours(image)[:3] == [RED, GREEN, BLUE]
    assert pixel(image, 450, 300)[3] == 0
    # Drawn, not enlarged: the edge is one pixel wide at most.
    assert pixel(image, 298, 100)[:3] == RED
    assert pixel(image, 301, 100)[:3] == GREEN
    assert opened(converted(tmp_path / "drawing", "png")).size == (24, 16)
    after = opened(converted(tmp_path / "drawing", "jpg", ("saturation", -100), INSIDE))
    assert after.size == (600, 400)
    red, green, blue = pixel(after, 100, 100)
    assert near((red, green), (blue, blue), 2)
    assert near(pixel(after, 450, 300), WHITE, 2)


def test_svg_sees_nothing_beside_itself(tmp_path: Path) -> None:
    saved(tmp_path / "secret.png", Image.new("RGB", (24, 16), RED))
    picture = f'<image href="file://{tmp_path}/secret.png" width="24" height="16"/>'
    near_by = '<image href="secret.png" width="24" height="16"/>'
    entity = '<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    (tmp_path / "drawing").write_text(
        f"{entity}<svg xmlns='http://www.w3.org/2000/svg' width='24' height='16'>"
        f"{picture}{near_by}<text y='9'>&e;</text></svg>"
    )
    try:
        image = opened(converted(tmp_path / "drawing", "png")).convert("RGBA")
    except Refused as refusal:
        assert refusal.code == "media-damaged"  # what does not resolve may end it, too
    else:
        width, height = image.size
        seen = {pixel(image, x, y) for x in range(width) for y in range(height)}
        assert not [colour for colour in seen if near(colour, (*RED, 255))]


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    noise = Image.effect_noise((300, 300), 80).convert("RGB")
    for form in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000"):
        source = saved(tmp_path / form, noise, form)
        data = source.read_bytes()
        source.write_bytes(data[: len(data) * 6 // 10])
        for steps in ((), (INSIDE,), (("rotate", 90),)):
            with pytest.raises(Refused) as refusal:
                converted(source, "png", *steps)
            assert refusal.value.code == "media-damaged", form
            assert str(tmp_path) not in refusal.value.message


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    for content, code in (
        (b"", "media-damaged"),
        (b"#EXTM3U\nhttp://example.com/a.ts\n", "media-unsupported"),
        (b"%PDF-1.4\n%%EOF", "media-unsupported"),
        (b"<html><body><svg></svg></body></html>", "media-unsupported"),
        (b"\xff\xd8\xff\xe0 and then nothing", "media-damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "media-damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "media-damaged"),
    ):
        (tmp_path / "file").write_bytes(content)
        for act in (
            lambda: converted(tmp_path / "file", "png"),
            lambda: probe(tmp_path / "file", "image/png", LIMITS),
        ):
            with pytest.raises(Refused) as refusal:
                act()
            assert refusal.value.code == code


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path) -> None:
    """A bomb: 30 KB of PNG that would be 900 MB."""
    pyvips.Image.black(30_000, 30_000).pngsave(str(tmp_path / "bomb"), compression=9, bitdepth=1)
    assert (tmp_path / "bomb").stat().st_size < 1_000_000
    for steps in ((), (INSIDE,)):
        with pytest.raises(Refused) as refusal:
            converted(tmp_path / "bomb", "png", *steps)
        assert refusal.value.code == "media-too-large"
        assert "30000 x 30000" in refusal.value.message
    (tmp_path / "huge").write_text(SVG.replace('"24" height="16"', '"24000" height="16000"'))
    with pytest.raises(Refused):
        converted(tmp_path / "huge", "png")


def test_frames_and_pages_are_counted(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), (at, 0, 0)) for at in range(8)]
    source = saved(tmp_path / "many", frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(Refused) as refusal:
        converted(source, "gif", limits=replace(LIMITS, frames_max=7))
    assert refusal.value.code == "media-too-large"
    with pytest.raises(Refused):
        converted(source, "gif", limits=replace(LIMITS, pixels_max=20 * 20 * 7))
    assert opened(converted(source, "png", limits=replace(LIMITS, pixels_max=20 * 20))).size
    stack = saved(tmp_path / "stack", frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(Refused):
        converted(stack, "png", limits=replace(LIMITS, pages_max=7))


def test_memory_and_output_have_limits(tmp_path: Path) -> None:
    source = saved(tmp_path / "noise", Image.effect_noise((400, 400), 80).convert("RGB"))
    with pytest.raises(Refused) as refusal:
        converted(source, "png", limits=replace(LIMITS, memory_bytes_max=500_000))
    assert refusal.value.code == "media-too-large"
    with pytest.raises(Refused) as refusal:
        converted(source, "png", limits=replace(LIMITS, output_bytes_max=10_000))
    assert refusal.value.code == "media-too-large"


def test_facts(tmp_path: Path) -> None:
    p3 = pyvips.Image.black(8, 4, bands=3).cast("uchar").copy(interpretation="srgb")
    p3.icc_transform("p3", input_profile="srgb").pngsave(str(tmp_path / "p3"))
    facts = probe(tmp_path / "p3", "image/png", LIMITS)
    assert "P3" in str(facts["colour_profile"])
    assert facts == facts | {"codec": "png", "width": 8, "height": 4, "bits": 8, "alpha": False}
    cmyk = saved(tmp_path / "cmyk", Image.new("CMYK", (8, 8)), "JPEG", dpi=(300, 300))
    assert probe(cmyk, "image/jpeg", LIMITS) == {
        "codec": "jpeg",
        "width": 8,
        "height": 8,
        "orientation": 1,
        "bits": 8,
        "alpha": False,
        "colour_space": "cmyk",
        "dpi": 300,
        "pages": 1,
    }
    frames = [Image.new("RGB", (20, 20), (60 * at, 0, 0)) for at in range(3)]
    moving = saved(
        tmp_path / "moving", frames[0], "GIF", save_all=True, append_images=frames[1:], duration=500
    )
    facts = probe(moving, "image/gif", LIMITS)
    assert (facts["frames"], facts["duration_seconds"]) == (3, 1.5)
    (tmp_path / "drawing").write_text(SVG)
    facts = probe(tmp_path / "drawing", "image/svg+xml", LIMITS)
    assert (facts["codec"], facts["width"], facts["alpha"]) == ("svg", 24, True)
    deep = pyvips.Image.black(8, 8).cast("ushort").copy(interpretation="grey16")
    deep.tiffsave(str(tmp_path / "deep"))
    facts = probe(tmp_path / "deep", "image/tiff", LIMITS)
    assert (facts["bits"], facts["colour_space"]) == (16, "gray")


def _seed(form: str) -> bytes:
    made = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(made, form)
    return made.getvalue()


@settings(max_examples=120, deadline=None)
@given(
    form=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_flipped_bytes_give_a_picture_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, form: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(_seed(form))
    for at, value in changes:
        data[at % len(data)] = value
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "file").write_bytes(data)
    try:
        converted(folder / "file", "png", INSIDE)
    except Refused as refusal:
        assert refusal.message
