"""Pipelines for tests: how one is made, and good values of every step with their form."""

from typing import Any

import pytest

from entrepot.core.conversions.recipes import Recipe, compile_pipeline
from entrepot.errors import Invalid

PLACE = "order.global.M.AssetMedia.Images.conversions[0]"
GROUPS = {
    "image/jpeg": "Images",
    "image/png": "Images",
    "image/heic": "Images",
    "image/gif": "Images",
    "image/bmp": "Images",
    "image/svg+xml": "Vectors",
    "video/mp4": "Videos",
    "video/quicktime": "Videos",
    "video/x-matroska": "Videos",
    "audio/mpeg": "Audio",
    "audio/wav": "Audio",
    "application/pdf": "Documents",
    "application/epub+zip": "Documents",
    "application/zip": "Archives",
    "application/octet-stream": "Default",
}


def make(*steps: tuple[str, Any], of: str = "image/jpeg") -> Recipe:
    """The recipe of a pipeline written as (type, value) pairs."""
    told = [{"type": name, "value": value} for name, value in steps]
    return compile_pipeline(told, media_group=GROUPS[of], content_type=of, field=PLACE)


def refused(*steps: tuple[str, Any], of: str = "image/jpeg") -> Invalid:
    with pytest.raises(Invalid) as caught:
        make(*steps, of=of)
    assert caught.value.field.startswith(PLACE)
    return caught.value


def box(width: int | None, height: int | None, fit: str = "inside", *, up: bool = False) -> Any:
    return {"width": width, "height": height, "fit": fit, "upscale": up}


def part(width: int, height: int, gravity: str) -> Any:
    return {"kind": "size", "width": width, "height": height, "gravity": gravity}


def ratio(across: int, down: int, gravity: str = "centre") -> Any:
    return {"kind": "ratio", "across": across, "down": down, "gravity": gravity}


MARK = {
    "text": None,
    "position": "south-east",
    "opacity": 0.5,
    "scale": 0.25,
    "tile": False,
    "colour": "#ffffffff",
}
TEXT = {**MARK, "text": "Proof", "source": None}


GOOD_OPERATIONS: list[tuple[str, Any, list[tuple[str, Any]]]] = [
    ("resize", {"width": 800}, [("resize", box(800, None))]),
    ("resize", {"width": "800", "height": "600"}, [("resize", box(800, 600))]),
    ("resize", {"height": 600.0, "fit": "cover"}, [("resize", box(None, 600))]),
    ("resize", {"width": 8, "height": None}, [("resize", box(8, None))]),
    ("resize", {"width": 1, "height": 2, "fit": "contain"}, [("resize", box(1, 2))]),
    ("resize", {"width": 1, "height": 2, "fit": "Cover"}, [("resize", box(1, 2, "cover"))]),
    ("resize", {"width": 1, "height": 2, "fit": "pad"}, [("resize", box(1, 2, "pad"))]),
    ("resize", {"width": 1, "height": 2, "fit": "fill"}, [("resize", box(1, 2, "fill"))]),
    ("resize", {"width": 1, "height": 2, "fit": "outside"}, [("resize", box(1, 2, "outside"))]),
    ("resize", {"width": 9, "upscale": "true"}, [("resize", box(9, None, up=True))]),
    ("resize", {"longest_edge": 5}, [("resize", box(5, 5))]),
    ("resize", {"longestEdge": "5"}, [("resize", box(5, 5))]),
    ("resize", {"percent": "50"}, [("resize", {"percent": 50, "upscale": False})]),
    (
        "resize",
        {"percent": 150.5, "upscale": True},
        [("resize", {"percent": 150.5, "upscale": True})],
    ),
    ("width", "20000", [("resize", box(20_000, None))]),
    ("height", {"value": 480}, [("resize", box(None, 480))]),
    ("height", {"height": 480}, [("resize", box(None, 480))]),
    (
        "crop",
        {"cropping_type": "Custom", "top_left": {"x": "3", "y": 4}, "width": 5, "height": 6},
        [("crop", {"kind": "custom", "left": 3, "top": 4, "width": 5, "height": 6})],
    ),
    (
        "crop",
        {"croppingType": "custom", "width": 5, "height": 6},
        [("crop", {"kind": "custom", "left": 0, "top": 0, "width": 5, "height": 6})],
    ),
    (
        "crop",
        {"topLeft": {"y": 4}, "width": 5, "height": 6},
        [("crop", {"kind": "custom", "left": 0, "top": 4, "width": 5, "height": 6})],
    ),
    (
        "crop",
        {"cropping_type": "Entropy", "width": 5, "height": 6},
        [("crop", part(5, 6, "entropy"))],
    ),
    (
        "crop",
        {"cropping_type": "CentralFocalPoint", "width": 5, "height": 6},
        [("crop", part(5, 6, "centre"))],
    ),
    (
        "crop",
        {"width": 5, "height": 6, "gravity": "top left"},
        [("crop", part(5, 6, "north-west"))],
    ),
    ("crop", {"ratio": "16:9", "gravity": "attention"}, [("crop", ratio(16, 9, "attention"))]),
    ("crop", {"ratio": "32:18"}, [("crop", ratio(16, 9))]),
    ("ratio", "16:9", [("crop", ratio(16, 9))]),
    ("ratio", {"ratio": "4/3"}, [("crop", ratio(4, 3))]),
    ("ratio", "1.85 : 1", [("crop", ratio(37, 20))]),
    ("ratio", 1.5, [("crop", ratio(3, 2))]),
    ("rotate", 90, [("rotate", 90)]),
    ("rotate", "-90", [("rotate", 270)]),
    ("rotate", 12.5, [("rotate", 12.5)]),
    ("rotate", 360, []),
    ("rotate", "Auto", []),
    ("flip", "h", [("flip", "h")]),
    ("flip", "Vertical", [("flip", "v")]),
    ("flip", "both", [("flip", "h"), ("flip", "v")]),
    ("trim", True, [("trim", {"threshold": 10})]),
    ("trim", None, [("trim", {"threshold": 10})]),
    ("trim", "25", [("trim", {"threshold": 25})]),
    ("trim", {"threshold": 0}, [("trim", {"threshold": 0})]),
    ("trim", False, []),
    ("blur", "1.5", [("blur", 1.5)]),
    ("sharpen", True, [("sharpen", {"sigma": 1, "amount": 1})]),
    ("sharpen", 2, [("sharpen", {"sigma": 2, "amount": 1})]),
    ("sharpen", {"amount": 0.5}, [("sharpen", {"sigma": 1, "amount": 0.5})]),
    ("sharpen", False, []),
    ("brightness", "-100", [("brightness", -100)]),
    ("contrast", 12.5, [("contrast", 12.5)]),
    ("saturation", 0, []),
    ("watermark", "Proof", [("watermark", TEXT)]),
    ("watermark", {"text": " Proof "}, [("watermark", TEXT)]),
    ("watermark", {"asset": 17}, [("watermark", {**MARK, "asset": "17"})]),
    ("watermark", {"asset": "logo-1"}, [("watermark", {**MARK, "asset": "logo-1"})]),
    (
        "watermark",
        {
            "text": "Proof",
            "position": "center",
            "opacity": "1",
            "scale": 0.1,
            "tile": True,
            "color": "red",
        },
        [
            (
                "watermark",
                {
                    "text": "Proof",
                    "source": None,
                    "position": "centre",
                    "opacity": 1,
                    "scale": 0.1,
                    "tile": True,
                    "colour": "#ff0000ff",
                },
            )
        ],
    ),
]

