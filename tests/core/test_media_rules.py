"""The operator's rules for media: the built-in ones, a file over them, and every fault at once."""

import re
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.catalogue.media_types import MEDIA_GROUPS
from entrepot.core.conversions.naming import FIELDS
from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.rules import METADATA_RECIPE, MediaRules, load_media_rules
from entrepot.errors import Invalid

PAGE = Path(__file__).parent.parent.parent / "docs" / "howto" / "media-rules.md"
GROUPS = tuple(group.name for group in MEDIA_GROUPS)


@pytest.fixture(scope="module")
def rules() -> MediaRules:
    """What a hub without a file has."""
    return load_media_rules()


def load(tmp_path: Path, text: str) -> MediaRules:
    path = tmp_path / "media.toml"
    path.write_text(text)
    return load_media_rules(path)


def faults(tmp_path: Path, text: str) -> dict[str, str]:
    """Place -> what is wrong there."""
    with pytest.raises(Invalid) as caught:
        load(tmp_path, text)
    assert caught.value.code == "media-rules-invalid"
    for place in caught.value.details:
        assert f"  {place}: " in caught.value.message
    return {place: str(told) for place, told in caught.value.details.items()}


def steps(recipe: Recipe | None) -> dict[str, Any]:
    assert recipe is not None
    return {step.type: step.value for step in recipe.steps}


# --- the built-in rules --------------------------------------------------------------------------

CONTRACT = {
    "Images": "downloadOriginal downloadPreview downloadAlternative preview bigthumbnail thumbnail"
    " metadata pdf",
    "Vectors": "downloadOriginal downloadPreview downloadAlternative preview bigthumbnail thumbnail"
    " metadata pdf",
    "Videos": "downloadOriginal downloadPreview downloadAlternative mp4 preview bigthumbnail"
    " thumbnail metadata",
    "Audio": "downloadOriginal downloadPreview metadata",
    "Documents": "downloadOriginal downloadPreview downloadAlternative preview bigthumbnail"
    " thumbnail metadata pdf",
    "Archives": "downloadOriginal metadata",
    "Default": "downloadOriginal metadata",
}


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_has_the_renditions_of_the_contract(rules: MediaRules, group: str) -> None:
    assert rules.renditions_of(group) == tuple(CONTRACT[group].split())
    assert rules.defaults(group) == ("downloadOriginal",)


@pytest.mark.parametrize(
    ("name", "group", "content_type", "extension", "longest"),
    [
        ("downloadPreview", "Images", "image/png", "jpg", 2048),
        ("downloadPreview", "Vectors", "image/svg+xml", "jpg", 2048),
        ("downloadAlternative", "Images", "image/heic", "jpg", None),
        ("downloadAlternative", "Documents", "application/pdf", "png", 2048),
        ("preview", "Images", "image/jpeg", "jpg", 1024),
        ("preview", "Documents", "application/pdf", "jpg", 1024),
        ("bigthumbnail", "Images", "image/jpeg", "jpg", 640),
        ("thumbnail", "Images", "image/jpeg", "jpg", 280),
        ("thumbnail", "Videos", "video/quicktime", "jpg", 280),
        ("pdf", "Images", "image/jpeg", "pdf", None),
    ],
)
def test_pictures_are_made_as_the_contract_says(
    rules: MediaRules, name: str, group: str, content_type: str, extension: str, longest: int | None
) -> None:
    recipe = rules.rendition(name, group, content_type)
    assert recipe is not None
    assert recipe.extension == extension
    size = {"width": longest, "height": longest, "fit": "inside", "upscale": False}
    assert steps(recipe).get("resize") == (size if longest else None)
    assert recipe.setting("colorSpace") in ("srgb", "auto")


