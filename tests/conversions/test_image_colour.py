"""Colours: what a picture looks like stays, whatever space its numbers are in."""

import io
from pathlib import Path

import pytest
import pyvips
from PIL import Image, ImageCms

from tests.conversions.pictures import (
    QUARTERS,
    converted,
    converted_with_facts,
    corner_colours,
    lab_of,
    near,
    opened,
    pixel,
    quarters,
    saved,
)

ROSE = (200, 120, 110)


def profile_of(name: str) -> bytes:
    """One that libvips carries: its p3 and cmyk are real-world profiles."""
    pixel_ = pyvips.Image.black(1, 1, bands=3).cast("uchar").copy(interpretation="srgb")
    return bytes(pixel_.icc_transform(name, input_profile="srgb").get("icc-profile-data"))


def in_p3(colour: tuple[int, int, int] = ROSE) -> Image.Image:
    """These numbers, meant as Display P3."""
    image = Image.new("RGB", (32, 32), colour)
    image.info["icc_profile"] = profile_of("p3")
    return image


def in_cmyk(path: Path, *, tagged: bool = True) -> Path:
    """A JPEG of four inks, as Pillow writes it: inverted, with Adobe's marker."""
    options = {"icc_profile": profile_of("cmyk")} if tagged else {}
    return saved(
        path, Image.new("CMYK", (32, 32), (20, 140, 120, 10)), "JPEG", quality=98, **options
    )


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_the_profile_of_the_source_travels(tmp_path: Path, extension: str) -> None:
    source = saved(tmp_path / "p3", in_p3(), icc_profile=profile_of("p3"))
    image = opened(converted(source, extension))
    assert image.info["icc_profile"] == profile_of("p3")
    assert near(pixel(image.convert("RGB"), 9, 9), ROSE, 4)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "avif", "heic", "gif"])
def test_srgb_looks_like_the_p3_it_came_from(tmp_path: Path, extension: str) -> None:
    source = saved(tmp_path / "p3", in_p3(), icc_profile=profile_of("p3"))
    target, facts = converted_with_facts(source, extension, colorSpace="srgb")
    image = opened(target).convert("RGB")
    seen = lab_of(image, 9, 9)
    image.info.clear()
    assert facts["colour_space"] == "srgb"
    assert near(seen, lab_of(opened(source), 9, 9), 4)
    assert not near(pixel(image, 9, 9), ROSE, 4)


def test_without_a_profile_auto_means_srgb(tmp_path: Path) -> None:
    """Numbers that need a profile are not left without one."""
    source = saved(tmp_path / "p3", in_p3(), icc_profile=profile_of("p3"))
    image = opened(converted(source, "png", colorProfile="strip"))
    assert "icc_profile" not in image.info
    assert near(lab_of(image, 9, 9), lab_of(opened(source), 9, 9), 3)


def test_p3_and_cmyk_look_like_the_srgb_they_came_from(tmp_path: Path) -> None:
    source = saved(tmp_path / "rose", Image.new("RGB", (32, 32), ROSE))
    before = lab_of(opened(source), 9, 9)
    for extension, space, mode in (
        ("png", "p3", "RGB"),
        ("jpg", "p3", "RGB"),
        ("jpg", "cmyk", "CMYK"),
        ("tif", "cmyk", "CMYK"),
    ):
        target, facts = converted_with_facts(source, extension, colorSpace=space)
        image = opened(target)
        assert (image.mode, facts["colour_space"]) == (mode, space)
        assert image.info["icc_profile"] == profile_of(space)
        assert near(lab_of(image, 9, 9), before, 5)


def test_gray_has_one_channel_and_the_lightness(tmp_path: Path) -> None:
    source = saved(tmp_path / "quarters", quarters())
    for extension in ("jpg", "png", "tif"):
        image = opened(converted(source, extension, colorSpace="gray"))
        assert image.mode == "L"
    value = pixel(image, 10, 10)[0]
    # Luminance in linear light (IEC 61966-2-1), with sRGB's curve on it again.
    linear = sum(
        part * ((c / 255 + 0.055) / 1.055) ** 2.4
        for part, c in zip((0.2126, 0.7152, 0.0722), (0xC8, 30, 30), strict=True)
    )
    assert near((value,), ((1.055 * linear ** (1 / 2.4) - 0.055) * 255,), 4)
    webp = opened(converted(source, "webp", colorSpace="gray")).convert("RGB")
    red, green, blue = pixel(webp, 10, 10)
    assert near((red, green, blue), (value,) * 3, 3)


