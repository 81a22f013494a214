"""Recipes: what becomes of what, how a recipe is completed, and when two are the same."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.core.conversions._formats import EXTENSIONS
from entrepot.core.conversions.recipes import (
    OPERATIONS,
    PIPELINE_LENGTH_MAX,
    SETTINGS,
    STEP_TYPES,
    Recipe,
    Step,
    asset_watermarks,
    compile_pipeline,
    converter_version,
    recipe_from_document,
    recipe_to_document,
    with_watermarks,
)
from entrepot.errors import Invalid
from tests.core.pipelines import GOOD_OPERATIONS, GOOD_SETTINGS, GROUPS, PLACE, box, make, refused

RUNNERS = ("image", "video", "audio", "document")

# --- what becomes of what ------------------------------------------------------------------------

PICTURES = {"jpg", "png", "webp", "avif", "tif", "gif", "heic"}
SOUNDS = {"mp3", "m4a", "ogg", "opus", "flac", "wav"}
POSSIBLE: dict[str, set[str]] = {
    "image/jpeg": PICTURES | {"pdf"},
    "image/svg+xml": PICTURES | {"pdf"},
    "video/quicktime": PICTURES | SOUNDS | {"mp4", "webm", "mov"},
    "audio/wav": SOUNDS,
    "application/pdf": PICTURES | {"pdf"},
    "application/epub+zip": set(),
    "application/zip": set(),
    "application/octet-stream": set(),
}


@pytest.mark.parametrize("of", POSSIBLE)
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_file_becomes_what_it_can_and_nothing_else(of: str, extension: str) -> None:
    if extension in POSSIBLE[of]:
        recipe = make(("fileExtension", extension.upper()), of=of)
        assert recipe.extension == extension
        assert recipe.runner in RUNNERS
    else:
        error = refused(("fileExtension", extension), of=of)
        assert error.code == "conversion-impossible"
        # The pair: the content type and the pipeline.
        assert of in error.message
        assert f'fileExtension "{extension}"' in error.message


KEPT = [
    ("image/jpeg", ("blur", 2), "image", "jpg"),
    ("image/heic", ("blur", 2), "image", "heic"),
    ("image/gif", ("blur", 2), "image", "gif"),
    ("image/bmp", ("blur", 2), "image", "png"),
    ("image/svg+xml", ("width", 20), "image", "png"),
    ("video/quicktime", ("fps", 20), "video", "mov"),
    ("video/x-matroska", ("fps", 20), "video", "mp4"),
    ("video/mp4", ("frame", 20), "video", "jpg"),
    ("audio/wav", ("start", 20), "audio", "wav"),
    ("application/pdf", ("page", 2), "document", "pdf"),
    ("application/pdf", ("width", 200), "document", "jpg"),
    ("application/pdf", ("dpi", 200), "document", "jpg"),
]


@pytest.mark.parametrize(("of", "step", "runner", "extension"), KEPT)
def test_without_a_format_the_files_own_is_kept(
    of: str, step: tuple[str, Any], runner: str, extension: str
) -> None:
    recipe = make(step, of=of)
    assert (recipe.runner, recipe.extension) == (runner, extension)


@pytest.mark.parametrize(
    ("written", "extension"),
    [("JPEG", "jpg"), (".tiff", "tif"), ("heif", "heic"), ({"value": "png"}, "png")],
)
def test_a_format_may_be_written_in_several_ways(written: Any, extension: str) -> None:
    assert make(("fileextension", written)).extension == extension


IMPOSSIBLE: list[tuple[str, list[tuple[str, Any]], int, str]] = [
    ("video/mp4", [("blur", 2)], 0, "blur does not apply to a video in mp4"),
    ("video/mp4", [("page", 2)], 0, "page does not apply"),
    ("video/mp4", [("rotate", 45)], 0, "90, 180 or 270"),
    ("video/mp4", [("crop", {"ratio": "1:1", "gravity": "entropy"})], 0, "compass"),
    ("video/mp4", [("width", 8193)], 0, "at most 8192"),
    ("video/mp4", [("codec", "vp9")], 0, "codec of mp4"),
    ("video/mp4", [("crf", 60)], 0, "crf of mp4 is 0 to 51"),
    ("video/mp4", [("crf", 20), ("bitrate", 500)], 1, "crf and bitrate"),
    ("video/mp4", [("quality", 20), ("bitrate", 500)], 0, "bitrate and quality"),
    ("video/mp4", [("mute", True), ("audio", {"codec": "aac"})], 1, "audio codec does not apply"),
    ("video/mp4", [("fileExtension", "gif"), ("fps", 51)], 1, "fps of gif is 1 to 50"),
    ("video/mp4", [("fileExtension", "gif"), ("quality", 50)], 1, "quality does not apply"),
    ("video/mp4", [("fileExtension", "mp3"), ("fps", 5)], 1, "fps does not apply to a sound"),
    ("video/mp4", [("fileExtension", "mp3"), ("width", 5)], 1, "resize does not apply to a sound"),
    ("video/mp4", [("fileExtension", "jpg"), ("codec", "h264")], 1, "codec does not apply"),
    ("audio/wav", [("bitrate", 500), ("fileExtension", "mp3")], 0, "32 to 320"),
    ("audio/wav", [("bitrate", 128)], 0, "bitrate does not apply"),
    ("audio/wav", [("fileExtension", "opus"), ("audio", {"sample_rate": 44_100})], 1, "48000"),
    ("audio/wav", [("fileExtension", "mp3"), ("codec", "aac")], 1, "codec of mp3"),
    ("audio/wav", [("mute", True)], 0, "mute does not apply"),
    ("image/jpeg", [("fileExtension", "png"), ("quality", 50)], 1, "quality does not apply"),
    ("image/jpeg", [("fileExtension", "tif"), ("maxBytes", 5000)], 1, "maxBytes does not apply"),
    ("image/jpeg", [("fileExtension", "png"), ("colorSpace", "cmyk")], 1, "cannot hold cmyk"),
    ("image/jpeg", [("fileExtension", "gif"), ("colorProfile", "embed")], 1, "a profile"),
    ("image/jpeg", [("colorSpace", "p3"), ("colorProfile", "strip")], 1, "means nothing"),
    ("image/jpeg", [("colorSpace", "p3"), ("colorProfile", "srgb")], 0, "contradict"),
    ("image/jpeg", [("fileExtension", "webp"), ("width", 16_384)], 1, "at most 16383"),
    ("image/jpeg", [("frame", 1)], 0, "frame does not apply to a picture"),
    ("image/jpeg", [("page", 1)], 0, "page does not apply"),
    ("application/pdf", [("fileExtension", "png"), ("page", "1-2")], 1, "one page"),
    ("application/pdf", [("fileExtension", "pdf"), ("blur", 2)], 1, "blur does not apply"),
    ("application/pdf", [("fileExtension", "pdf"), ("dpi", 200)], 1, "dpi does not apply"),
]


@pytest.mark.parametrize(("of", "steps", "index", "told"), IMPOSSIBLE)
def test_what_means_nothing_for_the_output_is_refused_not_ignored(
    of: str, steps: list[tuple[str, Any]], index: int, told: str
) -> None:
    error = refused(*steps, of=of)
    assert error.code == "conversion-impossible"
    assert error.field.startswith(f"{PLACE}[{index}].value")
    assert told in error.message
    assert of in error.message
    assert error.remedy


@pytest.mark.parametrize(
    ("steps", "place", "told"),
    [
        (None, "", "1 to 32 steps"),
        ([], "", "an empty list"),
        ({}, "", "an empty object"),
        ("resize", "", '"resize"'),
        ([None], "[0]", "type and value"),
        ([{"value": 3}], "[0]", "type and value"),
        ([{"type": 3, "value": 3}], "[0].type", "fileExtension"),
        ([{"type": "blurr", "value": 3}], "[0].type", '"blurr"'),
        ([{"type": "trim", "values": 3}], "[0]", 'no "values" in a step'),
        ([{"type": "blur"}], "[0].value", "null"),
        ([{"type": "dpi", "value": 72}, {"type": "DPI", "value": 72}], "[1].value", "only once"),
        (
            [{"type": "video", "value": {"fps": 5}}, {"type": "fps", "value": 5}],
            "[1].value",
            "only once",
        ),
    ],
)
def test_what_is_no_pipeline_is_refused(steps: Any, place: str, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        compile_pipeline(steps, media_group="Images", content_type="image/jpeg", field=PLACE)
    assert (caught.value.code, caught.value.field) == ("conversion-invalid", PLACE + place)
    assert told in caught.value.message


def test_a_pipeline_has_a_length() -> None:
    steps = [("flip", "h")] * PIPELINE_LENGTH_MAX
    assert len(make(*steps).operations) == PIPELINE_LENGTH_MAX
    assert "at most 32 steps, not 33" in refused(*steps, ("flip", "h")).message


# --- completed recipes ---------------------------------------------------------------------------


def test_operations_keep_their_order_and_settings_have_theirs() -> None:
    recipe = make(
        ("quality", 50), ("flip", "h"), ("background", "red"), ("width", 5), ("flip", "v")
    )
    assert [step.type for step in recipe.steps] == [
        "flip",
        "resize",
        "flip",
        "background",
        "colorSpace",
        "colorProfile",
        "metadata",
        "quality",
    ]


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ("jpg", {"colorSpace": "auto", "colorProfile": "embed", "quality": 85}),
        ("png", {"colorSpace": "auto", "colorProfile": "embed"}),
        ("webp", {"colorSpace": "auto", "colorProfile": "embed", "quality": 80}),
        ("avif", {"colorSpace": "auto", "colorProfile": "embed", "quality": 60}),
        ("gif", {"colorSpace": "srgb", "colorProfile": "strip"}),
        ("pdf", {"colorSpace": "auto", "colorProfile": "embed", "quality": 85}),
    ],
)
def test_a_picture_is_complete(extension: str, expected: dict[str, Any]) -> None:
    recipe = make(("fileExtension", extension))
    found = {step.type: step.value for step in recipe.steps}
    assert found == expected | {"metadata": "copyright"}


def test_a_video_is_complete() -> None:
    recipe = make(("video", {"height": "720", "fps": 25.0}), of="video/quicktime")
    assert recipe.operations == (Step("resize", box(None, 720)),)
    assert recipe.setting("video") == {
        "codec": "h264",
        "fps": 25,
        "crf": 23,
        "bitrate_kbps": None,
        "start_seconds": 0,
        "duration_seconds": None,
        "mute": False,
        "audio_codec": "aac",
        "audio_bitrate_kbps": 160,
    }


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("bitrate", "2.5M")], {"crf": None, "bitrate_kbps": 2500}),
        ([("bitrate", "800k")], {"crf": None, "bitrate_kbps": 800}),
        ([("codec", "HEVC")], {"codec": "h265", "crf": 27}),
        ([("codec", "hevc"), ("quality", 100)], {"crf": 16}),
        ([("quality", "High")], {"crf": 20}),
        ([("mute", "true")], {"mute": True, "audio_codec": None, "audio_bitrate_kbps": None}),
        ([("audio", {"bitrate": 96})], {"audio_bitrate_kbps": 96}),
        (
            [("start", "0:01:00"), ("duration", 2)],
            {"start_seconds": 60, "duration_seconds": 2},
        ),
        ([("fileExtension", "webm")], {"codec": "vp9", "audio_codec": "opus", "crf": 32}),
        (
            [("fileExtension", "gif")],
            {"codec": "gif", "fps": 10, "crf": None, "mute": True, "audio_codec": None},
        ),
    ],
)
def test_the_settings_of_a_video(steps: list[tuple[str, Any]], expected: dict[str, Any]) -> None:
    video = make(*steps, of="video/mp4").setting("video")
    assert {name: video[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("fileExtension", "mp3")], {"codec": "mp3", "bitrate_kbps": 192}),
        ([("fileExtension", "flac")], {"codec": "flac", "bitrate_kbps": None}),
        ([("fileExtension", "mp3"), ("quality", "Low")], {"bitrate_kbps": 38}),
        ([("fileExtension", "mp3"), ("quality", 100)], {"bitrate_kbps": 320}),
        ([("fileExtension", "m4a"), ("bitrate", "96k")], {"bitrate_kbps": 96}),
        (
            [("audio", {"channels": "mono", "sample_rate": "16000"})],
            {"codec": "pcm", "channels": 1, "sample_rate_hz": 16_000},
        ),
    ],
)
@pytest.mark.parametrize("of", ["audio/wav", "video/mp4"])
def test_the_settings_of_a_sound(
    of: str, steps: list[tuple[str, Any]], expected: dict[str, Any]
) -> None:
    if not any(kind == "fileExtension" for kind, _ in steps):
        steps = [("fileExtension", "wav"), *steps]
    recipe = make(*steps, of=of)
    assert recipe.runner == "audio"
    audio = recipe.setting("audio")
    assert {name: audio[name] for name in expected} == expected
    assert audio.keys() == {
        "codec",
        "bitrate_kbps",
        "channels",
        "sample_rate_hz",
        "start_seconds",
        "duration_seconds",
    }


def test_a_still_and_a_page_say_which() -> None:
    assert make(("fileExtension", "png"), of="video/mp4").setting("frame") == {"percent": 10}
    assert make(("fileExtension", "png"), of="application/pdf").setting("page") == 1
    assert make(("fileExtension", "pdf"), of="application/pdf").setting("page") is None
    still = make(("fileExtension", "gif"), ("frame", 3), ("blur", 2), of="video/mp4")
    assert (still.setting("frame"), still.setting("video")) == ({"seconds": 3}, None)


# --- watermarks by asset -------------------------------------------------------------------------


def test_assets_become_stored_sources() -> None:
    recipe = make(
        ("watermark", {"asset": 5}),
        ("watermark", "Proof"),
        ("watermark", {"asset": "logo", "position": "north"}),
        ("watermark", {"asset": "5", "tile": True}),
    )
    assert asset_watermarks(recipe) == ("5", "logo")
    placed = with_watermarks(recipe, {"5": "a" * 64, "logo": "b" * 64})
    assert placed.watermark_sha256s == ("a" * 64, "b" * 64)
    assert [step.value["source"] for step in placed.operations] == [0, None, 1, 0]
    assert asset_watermarks(placed) == ()
    assert placed.key != recipe.key
    # The same picture under another number gives the same result, so it is not made twice.
    other = with_watermarks(make(("watermark", {"asset": 5})), {"5": "a" * 64})
    again = with_watermarks(make(("watermark", {"asset": 6})), {"6": "a" * 64})
    assert other.key == again.key
    assert with_watermarks(make(("blur", 3)), {}) == make(("blur", 3))


# --- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("Width", "800")], [("resize", {"width": 800})]),
        ([("rotate", "auto"), ("width", 8)], [("width", {"value": 8.0})]),
        ([("quality", 85)], [("fileExtension", "jpeg")]),
        ([("dpi", 72), ("flip", "h")], [("flip", "h"), ("dpi", 72)]),
        ([("ratio", "16:9")], [("crop", {"gravity": "center", "ratio": "32/18"})]),
    ],
)
def test_what_means_the_same_has_the_same_key(
    one: list[tuple[str, Any]], other: list[tuple[str, Any]]
) -> None:
    assert make(*one) == make(*other)
    assert make(*one).key == make(*other).key
    assert hash(make(*one)) == hash(make(*other))


def test_whatever_changes_the_result_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [
        make(("width", 800)),
        make(("width", 801)),
        make(("width", 800), ("flip", "h")),
        make(("width", 800), ("fileExtension", "png")),
        make(("width", 800), ("fileExtension", "png"), of="application/pdf"),
        make(("width", 800), ("quality", 84)),
        make(("flip", "h"), ("ratio", 2)),
        make(("ratio", 2), ("flip", "h")),
    ]
    keys = {recipe.key for recipe in recipes}
    assert len(keys) == len(recipes)
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)
    monkeypatch.setattr("entrepot.core.conversions._recipe.converter_version", lambda _: "another")
    assert not keys & {replace(recipe).key for recipe in recipes}


@pytest.mark.parametrize("runner", [*RUNNERS, "metadata"])
def test_a_version_names_our_number_and_every_library_that_is_there(runner: str) -> None:
    number, *libraries = converter_version(runner).split()
    assert int(number) >= 1
    assert not any(library.endswith("=absent") for library in libraries)
    assert bool(libraries) == (runner != "metadata")


# --- properties ----------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["16:9", "50%", "1-3", "auto", "1:30", "2.5M", "red", "#12345678", "High"])
    | st.integers(1, 300)
    | st.integers(1, 300).map(str)
)
fields = st.sampled_from(
    [
        "width",
        "height",
        "fit",
        "upscale",
        "percent",
        "ratio",
        "gravity",
        "cropping_type",
        "top_left",
        "text",
        "asset",
        "fps",
        "codec",
        "value",
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(fields | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
steps_of_any_kind = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(STEP_TYPES), "value": anything})
    | st.dictionaries(st.sampled_from(["type", "value", "x"]), anything),
    max_size=5,
)
sources = st.sampled_from(sorted(GROUPS))


@given(steps_of_any_kind | anything, sources)
@settings(max_examples=400, deadline=None)
def test_any_json_gives_a_recipe_or_a_clear_refusal(steps: Any, of: str) -> None:
    try:
        recipe = compile_pipeline(steps, media_group=GROUPS[of], content_type=of, field=PLACE)
    except Invalid as error:
        assert error.code in ("conversion-invalid", "conversion-impossible")
        assert error.field.startswith(PLACE)
        assert 0 < len(error.message) < 1000
        f"{error.message} {error.field} {error.remedy}".encode()
    else:
        assert_normal(recipe)


def assert_normal(recipe: Recipe) -> None:
    """Settings follow operations, each once and in order, and JSON brings the same back."""
    kinds = [step.type for step in recipe.steps]
    rest = kinds[len(recipe.operations) :]
    assert all(kind in OPERATIONS for kind in kinds[: len(recipe.operations)])
    assert rest == [kind for kind in SETTINGS if kind in rest]
    document = json.loads(json.dumps(recipe_to_document(recipe)))
    assert recipe_from_document(document) == recipe
    assert recipe_from_document(document).key == recipe.key


GOOD_VALUES = st.sampled_from(
    [(kind, value) for kind, value, _ in GOOD_OPERATIONS]
    + [(kind, value) for of, kind, value, *_ in GOOD_SETTINGS if of == "image/jpeg"]
)


@given(st.lists(GOOD_VALUES, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_keys_and_the_way_of_writing_change_nothing(
    steps: list[tuple[str, Any]], random: Any
) -> None:
    try:
        recipe = make(*steps)
    except Invalid:
        return  # two settings of one kind; what is refused has tests of its own
    assert_normal(recipe)
    rewritten = [
        {"value": _rewritten(value, random), "type": random.choice([kind.upper(), kind.lower()])}
        for kind, value in steps
    ]
    again = compile_pipeline(
        rewritten, media_group="Images", content_type="image/jpeg", field="elsewhere"
    )
    assert again == recipe
    assert again.key == recipe.key


def _rewritten(value: Any, random: Any) -> Any:
    """The same value with its keys in another order, and its numbers as strings."""
    if isinstance(value, dict):
        pairs = [(key, _rewritten(each, random)) for key, each in value.items()]
        random.shuffle(pairs)
        return dict(pairs)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value