def test_videos_and_sounds_are_made_as_the_contract_says(rules: MediaRules) -> None:
    for name, extension, height in (
        ("downloadPreview", "mp4", 720),
        ("preview", "mp4", 480),
        ("downloadAlternative", "webm", None),
        ("mp4", "mp4", None),
    ):
        recipe = rules.rendition(name, "Videos", "video/quicktime")
        assert recipe is not None
        assert recipe.extension == extension
        assert steps(recipe).get("resize", {}).get("height") == height
    mp4 = rules.rendition("mp4", "Videos", "video/mp4")
    assert (steps(mp4)["video"]["codec"], steps(mp4)["video"]["audio_codec"]) == ("h264", "aac")
    sound = rules.rendition("medium", "Audio", "audio/wav")
    assert sound is not None
    assert sound.extension == "m4a"


def test_some_renditions_are_the_file_itself(rules: MediaRules) -> None:
    for name in ("downloadOriginal", "Original", "ORIGINAL"):
        for group in GROUPS:
            assert rules.rendition(name, group, "application/octet-stream") is None
    assert rules.rendition("pdf", "Documents", "application/pdf") is None
    assert rules.rendition("medium", "Documents", "application/pdf") is None
    assert rules.rendition("metadata", "Archives", "application/zip") == METADATA_RECIPE


def test_what_a_group_or_a_file_cannot_have_is_refused(rules: MediaRules) -> None:
    with pytest.raises(Invalid) as caught:
        rules.rendition("mp4", "Images", "image/png", field="a.b[0]")
    assert (caught.value.code, caught.value.field) == ("rendition-impossible", "a.b[0]")
    assert "Videos" in caught.value.remedy
    with pytest.raises(Invalid) as caught:
        rules.rendition("thumbnail", "Documents", "application/epub+zip", field="a.b[0]")
    assert (caught.value.code, caught.value.field) == ("conversion-impossible", "a.b[0]")
    assert "application/epub+zip" in caught.value.message
    with pytest.raises(Invalid) as caught:
        rules.rendition("smallthumbnail", "Images", "image/png")
    assert caught.value.code == "rendition-unknown"
    assert "bigthumbnail" in caught.value.remedy


def test_presets_and_names_are_found_in_any_letter_case(rules: MediaRules) -> None:
    assert rules.preset("WEB", "Images", "image/png").extension == "webp"
    assert rules.preset("web", "Documents", "application/pdf").runner == "document"
    assert rules.preset("small-video", "Videos", "video/webm").extension == "mp4"
    assert rules.resolver("Standard") == rules.resolver(None)
    assert rules.resolver("by-group").template == "{asset.group}/{asset.stem}_{rendition}.{ext}"
    for name, group, content_type, code in (
        ("nope", "Images", "image/png", "preset-unknown"),
        ("small-video", "Images", "image/png", "conversion-impossible"),
        ("web", "Archives", "application/zip", "conversion-impossible"),
        ("print", "Audio", "audio/mpeg", "conversion-impossible"),
    ):
        with pytest.raises(Invalid) as caught:
            rules.preset(name, group, content_type, field="p[1]")
        assert (caught.value.code, caught.value.field) == (code, "p[1]")
    with pytest.raises(Invalid) as caught:
        rules.resolver("nope")
    assert caught.value.code == "resolver-unknown"


def test_an_answer_is_worked_out_once(rules: MediaRules) -> None:
    first = rules.rendition("preview", "Images", "image/png")
    assert rules.rendition("Preview", "Images", "image/png") is first


def test_every_runner_has_limits(rules: MediaRules) -> None:
    assert rules.limits.keys() == {"image", "video", "audio", "document", "office"}
    assert rules.limits["image"].pixels_max == Limits().pixels_max
    assert rules.limits["video"].duration_seconds_max == Limits().duration_seconds_max


# --- a file over them ----------------------------------------------------------------------------


def test_the_example_of_the_page_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 1
    rules = load(tmp_path, blocks[0])
    thumbnail = rules.rendition("thumbnail", "Images", "image/png")
    assert thumbnail is not None
    assert thumbnail.extension == "webp"
    # Not mentioned, so as it was.
    assert rules.rendition("thumbnail", "Documents", "application/pdf") is not None
    proof = steps(rules.rendition("Watermarked", "Images", "image/png"))
    assert proof["watermark"]["text"] == "Example Ltd."
    assert rules.defaults("Images") == ("downloadOriginal", "proof")
    assert rules.defaults("Videos") == ("downloadOriginal",)
    assert steps(rules.preset("social", "Videos", "video/mp4"))["video"]["duration_seconds"] == 60
    assert rules.resolver(None).id == "by-group-and-folder"
    assert "by-folder" not in rules.resolvers
    assert rules.limits["video"].wall_seconds_max == 3600
    assert rules.limits["video"].pixels_max == load_media_rules().limits["video"].pixels_max


