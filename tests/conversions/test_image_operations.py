"""crop, rotate, flip, trim, blur, sharpen, tone and watermark, measured on what comes out."""

import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageStat

from entrepot.core.conversions.runners.image import fonts
from entrepot.core.conversions.runners.protocol import Refused
from tests.conversions.pictures import (
    BLUE,
    GREEN,
    QUARTERS,
    RED,
    WHITE,
    converted,
    corner_colours,
    lab_of,
    near,
    opened,
    pixel,
    quarters,
    saved,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tmp_path / "quarters", quarters())


def custom(left: int, top: int, width: int, height: int) -> tuple[str, Any]:
    place = {"left": left, "top": top, "width": width, "height": height}
    return "crop", {"kind": "custom", **place}


def ratio(across: int, down: int, gravity: str = "centre") -> tuple[str, Any]:
    return "crop", {"kind": "ratio", "across": across, "down": down, "gravity": gravity}


def sized(width: int, height: int, gravity: str) -> tuple[str, Any]:
    return "crop", {"kind": "size", "width": width, "height": height, "gravity": gravity}


def mark(**given: Any) -> tuple[str, Any]:
    known = {
        "text": None,
        "source": None,
        "position": "south-east",
        "opacity": 1,
        "scale": 0.25,
        "tile": False,
        "colour": "#000000ff",
    }
    return "watermark", known | given


def darkest(image: Image.Image) -> int:
    """Of a gray picture."""
    return image.histogram().index(next(count for count in image.histogram() if count))


def test_crop_takes_what_lies_in_the_picture(source: Path) -> None:
    image = opened(converted(source, "png", custom(110, 70, 20, 20)))
    assert image.size == (20, 20)
    assert corner_colours(image) == list(QUARTERS)
    assert opened(converted(source, "png", custom(200, 120, 500, 500))).size == (40, 40)
    assert opened(converted(source, "png", custom(-10, -10, 30, 30))).size == (20, 20)


def test_crop_beside_the_picture_is_refused(source: Path) -> None:
    with pytest.raises(Refused) as refusal:
        converted(source, "png", custom(240, 0, 10, 10))
    assert refusal.value.code == "crop-outside"
    assert "240 x 160" in refusal.value.message


@pytest.mark.parametrize(
    ("gravity", "colour"),
    [("north-west", RED), ("north-east", GREEN), ("south-west", BLUE), ("south-east", WHITE)],
)
def test_crop_by_size_goes_where_gravity_pulls(
    source: Path, gravity: str, colour: tuple[int, int, int]
) -> None:
    image = opened(converted(source, "png", sized(60, 40, gravity)))
    assert image.size == (60, 40)
    assert set(corner_colours(image)) == {colour}


def test_crop_by_ratio_is_the_largest_part(source: Path) -> None:
    assert opened(converted(source, "png", ratio(1, 1))).size == (160, 160)
    assert opened(converted(source, "png", ratio(16, 9))).size == (240, 135)
    assert opened(converted(source, "png", ratio(9, 16))).size == (90, 160)
    north = opened(converted(source, "png", ratio(4, 1, "north")))
    assert north.size == (240, 60)
    assert corner_colours(north)[2:] == [RED, GREEN]


@pytest.mark.parametrize("interest", ["entropy", "attention"])
def test_crop_finds_where_something_is(tmp_path: Path, interest: str) -> None:
    sheet = Image.new("RGB", (600, 200), (128, 128, 128))
    draw = ImageDraw.Draw(sheet)
    for at in range(20):
        left, top = 430 + 6 * at, 50 + (at * 37) % 90
        draw.ellipse((left, top, left + 20, top + 20), fill=(230, 150 - 7 * at, 90))
    source = saved(tmp_path / "right", sheet)
    image = opened(converted(source, "png", sized(200, 200, interest)))
    assert image.size == (200, 200)
    assert max(ImageStat.Stat(image).stddev) > 25


@pytest.mark.parametrize(
    ("degrees", "size", "order"),
    [
        (90, (160, 240), (BLUE, RED, WHITE, GREEN)),
        (180, (240, 160), (WHITE, BLUE, GREEN, RED)),
        (270, (160, 240), (GREEN, WHITE, RED, BLUE)),
    ],
)
def test_quarter_turns_go_clockwise(
    source: Path, degrees: int, size: tuple[int, int], order: tuple[tuple[int, ...], ...]
) -> None:
    image = opened(converted(source, "png", ("rotate", degrees)))
    assert image.size == size
    assert corner_colours(image) == list(order)


