"""What every Converter holds to, with every kind of work; the port is conversions/port.py.

To add a converter, add how it is made to CONVERTERS.
"""

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import Image

from entrepot.core.conversions.port import (
    ConversionCancelled,
    ConversionFailed,
    Converted,
    Converter,
    Limits,
    never,
)
from entrepot.core.conversions.recipes import Recipe, Step, recipe_to_document
from entrepot.core.conversions.rules import load_media_rules
from entrepot.core.conversions.sandbox import SandboxedConverter
from entrepot.jobs import CONVERSIONS, VIDEOS
from entrepot.worker.converters import Converters
from tests.conversions import clips
from tests.conversions.trials import source_file

CONVERTERS: dict[str, Callable[[], Converter]] = {
    "sandboxed": SandboxedConverter,
    "of the worker": lambda: Converters(load_media_rules(None), {CONVERSIONS: 1, VIDEOS: 1}),
}


@dataclass(frozen=True)
class Kind:
    """A file, what it is to become, what shall be found in it, and how the result is told."""

    source: Callable[[], bytes]
    content_type: str
    recipe: Recipe
    facts: dict[str, object]
    looks_right: Callable[[bytes], bool]


def png() -> bytes:
    made = io.BytesIO()
    Image.effect_noise((320, 200), 64).convert("RGB").save(made, "PNG")
    return made.getvalue()


def is_picture(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as shown:
        shown.load()
        return max(shown.size) == 64


def has_stream(kind: str) -> Callable[[bytes], bool]:
    def looks(data: bytes) -> bool:
        with av.open(io.BytesIO(data)) as opened:
            return any(stream.type == kind for stream in opened.streams)

    return looks


def is_pdf(data: bytes) -> bool:
    with pypdfium2.PdfDocument(data) as document:
        return len(document) == 2


SMALLER = clips.resize(64, 64)
KINDS = {
    "image": Kind(
        png, "image/png", clips.picture("image", "jpg", SMALLER), {"width": 320}, is_picture
    ),
    "video": Kind(
        clips.make, "video/mp4", clips.video("mp4", SMALLER), {"width": 160}, has_stream("video")
    ),
    "still": Kind(
        clips.make,
        "video/mp4",
        clips.picture("video", "png", SMALLER, frame={"seconds": 0.5}),
        {"height": 120},
        is_picture,
    ),
    "audio": Kind(
        lambda: clips.make("wav", picture=False),
        "audio/wav",
        clips.audio("mp3"),
        {"channels": 1},
        has_stream("audio"),
    ),
    "document": Kind(
        lambda: clips.make_pdf((144, 72), (144, 72)),
        "application/pdf",
        Recipe("document", (Step("metadata", "keep"),), "pdf", "application/pdf"),
        {"pages": 2},
        is_pdf,
    ),
}


@pytest.fixture(params=CONVERTERS, scope="module")
def converter(request: pytest.FixtureRequest) -> Iterator[Converter]:
    made = CONVERTERS[request.param]()
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def convert(
    converter: Converter,
    recipe: Recipe,
    source: bytes,
    cancelled: Callable[[], bool] = never,
) -> tuple[Converted, bytes]:
    with source_file(source) as opened, tempfile.TemporaryFile() as target:
        document = recipe_to_document(recipe)
        converted = converter.convert(opened, document, target, cancelled=cancelled)
        return converted, os.pread(target.fileno(), converted.size + 1, 0)


def test_it_converts_and_tells_the_size(converter: Converter, kind: Kind) -> None:
    converted, result = convert(converter, kind.recipe, kind.source())
    assert len(result) == converted.size
    assert kind.looks_right(result)
    assert all(isinstance(fact, str | int | float | bool) for fact in converted.facts.values())


def test_the_same_input_gives_the_same_bytes(converter: Converter, kind: Kind) -> None:
    source = kind.source()
    first, second = (convert(converter, kind.recipe, source)[1] for _ in range(2))
    assert first == second


def test_it_tells_facts(converter: Converter, kind: Kind) -> None:
    with source_file(kind.source()) as opened:
        facts = converter.probe(opened, content_type=kind.content_type)
    assert {name: facts[name] for name in kind.facts} == kind.facts


def test_the_files_stay_the_caller_s(converter: Converter, kind: Kind) -> None:
    """The source is read from its beginning wherever it stands, and stands there afterwards."""
    data = kind.source()
    with source_file(data) as source, tempfile.TemporaryFile() as target:
        source.seek(7)
        size = converter.convert(source, recipe_to_document(kind.recipe), target).size
        assert source.tell() == 7
        assert os.pread(source.fileno(), len(data) + 1, 0) == data
        assert target.tell() == 0
        assert len(target.read()) == size


@pytest.mark.parametrize("data", [b"", b"no media at all" * 100, bytes(4096)])
def test_what_is_no_media_fails_and_the_next_item_goes_well(
    converter: Converter, kind: Kind, data: bytes
) -> None:
    with pytest.raises(ConversionFailed) as failed:
        convert(converter, kind.recipe, data)
    assert failed.value.code in ("media-damaged", "media-unsupported")
    assert failed.value.message.isprintable()
    assert failed.value.message
    assert kind.looks_right(convert(converter, kind.recipe, kind.source())[1])


def test_a_type_that_nobody_knows_has_no_facts(converter: Converter) -> None:
    with source_file() as opened, pytest.raises(ConversionFailed) as failed:
        converter.probe(opened, content_type="application/x-unheard-of")
    assert failed.value.code == "media-unsupported"


def test_what_is_cancelled_before_does_not_begin(converter: Converter, kind: Kind) -> None:
    with pytest.raises(ConversionCancelled):
        convert(converter, kind.recipe, kind.source(), cancelled=lambda: True)


def test_threads_may_share_it(converter: Converter) -> None:
    kind = KINDS["image"]
    results: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(convert(converter, kind.recipe, kind.source())[1])
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [kind.looks_right(result) for result in results] == [True] * 4


def test_no_result_is_larger_than_allowed(kind: Kind) -> None:
    converter = SandboxedConverter(Limits(output_bytes_max=100))
    with pytest.raises(ConversionFailed) as failed:
        convert(converter, kind.recipe, kind.source())
    converter.close()
    assert failed.value.code == "media-too-large"


def test_closing_twice_is_closing_once() -> None:
    for make in CONVERTERS.values():
        made = make()
        made.close()
        made.close()
