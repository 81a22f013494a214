"""Steps of a pipeline: what each takes and becomes, and what is refused."""

import json
from typing import Any

import pytest

from entrepot.core.conversions.recipes import STEP_TYPES
from tests.core.pipelines import GOOD_OPERATIONS, GOOD_SETTINGS, PLACE, make, refused

# --- operations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "value", "expected"), GOOD_OPERATIONS)
def test_an_operation_has_one_form(kind: str, value: Any, expected: list[tuple[str, Any]]) -> None:
    recipe = make((kind, value))
    assert [(step.type, step.value) for step in recipe.operations] == expected
    # As JSON too: 1 and 1.0 and true are not the same text.
    texts = [json.dumps(step.value, sort_keys=True) for step in recipe.operations]
    assert texts == [json.dumps(value, sort_keys=True) for _, value in expected]


BAD_OPERATIONS: list[tuple[str, Any, str, str]] = [
    ("resize", {}, "", "an empty object"),
    ("resize", 800, "", "an object with"),
    ("resize", {"widht": 8}, "", '"widht"'),
    ("resize", {"width": "abc"}, ".width", '"abc"'),
    ("resize", {"width": 0}, ".width", "1 to 20000"),
    ("resize", {"width": 20_001}, ".width", "1 to 20000"),
    ("resize", {"width": 1.5}, ".width", "whole number"),
    ("resize", {"width": True}, ".width", "true"),
    ("resize", {"width": "1e3"}, ".width", "whole number"),
    ("resize", {"width": float("nan")}, ".width", "whole number"),
    ("resize", {"width": 10**5000}, ".width", "very large"),
    ("resize", {"width": None}, "", "an object with"),
    ("resize", {"upscale": True}, "", "an object with"),
    ("resize", {"width": 5, "fit": "fill"}, "", "stretched"),
    ("resize", {"width": 5, "height": 5, "fit": "crop"}, ".fit", "inside or outside"),
    ("resize", {"width": 5, "upscale": "maybe"}, ".upscale", "true or false"),
    ("resize", {"longest_edge": 5, "width": 5}, "", "longest_edge"),
    ("resize", {"longest_edge": 5, "fit": "cover"}, "", "longest_edge"),
    ("resize", {"percent": 50, "width": 5}, "", "percent"),
    ("resize", {"percent": 101}, ".percent", "upscale"),
    ("resize", {"percent": 0}, ".percent", "0.1 to 1000"),
    ("resize", {"width": 1, "Width": 2}, ".width", "once"),
    ("width", {}, "", "an empty object"),
    ("width", "auto", "", '"auto"'),
    ("height", None, "", "null"),
    ("crop", {}, "", "an empty object"),
    ("crop", "16:9", "", "an object with"),
    ("crop", {"width": 5}, "", "an object with"),
    ("crop", {"cropping_type": "Square", "width": 5, "height": 5}, ".cropping_type", "Entropy"),
    ("crop", {"cropping_type": "Custom", "height": 5}, "", "an object with"),
    ("crop", {"top_left": {"x": -1}, "width": 5, "height": 5}, ".top_left.x", "0 to 20000"),
    ("crop", {"top_left": {}, "width": 5, "height": 5}, ".top_left", "x and y"),
    (
        "crop",
        {"top_left": {"x": 1}, "gravity": "north", "width": 5, "height": 5},
        ".gravity",
        "no gravity",
    ),
    (
        "crop",
        {"cropping_type": "Entropy", "top_left": {"x": 1}, "width": 5, "height": 5},
        ".top_left",
        "no top_left",
    ),
    (
        "crop",
        {"cropping_type": "Entropy", "gravity": "north", "width": 5, "height": 5},
        ".gravity",
        "no gravity",
    ),
    ("crop", {"ratio": "16:9", "width": 5}, "", "nothing but gravity"),
    ("crop", {"ratio": "16:9", "gravity": "up"}, ".gravity", "north-east"),
    ("ratio", "16:0", "", "1:100 to 100:1"),
    ("ratio", "1000:1", "", "1:100 to 100:1"),
    ("ratio", "wide", "", '"wide"'),
    ("ratio", 0, "", "0.01 to 100"),
    ("ratio", [16, 9], "", "a list"),
    ("rotate", "left", "", "auto"),
    ("rotate", 361, "", "-360 to 360"),
    ("rotate", {}, "", "an empty object"),
    ("flip", "x", "", "h or v"),
    ("flip", True, "", "true"),
    ("trim", 256, "", "0 to 255"),
    ("trim", {}, "", "an empty object"),
    ("blur", 0, "", "0.3 to 200"),
    ("blur", True, "", "true"),
    ("sharpen", 21, "", "0.3 to 20"),
    ("sharpen", {"amount": 11}, ".amount", "0 to 10"),
    ("brightness", 101, "", "-100 to 100"),
    ("contrast", "much", "", '"much"'),
    ("saturation", None, "", "null"),
    ("watermark", {}, "", "an empty object"),
    ("watermark", "", "", "in one line"),
    ("watermark", {"text": "a" * 201}, ".text", "1 to 200"),
    ("watermark", {"text": "a\nb"}, ".text", "in one line"),
    ("watermark", {"text": "\ud800"}, ".text", "in one line"),
    ("watermark", {"text": 5}, ".text", "5"),
    ("watermark", {"text": "a", "asset": 1}, "", "either"),
    ("watermark", {"position": "north"}, "", "either"),
    ("watermark", {"asset": 0}, ".asset", "1 to"),
    ("watermark", {"asset": 1, "colour": "red"}, "", "no colour"),
    ("watermark", {"text": "a", "opacity": 50}, ".opacity", "0.01 to 1"),
    ("watermark", {"text": "a", "scale": 0}, ".scale", "0.01 to 1"),
    ("watermark", {"text": "a", "position": "entropy"}, ".position", "north-east"),
    ("watermark", {"text": "a", "tile": 2}, ".tile", "true or false"),
    ("watermark", {"text": "a", "colour": "reddish"}, ".colour", "a colour such as"),
]