def test_any_other_angle_grows_the_canvas(source: Path) -> None:
    image = opened(converted(source, "png", ("rotate", 30)))
    slant = math.radians(30)
    width = 240 * math.cos(slant) + 160 * math.sin(slant)
    height = 240 * math.sin(slant) + 160 * math.cos(slant)
    assert near(image.size, (width, height), 2)
    assert pixel(image, 2, 2)[3] == 0
    # Clockwise: what was top right has come down.
    middle = (image.size[0] // 2, image.size[1] // 2)
    assert near(pixel(image, middle[0] + 60, middle[1] + 5)[:3], GREEN)
    behind = opened(converted(source, "jpg", ("rotate", 30), background="#0000ffff"))
    assert near(pixel(behind, 2, 2), (0, 0, 255))
    assert near(pixel(opened(converted(source, "jpg", ("rotate", 30))), 2, 2), WHITE)


def test_edges_of_a_turned_picture_are_not_darkened(tmp_path: Path) -> None:
    source = saved(tmp_path / "white", Image.new("RGB", (100, 100), WHITE))
    image = opened(converted(source, "png", ("rotate", 20)))
    bright = [pixel(image, x, y) for x in range(image.size[0]) for y in range(0, image.size[1], 5)]
    assert all(min(value[:3]) >= 250 for value in bright if value[3] > 16)


def test_flip(source: Path) -> None:
    across = opened(converted(source, "png", ("flip", "h")))
    assert corner_colours(across) == [GREEN, RED, WHITE, BLUE]
    down = opened(converted(source, "png", ("flip", "v")))
    assert corner_colours(down) == [BLUE, WHITE, RED, GREEN]


def test_steps_are_applied_in_order(source: Path) -> None:
    turned = opened(converted(source, "png", custom(0, 0, 120, 80), ("rotate", 90)))
    assert set(corner_colours(turned)) == {RED}
    other = opened(converted(source, "png", ("rotate", 90), custom(0, 0, 80, 120)))
    assert set(corner_colours(other)) == {BLUE}
    assert turned.size == other.size


def test_trim_cuts_borders_like_the_corner(tmp_path: Path) -> None:
    sheet = Image.new("RGB", (200, 150), (250, 250, 250))
    sheet.paste(RED, (40, 30, 101, 91))
    sheet.putpixel((10, 10), (245, 245, 245))
    source = saved(tmp_path / "bordered", sheet)
    assert opened(converted(source, "png", ("trim", {"threshold": 10}))).size == (61, 61)
    assert opened(converted(source, "png", ("trim", {"threshold": 3}))).size == (91, 81)
    blank = saved(tmp_path / "blank", Image.new("RGB", (30, 20), RED))
    assert opened(converted(blank, "png", ("trim", {"threshold": 10}))).size == (30, 20)


def test_trim_sees_transparent_borders(tmp_path: Path) -> None:
    sheet = Image.new("RGBA", (90, 60), (0, 0, 0, 0))
    sheet.paste((0, 0, 0, 255), (20, 10, 50, 50))
    source = saved(tmp_path / "clear", sheet)
    assert opened(converted(source, "png", ("trim", {"threshold": 10}))).size == (30, 40)


def test_blur_softens_and_sharpen_steepens(source: Path) -> None:
    def step_at_edge(path: Path) -> int:
        gray = opened(path).convert("L")
        return max(abs(pixel(gray, x + 1, 40)[0] - pixel(gray, x, 40)[0]) for x in range(100, 140))

    plain = step_at_edge(converted(source, "png"))
    soft = converted(source, "png", ("blur", 4))
    assert step_at_edge(soft) < plain / 4
    blurred = saved(source.parent / "soft", opened(soft))
    steeper = converted(blurred, "png", ("sharpen", {"sigma": 3, "amount": 3}))
    assert step_at_edge(steeper) > step_at_edge(blurred) * 1.5
    # Flat places stay as they are.
    assert all(
        near(a, b, 1) for a, b in zip(corner_colours(opened(steeper)), QUARTERS, strict=True)
    )


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (("brightness", 30), lambda light, a, b: (light * 1.3, a, b)),
        (("brightness", -30), lambda light, a, b: (light * 0.7, a, b)),
        (("contrast", 40), lambda light, a, b: (50 + (light - 50) * 1.4, a, b)),
        (("contrast", -50), lambda light, a, b: (50 + (light - 50) * 0.5, a, b)),
        (("saturation", -50), lambda light, a, b: (light, a * 0.5, b * 0.5)),
        (("saturation", -100), lambda light, a, b: (light, 0, 0)),
        (("saturation", 20), lambda light, a, b: (light, a * 1.2, b * 1.2)),
    ],
)
def test_tone_follows_cie_lab(tmp_path: Path, step: tuple[str, Any], expected: Any) -> None:
    source = saved(tmp_path / "flat", Image.new("RGB", (16, 16), (150, 110, 90)))
    before = lab_of(opened(source), 5, 5)
    after = lab_of(opened(converted(source, "png", step)), 5, 5)
    assert near(after, expected(*before), 1.5)


def test_tone_leaves_transparency_alone(tmp_path: Path) -> None:
    source = saved(tmp_path / "half", Image.new("RGBA", (16, 16), (150, 110, 90, 77)))
    assert pixel(opened(converted(source, "png", ("brightness", 20))), 3, 3)[3] == 77