def test_the_page_names_every_field_and_every_limit() -> None:
    page = PAGE.read_text()
    assert all(f"{{{name}}}" in page for name in FIELDS)
    assert all(f"`{name}`" in page for name in Limits.__dataclass_fields__)


def test_a_rendition_can_be_taken_away(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        '[renditions]\nmp4 = "none"\n[renditions.pdf]\nImages = "none"\nArchives = "original"\n',
    )
    assert "mp4" not in rules.renditions
    assert "pdf" not in rules.renditions_of("Images")
    assert "pdf" in rules.renditions_of("Documents")
    assert rules.rendition("pdf", "Archives", "application/zip") is None


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "") == load_media_rules()


# --- faults --------------------------------------------------------------------------------------

FAULTS: list[tuple[str, str, str]] = [
    ("foo = 1", '"foo"', "no such section"),
    ("renditions = 3", "renditions", "a table"),
    ("[renditions]\nx = 3", "renditions.x", "a table"),
    ("[renditions.x]\nimages = []", "renditions.x.images", "no such key"),
    ("[renditions.'a b']\nevery = 'original'", "renditions", "is no name"),
    ("[renditions.x]\ntitle = 3", "renditions.x.title", "a text"),
    ('[renditions.x]\ntitle = "a\\u0007"', "renditions.x.title", "control characters"),
    ("[renditions.x]\nImages = 'as it is'", "renditions.x.Images", "a list of steps"),
    ("[renditions.x]\nImages = []", "renditions.x.Images", "1 to 32 steps"),
    (
        "[renditions.x]\nImages = [{type='blur', value='much'}]",
        "renditions.x.Images[0].value",
        "0.3 to 200",
    ),
    (
        "[renditions.x]\nVideos = [{type='blur', value=3}]",
        "renditions.x.Videos[0].value",
        "does not apply to a video",
    ),
    ("[renditions.x]\nArchives = [{type='blur', value=3}]", "renditions.x.Archives", "original"),
    ("[renditions.x]\nevery = 3", "renditions.x.every", "a list of steps, not 3"),
    ("[renditions.x]\naliases = 'y'", "renditions.x.aliases", "a list"),
    ("[renditions.x]\naliases = ['Medium']", "renditions.x", "downloadPreview already"),
    ("[renditions.Thumbnail]\nevery = 'original'", "renditions.Thumbnail", "already"),
    (
        "[renditions.x]\nImages = [{type='watermark', value={asset=3}}]",
        "renditions.x.Images",
        "is a text",
    ),
    ("[presets.x]\ntitle = 'x'", "presets.x", "needs steps"),
    ("[presets.x]\nsteps = [{type='blurr', value=3}]", "presets.x.steps[0].type", "blurr"),
    ("[presets.x]\nsteps = 3", "presets.x.steps", "1 to 32 steps"),
    ("[presets.x]\nAudio = [{type='width', value=3}]", "presets.x.Audio[0].value", "sound"),
    ("[presets.x]\nsteps = [2020-01-01]", "presets.x.steps[0]", "a step"),
    ("[resolvers.x]\ntitle = 'x'", "resolvers.x.template", "its ending"),
    ("[resolvers.x]\ntemplate = '{asset.stem}'", "resolvers.x.template", "its ending"),
    ("[resolvers.x]\ntemplate = '{asset.size}.{ext}'", "resolvers.x.template", "{asset.size}"),
    ("[resolvers.x]\ntemplate = '{{ext}}.{ext}'", "resolvers.x.template", "no field"),
    ("[resolvers.x]\ntemplate = 'a/b.{ext}'", "resolvers.x.template", "slashes"),
    ("[resolvers.x]\ntemplate = 'x}.{ext}'", "resolvers.x.template", "'}'"),
    (
        f"[resolvers.x]\ntemplate = '{'x' * 200}.{{ext}}'",
        "resolvers.x.template",
        "200 characters",
    ),
    (
        "[resolvers.x]\ntemplate = 'x.{ext}'\nfolder = '../up'",
        "resolvers.x.folder",
        "is no folder",
    ),
    ("[resolvers.x]\ntemplate = 'x.{ext}'\nfolder = '/a'", "resolvers.x.folder", "is no folder"),
    ("[resolvers.x]\ntemplate = 'x.{ext}'\nfolder = '{ext}'", "resolvers.x.folder", "no ending"),
    ("default_resolver = 'nope'", "default_resolver", '"nope"'),
    ("[resolvers]\nstandard = 'none'", "default_resolver", '"standard"'),
    ("default_resolver = [1]", "default_resolver", "a list"),
    ("[defaults]\nImages = 'preview'", "defaults.Images", "a list of names"),
    ("[defaults]\nImages = ['nope']", "defaults.Images", '"nope"'),
    ("[defaults]\nImages = [3]", "defaults.Images", "3"),
    ("[defaults]\nImages = ['mp4']", "defaults.Images", "have no rendition mp4"),
    ("[defaults]\nimages = ['preview']", "defaults.images", "no such key"),
    ("[limits.images]\npixels_max = 1", "limits.images", "no such key"),
    ("[limits.image]\npixels = 1", "limits.image.pixels", "no such key"),
    ("[limits.image]\npixels_max = 0", "limits.image.pixels_max", "whole number"),
    ("[limits.image]\npixels_max = 1.5", "limits.image.pixels_max", "whole number"),
    ("[limits.image]\npixels_max = true", "limits.image.pixels_max", "whole number"),
    ("[limits]\nimage = 3", "limits.image", "a table"),
]