@pytest.mark.parametrize("tagged", [True, False])
def test_a_cmyk_jpeg_becomes_the_right_srgb(tmp_path: Path, tagged: bool) -> None:
    source = in_cmyk(tmp_path / "cmyk", tagged=tagged)
    transform = ImageCms.buildTransform(
        ImageCms.getOpenProfile(io.BytesIO(profile_of("cmyk"))),
        ImageCms.createProfile("sRGB"),
        "CMYK",
        "RGB",
        ImageCms.Intent.PERCEPTUAL,
    )
    expected = ImageCms.applyTransform(Image.new("CMYK", (1, 1), (20, 140, 120, 10)), transform)
    assert expected is not None
    for extension in ("png", "webp"):  # they have no CMYK: auto is sRGB there
        image = opened(converted(source, extension)).convert("RGB")
        assert near(pixel(image, 9, 9), pixel(expected, 0, 0), 8)
    jpeg = opened(converted(source, "jpg", colorSpace="srgb"))
    assert jpeg.mode == "RGB"
    assert near(pixel(jpeg, 9, 9), pixel(expected, 0, 0), 8)


def test_cmyk_stays_cmyk_where_it_can(tmp_path: Path) -> None:
    source = in_cmyk(tmp_path / "cmyk")
    for extension in ("jpg", "tif"):
        image = opened(converted(source, extension))
        assert image.mode == "CMYK"
        assert near(pixel(image, 9, 9), (20, 140, 120, 10), 3)
        assert image.info["icc_profile"] == profile_of("cmyk")


def test_cmyk_on_a_page_is_not_inverted(tmp_path: Path) -> None:
    source = in_cmyk(tmp_path / "cmyk")
    red, green, blue = pixel(opened(converted(source, "pdf")).convert("RGB"), 9, 9)
    assert red > 180 > 160 > green
    assert blue < 160


def test_operations_work_on_cmyk_and_keep_it(tmp_path: Path) -> None:
    source = in_cmyk(tmp_path / "cmyk")
    pad = {"width": 60, "height": 32, "fit": "pad", "upscale": False}
    image = opened(converted(source, "jpg", ("resize", pad), ("brightness", 10)))
    assert (image.mode, image.size) == ("CMYK", (60, 32))
    assert max(pixel(image, 3, 3)) < 8  # white paper
    before = lab_of(opened(source), 9, 9)
    assert near(lab_of(image, 30, 9), (before[0] * 1.1, *before[1:]), 4)


def test_tone_of_a_p3_picture_is_that_of_its_look(tmp_path: Path) -> None:
    source = saved(tmp_path / "p3", in_p3(), icc_profile=profile_of("p3"))
    before = lab_of(opened(source), 9, 9)
    image = opened(converted(source, "png", ("saturation", -50)))
    assert near(lab_of(image, 9, 9), (before[0], before[1] / 2, before[2] / 2), 2)


def test_the_background_is_meant_as_srgb_in_every_space(tmp_path: Path) -> None:
    source = saved(tmp_path / "p3", in_p3(), icc_profile=profile_of("p3"))
    pad = {"width": 64, "height": 32, "fit": "pad", "upscale": False}
    image = opened(converted(source, "png", ("resize", pad), background="#c8786eff"))
    expected = lab_of(Image.new("RGB", (4, 4), ROSE), 1, 1)
    assert near(lab_of(image, 3, 3), expected, 2)


def test_sixteen_bits_stay_where_the_format_has_them(tmp_path: Path) -> None:
    deep = pyvips.Image.black(64, 32, bands=3).linear(1, [51_400, 7_710, 25_700])
    deep.cast("ushort").copy(interpretation="rgb16").pngsave(str(tmp_path / "deep"))
    for extension, form in (("png", "ushort"), ("tif", "ushort")):
        target, facts = converted_with_facts(tmp_path / "deep", extension)
        assert facts["bits"] == 16
        image = pyvips.Image.new_from_file(str(target))
        assert image.format == form
        assert image.getpoint(5, 5) == [51_400, 7_710, 25_700]
    half = {"percent": 50, "upscale": False}
    for extension in ("jpg", "webp", "avif", "heic"):
        target, facts = converted_with_facts(tmp_path / "deep", extension, ("resize", half))
        assert facts["bits"] == 8
        assert near(pixel(opened(target).convert("RGB"), 5, 5), (200, 30, 100), 5)


def test_a_profile_that_is_none_is_left_out(tmp_path: Path) -> None:
    for name, profile in (("junk", b"no profile" * 50), ("wrong", profile_of("cmyk"))):
        source = saved(tmp_path / name, quarters(), icc_profile=profile)
        image = opened(converted(source, "png", colorSpace="srgb"))
        assert all(map(near, corner_colours(image), QUARTERS))


def test_gray_and_palette_and_one_bit_sources(tmp_path: Path) -> None:
    for mode in ("L", "P", "1", "LA"):
        source = saved(tmp_path / f"mode{mode}", quarters().convert(mode))
        for extension in ("jpg", "webp"):
            image = opened(converted(source, extension)).convert("L")
            assert near(pixel(image, 200, 120), (255,), 4)