def test_text_lies_where_it_was_asked_for(tmp_path: Path) -> None:
    source = saved(tmp_path / "white", Image.new("RGB", (400, 300), WHITE))
    image = opened(converted(source, "png", mark(text="© Entrepot", scale=0.5))).convert("L")
    inked = image.point(lambda value: 255 if value < 128 else 0).getbbox()
    assert inked is not None
    left, top, right, bottom = inked
    assert near((right - left,), (200,), 4)
    assert near((right, bottom), (400 - 6, 300 - 6), 3)
    assert top > 240


def test_text_takes_colour_and_opacity(tmp_path: Path) -> None:
    source = saved(tmp_path / "white", Image.new("RGB", (400, 300), WHITE))
    step = mark(text="III", scale=0.9, colour="#ff0000ff", opacity=0.5, position="centre")
    colours = opened(converted(source, "png", step)).getcolors(100_000)
    assert colours is not None
    assert min(green for _, (_, green, _) in colours) in range(125, 131)  # type: ignore[misc]


def test_text_is_never_higher_than_the_picture(tmp_path: Path) -> None:
    source = saved(tmp_path / "flat", Image.new("RGB", (400, 20), WHITE))
    image = opened(converted(source, "png", mark(text="I", scale=1))).convert("L")
    assert image.size == (400, 20)
    assert darkest(image) < 60


def test_tiles_cover_all_of_it(tmp_path: Path) -> None:
    source = saved(tmp_path / "white", Image.new("RGB", (400, 300), WHITE))
    image = opened(converted(source, "png", mark(text="XX", scale=0.1, tile=True))).convert("L")
    for left, top in ((0, 0), (200, 0), (0, 150), (200, 150)):
        assert darkest(image.crop((left, top, left + 200, top + 150))) < 60


def test_a_picture_as_watermark(tmp_path: Path) -> None:
    source = saved(tmp_path / "white", Image.new("RGB", (400, 300), WHITE))
    logo = Image.new("RGBA", (50, 50), (0, 0, 0, 0))
    logo.paste((10, 20, 200, 255), (0, 0, 50, 25))
    logo_file = saved(tmp_path / "logo", logo)
    image = opened(
        converted(source, "png", mark(source=0, position="north-west"), watermarks=[logo_file])
    )
    # 100 pixels wide, 6 from the edges; its lower half is transparent.
    assert near(pixel(image, 50, 20), (10, 20, 200), 2)
    assert pixel(image, 50, 90) == WHITE
    assert pixel(image, 3, 3) == WHITE
    assert pixel(image, 110, 20) == WHITE


@pytest.mark.parametrize(("side", "length"), [(1, 1), (5, 20), (40, 200)])
def test_a_text_too_long_for_a_small_picture_is_told_as_itself(
    tmp_path: Path, side: int, length: int
) -> None:
    Image.new("RGB", (side, side), "red").save(tmp_path / "small.png")
    with pytest.raises(Refused, match=f"has {length} characters") as refusal:
        converted(tmp_path / "small.png", "png", mark(text="W" * length, scale=0.3))
    assert refusal.value.code == "watermark-too-small"


@pytest.mark.parametrize(("side", "text"), [(3, "W"), (5, "l"), (12, "Wo"), (40, "W" * 20)])
def test_a_small_text_on_a_small_picture_is_drawn(tmp_path: Path, side: int, text: str) -> None:
    Image.new("RGB", (side, side), "red").save(tmp_path / "small.png")
    image = opened(converted(tmp_path / "small.png", "png", mark(text=text, scale=1)))
    assert (image.width, image.height) == (side, side)


def test_a_watermark_brings_nothing_but_its_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8298] = "someone else"
    logo = saved(tmp_path / "logo", quarters(40, 40), "JPEG", exif=exif)
    source = saved(tmp_path / "white", Image.new("RGB", (100, 100), WHITE), "JPEG")
    target = converted(source, "jpg", mark(source=0), watermarks=[logo], metadata="keep")
    assert b"someone else" not in target.read_bytes()


def test_a_watermark_on_transparency_shows(tmp_path: Path) -> None:
    source = saved(tmp_path / "clear", Image.new("RGBA", (200, 100), (0, 0, 0, 0)))
    logo = saved(tmp_path / "logo", Image.new("RGB", (10, 10), RED))
    step = mark(source=0, scale=0.5, position="centre", opacity=0.5)
    image = opened(converted(source, "png", step, watermarks=[logo]))
    assert near(pixel(image, 100, 50), (*RED, 128), 2)
    assert pixel(image, 5, 5)[3] == 0


def test_letters_that_no_font_has_are_refused(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine without fonts, and a character that no font of any machine has.
    monkeypatch.setattr(fonts, "_fonts", tuple)
    with pytest.raises(Refused) as refusal:
        converted(source, "png", mark(text="中文"))
    assert refusal.value.code == "media-unsupported"
    assert "font" in refusal.value.message
    assert opened(converted(source, "png", mark(text="plain Latin"))).size == (240, 160)
    monkeypatch.undo()
    with pytest.raises(Refused):
        converted(source, "png", mark(text="\U0010fffd"))


def test_a_damaged_watermark_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "logo").write_bytes(b"no picture at all")
    with pytest.raises(Refused):
        converted(source, "png", mark(source=0), watermarks=[tmp_path / "logo"])
