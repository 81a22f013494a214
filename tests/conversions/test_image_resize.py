"""resize: every fit, never larger unless asked, and reading no more than needed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from entrepot.core.conversions.runners.image.sizes import resized
from entrepot.core.conversions.runners.protocol import Refused
from tests.conversions.pictures import (
    QUARTERS,
    WHITE,
    converted,
    corner_colours,
    near,
    opened,
    pixel,
    quarters,
    saved,
)


def box(
    width: int | None, height: int | None, fit: str = "inside", *, upscale: bool = False
) -> dict[str, Any]:
    return {"width": width, "height": height, "fit": fit, "upscale": upscale}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tmp_path / "quarters", quarters())


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (box(120, 120), (120, 80)),
        (box(120, 120, "contain"), (120, 80)),
        (box(120, None), (120, 80)),
        (box(None, 40), (60, 40)),
        (box(120, 120, "outside"), (180, 120)),
        (box(120, 120, "cover"), (120, 120)),
        (box(120, 120, "pad"), (120, 120)),
        (box(120, 30, "fill"), (120, 30)),
        ({"percent": 50, "upscale": False}, (120, 80)),
        ({"percent": 12.5, "upscale": False}, (30, 20)),
        # Nothing grows unless asked for.
        (box(480, 480), (240, 160)),
        (box(480, 480, "outside"), (240, 160)),
        (box(480, 480, "pad"), (480, 480)),
        (box(480, 80, "fill"), (240, 80)),
        (box(480, 480, "cover"), (160, 160)),
        ({"percent": 200, "upscale": False}, (240, 160)),
        (box(480, 480, upscale=True), (480, 320)),
        (box(480, 480, "outside", upscale=True), (720, 480)),
        (box(480, 480, "cover", upscale=True), (480, 480)),
        (box(480, 80, "fill", upscale=True), (480, 80)),
        ({"percent": 200, "upscale": True}, (480, 320)),
    ],
)
def test_each_fit_gives_its_size(
    source: Path, value: dict[str, Any], size: tuple[int, int]
) -> None:
    image = opened(converted(source, "png", ("resize", value)))
    assert image.size == size


def test_inside_keeps_the_whole_picture(source: Path) -> None:
    image = opened(converted(source, "png", ("resize", box(60, 60))))
    assert all(map(near, corner_colours(image), QUARTERS))


def test_pad_centres_on_transparency_or_white_or_the_background(source: Path) -> None:
    step = ("resize", box(100, 100, "pad"))
    clear = opened(converted(source, "png", step))
    assert clear.mode == "RGBA"
    assert pixel(clear, 50, 3)[3] == 0
    assert pixel(clear, 25, 30)[3] == 255
    assert near(pixel(opened(converted(source, "jpg", step)), 50, 3), WHITE)
    green = opened(converted(source, "png", step, background="#00ff00ff"))
    assert pixel(green.convert("RGB"), 50, 3) == (0, 255, 0)
    half = opened(converted(source, "jpg", step, background="#00000080"))
    assert near(pixel(half, 50, 3), (127, 127, 127))


def test_pad_without_upscale_leaves_the_picture_as_it_is(source: Path) -> None:
    image = opened(converted(source, "png", ("resize", box(400, 400, "pad")))).convert("RGBA")
    opaque = image.getchannel("A").getbbox()
    assert opaque == (80, 120, 320, 280)


def test_cover_cuts_around_the_centre(source: Path) -> None:
    image = opened(converted(source, "png", ("resize", box(20, 80, "cover"))))
    assert image.size == (20, 80)
    assert all(map(near, corner_colours(image), QUARTERS))


def test_transparent_pixels_do_not_bleed(tmp_path: Path) -> None:
    """A white disc on transparent black keeps a white edge."""
    sheet = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    sheet.paste((255, 255, 255, 255), (50, 50, 151, 151))
    image = opened(converted(saved(tmp_path / "disc", sheet), "png", ("resize", box(67, 67))))
    seen = [pixel(image, x, 33) for x in range(67)]
    assert any(0 < value[3] < 255 for value in seen)
    assert all(min(value[:3]) > 250 for value in seen if value[3] > 8)


def test_a_large_jpeg_is_shrunk_by_the_decoder_to_the_very_size(tmp_path: Path) -> None:
    big = quarters(1601, 1203)
    source = saved(tmp_path / "big", big, "JPEG", quality=95)
    for edge in (1000, 401, 150, 100, 33):
        image = opened(converted(source, "png", ("resize", box(edge, edge))))
        assert image.size == (edge, round(1203 * edge / 1601))
        assert all(map(near, corner_colours(image), QUARTERS))


def test_a_large_webp_and_a_large_avif_too(tmp_path: Path) -> None:
    for form in ("WEBP", "AVIF"):
        source = saved(tmp_path / form, quarters(800, 600), form, quality=95)
        image = opened(converted(source, "png", ("resize", box(99, 99))))
        assert image.size == (99, 74)
        assert all(near(a, b, 12) for a, b in zip(corner_colours(image), QUARTERS, strict=True))


def test_the_second_resize_starts_from_the_first(source: Path) -> None:
    steps = (("resize", box(60, None)), ("resize", {"percent": 50, "upscale": False}))
    assert opened(converted(source, "png", *steps)).size == (30, 20)


@pytest.mark.parametrize("orientation", [1, 6])
def test_what_comes_before_the_resize_counts(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = saved(tmp_path / "photo", quarters(800, 800), "JPEG", exif=exif)
    (tmp_path / "drawing").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="800"></svg>'
    )
    part = {"kind": "custom", "left": 0, "top": 0, "width": 400, "height": 200}
    for path in (source, tmp_path / "drawing"):
        for value, size in (
            (box(100, 100), (100, 50)),
            (box(600, 600), (400, 200)),
            ({"percent": 50, "upscale": False}, (200, 100)),
        ):
            image = opened(converted(path, "png", ("crop", part), ("resize", value)))
            assert image.size == size


def test_more_pixels_than_allowed_are_refused_before_they_are_made(source: Path) -> None:
    with pytest.raises(Refused) as refusal:
        converted(source, "png", ("resize", box(20_000, 20_000, "fill", upscale=True)))
    assert refusal.value.code == "media-too-large"


@settings(max_examples=200)
@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    wide=st.integers(1, 5000),
    high=st.integers(1, 5000),
    fit=st.sampled_from(["inside", "contain", "outside", "cover", "pad", "fill"]),
    upscale=st.booleans(),
)
def test_sizes_hold_for_any_numbers(
    width: int, height: int, wide: int, high: int, fit: str, upscale: bool
) -> None:
    made = resized(width, height, box(wide, high, fit, upscale=upscale))
    assert made.width >= 1 and made.height >= 1
    if not upscale:
        assert made.width <= width and made.height <= height
    if fit in ("inside", "contain", "pad"):
        assert made.width <= wide and made.height <= high
    if fit == "pad":
        assert made.canvas == (wide, high)
    if fit == "cover":
        assert made.cut is not None
        assert made.cut[0] <= made.width and made.cut[1] <= made.height
        assert made.cut[0] <= wide and made.cut[1] <= high
        assert upscale is False or made.cut == (wide, high)
    if fit == "fill" and upscale:
        assert (made.width, made.height) == (wide, high)