@pytest.mark.parametrize(("text", "place", "told"), FAULTS)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, place: str, told: str) -> None:
    found = faults(tmp_path, text)
    assert set(found) == {place}
    assert told in found[place]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "foo = 1\n[presets.a]\nsteps = 3\n[presets.b]\nsteps = 3\n"
        "[resolvers.c]\ntemplate = '{x}'\n[limits.image]\npixels_max = 0\n",
    )
    assert set(found) == {
        '"foo"',
        "presets.a.steps",
        "presets.b.steps",
        "resolvers.c.template",
        "limits.image.pixels_max",
    }


def test_every_step_that_is_wrong_by_itself_is_told(tmp_path: Path) -> None:
    three = """steps = [
      { type = "resize", value = { widht = 3 } },
      { type = "flip", value = "h" },
      { type = "blurr", value = 3 },
      { type = "quality", value = 300 },
    ]"""
    found = faults(tmp_path, f"[presets.bad]\n{three}")
    place = "presets.bad.steps"
    assert set(found) == {f"{place}[0].value", f"{place}[2].type", f"{place}[3].value"}


def test_very_many_faults_are_counted(tmp_path: Path) -> None:
    text = "".join(f"[presets.p{number}]\nsteps = 3\n" for number in range(60))
    path = tmp_path / "media.toml"
    path.write_text(text)
    with pytest.raises(Invalid, match="60 faults") as caught:
        load_media_rules(path)
    assert caught.value.message.endswith("and 10 more")
    assert len(caught.value.details) == 50


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    text = "".join(f"[presets.p{number}]\nsteps = 3\n" for number in range(501))
    assert "500 entries" in faults(tmp_path, text)["presets"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[presets", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"a = " + b"[" * 100_000, "not TOML"),
        (b"# " + b"x" * 2**20, "more than"),
    ],
)
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "media.toml"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=told) as caught:
        load_media_rules(path)
    assert caught.value.code == "media-rules-invalid"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        load_media_rules(tmp_path / "nope.toml")
    with pytest.raises(Invalid, match="cannot be read: Is a directory"):
        load_media_rules(tmp_path)
