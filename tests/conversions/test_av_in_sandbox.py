"""Videos, sounds and pages through the locked-in converter: ffmpeg has to run in there, and die."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from entrepot.core.conversions.port import MEBIBYTE, ConversionCancelled, ConversionFailed, Limits
from entrepot.core.conversions.recipes import Recipe, Step, recipe_to_document
from entrepot.core.conversions.sandbox import SandboxedConverter
from tests.conversions.clips import audio, make, make_pdf, picture, resize, video

LIMITS = Limits(memory_bytes_max=1024 * MEBIBYTE, cpu_seconds_max=60, wall_seconds_max=60)
WATERMARK = {
    "text": "A text",
    "source": None,
    "position": "centre",
    "opacity": 0.5,
    "scale": 0.5,
    "tile": False,
    "colour": "#ffffffff",
}


def long() -> bytes:
    """Many times what either test below waits for."""
    return make(graph="testsrc2=s=480x360:r=30:d=20", sound=False)


LABORIOUS = video("webm", resize(1920, 1440, upscale=True), crf=10)


@pytest.fixture(scope="module")
def converter() -> Iterator[SandboxedConverter]:
    made = SandboxedConverter(LIMITS)
    yield made
    made.close()


def stored(data: bytes) -> BinaryIO:
    """As the blob store has them: to be read only, and without a name that says anything."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(data)
    path = Path(file.name)
    path.chmod(0o400)
    opened = path.open("rb")
    path.unlink()
    return opened


@pytest.mark.parametrize(
    ("recipe", "facts"),
    [
        (video(), {"width": 160, "height": 120, "video_codec": "h264", "audio_codec": "aac"}),
        (video("webm", resize(80, None)), {"width": 80, "video_codec": "vp9"}),
        (video("gif"), {"width": 160, "video_codec": "gif"}),
        (video("mp4", Step("watermark", WATERMARK)), {"width": 160, "video_codec": "h264"}),
        (audio("mp3"), {"audio_codec": "mp3", "channels": 1}),
        (picture("video", "jpg", resize(80, None), frame={"percent": 10}), {"width": 80}),
        (picture("document", "png", page=1), {"width": 300, "height": 150}),
        (
            Recipe("document", (Step("metadata", "strip"),), "pdf", "application/pdf"),
            {"pages": 1},
        ),
    ],
)
def test_runners(
    converter: SandboxedConverter, recipe: Recipe, facts: dict[str, int | str]
) -> None:
    data = make_pdf((144, 72)) if recipe.runner == "document" else make()
    with stored(data) as source, tempfile.TemporaryFile() as target:
        result = converter.convert(source, recipe_to_document(recipe), target)
        assert result.size == target.seek(0, 2) > 0
    assert facts.items() <= result.facts.items()


def test_probes(converter: SandboxedConverter) -> None:
    with stored(make()) as source:
        assert converter.probe(source, content_type="video/mp4")["video_codec"] == "h264"
    with stored(make_pdf((144, 72), (72, 72))) as source:
        assert converter.probe(source, content_type="application/pdf")["pages"] == 2


def test_the_reason_of_a_refusal_comes_out(converter: SandboxedConverter) -> None:
    with (
        stored(b"no video" * 400) as source,
        tempfile.TemporaryFile() as target,
        pytest.raises(ConversionFailed, match="damaged") as caught,
    ):
        converter.convert(source, recipe_to_document(video()), target)
    assert caught.value.code == "media-damaged"


def test_a_running_conversion_is_cancelled(converter: SandboxedConverter) -> None:
    started = time.monotonic()
    with stored(long()) as source, tempfile.TemporaryFile() as target:
        with pytest.raises(ConversionCancelled):
            converter.convert(
                source,
                recipe_to_document(LABORIOUS),
                target,
                cancelled=lambda: time.monotonic() - started > 1,
            )
        # Cancelled, not ended by its limits: those are a minute.
        assert 1 < time.monotonic() - started < 50
        size = target.seek(0, 2)
        time.sleep(0.3)
        assert target.seek(0, 2) == size  # nobody writes any more


def test_time_is_limited() -> None:
    hasty = SandboxedConverter(Limits(cpu_seconds_max=2, wall_seconds_max=40))
    try:
        with (
            stored(long()) as source,
            tempfile.TemporaryFile() as target,
            pytest.raises(ConversionFailed) as caught,
        ):
            hasty.convert(source, recipe_to_document(LABORIOUS), target)
        assert caught.value.code == "media-too-slow"
    finally:
        hasty.close()