GOOD_SETTINGS: list[tuple[str, str, Any, str, Any]] = [
    ("image/jpeg", "background", "White", "background", "#ffffffff"),
    ("image/jpeg", "background", "transparent", "background", "#00000000"),
    ("image/jpeg", "background", "#F80", "background", "#ff8800ff"),
    ("image/jpeg", "background", "ff880080", "background", "#ff880080"),
    ("image/jpeg", "background", {"value": "#f808"}, "background", "#ff880088"),
    ("image/jpeg", "colorSpace", "sRGB", "colorSpace", "srgb"),
    ("image/jpeg", "colorSpace", "Display-P3", "colorSpace", "p3"),
    ("image/jpeg", "colorspace", "CMYK", "colorSpace", "cmyk"),
    ("image/jpeg", "COLORSPACE", "grayscale", "colorSpace", "gray"),
    ("image/jpeg", "colorProfile", "embed", "colorProfile", "embed"),
    ("image/jpeg", "colorProfile", "p3", "colorSpace", "p3"),
    ("image/jpeg", "color_profile", "none", "colorProfile", "strip"),
    ("image/jpeg", "colorProfile", "strip", "colorSpace", "srgb"),
    ("image/jpeg", "dpi", "300", "dpi", 300),
    ("image/jpeg", "metadata", "Keep", "metadata", "keep"),
    ("image/jpeg", "quality", "77", "quality", 77),
    ("image/jpeg", "quality", "Maximum", "quality", 95),
    ("image/jpeg", "quality", "High", "quality", 85),
    ("image/jpeg", "quality", "medium", "quality", 70),
    ("image/jpeg", "quality", "LOW", "quality", 50),
    ("image/jpeg", "maxBytes", 50_000, "maxBytes", 50_000),
    ("image/jpeg", "max_bytes", "500 KB", "maxBytes", 500_000),
    ("image/jpeg", "maxBytes", "2MiB", "maxBytes", 2 * 2**20),
    ("application/pdf", "page", "3", "page", {"first": 3, "last": 3}),
    ("application/pdf", "page", "2-5", "page", {"first": 2, "last": 5}),
    ("application/pdf", "page", {"first": 2, "last": "2"}, "page", {"first": 2, "last": 2}),
    ("video/mp4", "frame", 1.5, "frame", {"seconds": 1.5}),
    ("video/mp4", "frame", "00:01:30.5", "frame", {"seconds": 90.5}),
    ("video/mp4", "frame", "1:30", "frame", {"seconds": 90}),
    ("video/mp4", "frame", "50%", "frame", {"percent": 50}),
    ("video/mp4", "frame", {"percent": "12.5"}, "frame", {"percent": 12.5}),
    ("video/mp4", "frame", {"seconds": 3}, "frame", {"seconds": 3}),
]