@pytest.mark.parametrize(("kind", "value", "place", "told"), BAD_OPERATIONS)
def test_a_wrong_operation_is_refused_at_its_place(
    kind: str, value: Any, place: str, told: str
) -> None:
    error = refused(("flip", "h"), (kind, value))
    assert (error.code, error.field) == ("conversion-invalid", f"{PLACE}[1].value{place}")
    assert told in error.message
    assert len(error.message) < 400


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "kind", "value", "setting", "expected"), GOOD_SETTINGS)
def test_a_setting_has_one_form(
    of: str, kind: str, value: Any, setting: str, expected: Any
) -> None:
    assert make((kind, value), of=of).setting(setting) == expected


BAD_SETTINGS: list[tuple[str, str, Any, str, str]] = [
    ("image/jpeg", "fileExtension", {}, "", "one of jpg, png"),
    ("image/jpeg", "fileExtension", "exe", "", '"exe"'),
    ("image/jpeg", "fileExtension", 3, "", "3"),
    ("image/jpeg", "background", "whitish", "", "a colour such as"),
    ("image/jpeg", "background", {}, "", "an empty object"),
    ("image/jpeg", "colorSpace", "lab", "", "srgb or p3"),
    ("image/jpeg", "colorProfile", "fogra", "", "embed or strip"),
    ("image/jpeg", "dpi", 9, "", "10 to 1200"),
    ("image/jpeg", "dpi", 1201, "", "10 to 1200"),
    ("image/jpeg", "metadata", "some", "", "keep or strip"),
    ("image/jpeg", "quality", 0, "", "1 to 100"),
    ("image/jpeg", "quality", 101, "", "1 to 100"),
    ("image/jpeg", "quality", "best", "", "Maximum"),
    ("image/jpeg", "quality", {}, "", "an empty object"),
    ("image/jpeg", "maxBytes", 999, "", "1000 to"),
    ("image/jpeg", "maxBytes", "1 TB", "", "1000 to"),
    ("application/pdf", "page", 0, "", "1 to 100000"),
    ("application/pdf", "page", "5-2", "", "not before"),
    ("application/pdf", "page", {"first": 1}, "", "first and last"),
    ("application/pdf", "page", {}, "", "an empty object"),
    ("application/pdf", "page", "two", "", '"2-5"'),
    ("video/mp4", "frame", "soon", "", '"10%"'),
    ("video/mp4", "start", "soon", "", "00:01:30"),
    ("image/jpeg", "maxBytes", "small", "", '"1 MB"'),
    ("video/mp4", "frame", -1, "", "0 to 86400"),
    ("video/mp4", "frame", "101%", "", "0 to 100"),
    ("video/mp4", "frame", "25:00:00", "", "0 to 86400"),
    ("video/mp4", "frame", {"seconds": 1, "percent": 1}, "", "either"),
    ("video/mp4", "frame", {}, "", "an empty object"),
    ("video/mp4", "fps", 121, "", "1 to 120"),
    ("video/mp4", "crf", 64, "", "0 to 63"),
    ("video/mp4", "bitrate", "fast", "", "kbit/s"),
    ("video/mp4", "codec", "realvideo", "", "h264 or h265"),
    ("video/mp4", "start", -1, "", "0 to 86400"),
    ("video/mp4", "duration", 0, "", "0.01 to 86400"),
    ("video/mp4", "mute", "perhaps", "", "true or false"),
    ("video/mp4", "video", {}, "", "an empty object"),
    ("video/mp4", "video", 720, "", "an object with"),
    ("video/mp4", "video", {"fsp": 3}, "", '"fsp"'),
    ("video/mp4", "video", {"fps": 0}, ".fps", "1 to 120"),
    ("video/mp4", "video", {"height": "tall"}, ".height", '"tall"'),
    ("audio/wav", "audio", {"channels": 3}, ".channels", "1 to 2"),
    ("audio/wav", "audio", {"channels": "many"}, ".channels", "1 or 2"),
    ("audio/wav", "audio", {"sample_rate": 44_000}, ".sample_rate", "44100"),
]


@pytest.mark.parametrize(("of", "kind", "value", "place", "told"), BAD_SETTINGS)
def test_a_wrong_setting_is_refused_at_its_place(
    of: str, kind: str, value: Any, place: str, told: str
) -> None:
    error = refused((kind, value), of=of)
    assert (error.code, error.field) == ("conversion-invalid", f"{PLACE}[0].value{place}")
    assert told in error.message


def test_every_type_of_the_contract_is_tried_above() -> None:
    tried = {kind for kind, *_ in GOOD_OPERATIONS} | {kind for kind, *_ in BAD_OPERATIONS}
    tried |= {kind for _, kind, *_ in GOOD_SETTINGS} | {kind for _, kind, *_ in BAD_SETTINGS}
    assert {kind.lower().replace("_", "") for kind in tried} == {
        kind.lower() for kind in STEP_TYPES
    }
