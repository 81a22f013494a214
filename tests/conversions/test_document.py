"""The document runner: pages drawn in the size that is wanted, pages taken out, bad PDFs."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import Image

from entrepot.core.conversions.recipes import Recipe, Step
from entrepot.core.conversions.runners import document as runner
from entrepot.core.conversions.runners.protocol import Refused
from tests.conversions.clips import BLUE, LIMITS, RED, WHITE, make_pdf, near, picture, resize


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    return write(tmp_path, make_pdf((144, 72), (100, 200), (72, 72), title="Three pages"))


def write(folder: Path, data: bytes, name: str = "source") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def converted(source: Path, recipe: Recipe, **limits: int) -> Path:
    target = source.with_name(f"result-{len(list(source.parent.iterdir()))}")
    runner.convert(source, recipe, target, replace(LIMITS, **limits), [])
    return target


def refusal(source: Path, recipe: Recipe, **limits: int) -> str:
    with pytest.raises(Refused) as caught:
        converted(source, recipe, **limits)
    return caught.value.code


def to_pdf(metadata: str = "keep", **page: int) -> Recipe:
    steps = (Step("page", page),) if page else ()
    return Recipe("document", (*steps, Step("metadata", metadata)), "pdf", "application/pdf")


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as shown:
        return shown.size


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_a_page_as_a_picture(pdf: Path, extension: str) -> None:
    with Image.open(converted(pdf, picture("document", extension, page=1))) as shown:
        assert shown.size == (300, 150)  # two inches by one at 150 dpi
        for at, colour in (((150, 55), RED), ((150, 95), BLUE), ((10, 10), WHITE)):
            pixel = shown.convert("RGB").getpixel(at)
            assert isinstance(pixel, tuple)
            assert near(pixel, colour, by=16)


@pytest.mark.parametrize(
    ("steps", "settings", "expected"),
    [
        ([], {"dpi": 72}, (144, 72)),
        ([resize(1000, 1000)], {}, (1000, 500)),  # drawn that large, not enlarged
        ([resize(1000, 1000)], {"dpi": 72}, (1000, 500)),
        ([resize(50, 50)], {}, (50, 25)),
        ([resize(200, 200, "cover")], {}, (200, 200)),
        ([resize(200, 200, "pad")], {}, (200, 200)),
        ([Step("resize", {"percent": 200, "upscale": False})], {}, (600, 300)),
        ([Step("rotate", 90), resize(None, 800)], {}, (400, 800)),
        (
            [
                Step("crop", {"kind": "ratio", "across": 1, "down": 1, "gravity": "centre"}),
                resize(640, 640),
            ],
            {},
            (640, 640),
        ),
    ],
)
def test_drawn_as_large_as_wanted(
    pdf: Path, steps: list[Step], settings: dict[str, int], expected: tuple[int, int]
) -> None:
    recipe = picture("document", "png", *steps, page=1, **settings)
    assert size(converted(pdf, recipe)) == expected


def test_the_page_that_is_asked_for(pdf: Path) -> None:
    assert size(converted(pdf, picture("document", "png", page=2, dpi=72))) == (100, 200)
    for page in (0, 4):
        assert refusal(pdf, picture("document", "png", page=page)) == "page-outside"


def test_a_page_that_is_turned(tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument(make_pdf((144, 72)))
    document[0].set_rotation(90)
    document.save(tmp_path / "turned")
    result = converted(tmp_path / "turned", picture("document", "png", page=1, dpi=72))
    assert size(result) == (72, 144)


def test_a_whole_document_is_copied(pdf: Path) -> None:
    assert converted(pdf, to_pdf()).read_bytes() == pdf.read_bytes()


def test_pages_taken_out(pdf: Path) -> None:
    result = converted(pdf, to_pdf(first=2, last=3))
    with pypdfium2.PdfDocument(result) as taken:
        assert [taken.get_page_size(number) for number in range(len(taken))] == [
            (100, 200),
            (72, 72),
        ]
        assert taken.get_metadata_dict(skip_empty=True) == {}
    assert b"Three pages" not in result.read_bytes()
    time.sleep(1.1)  # PDFium writes the second down
    assert converted(pdf, to_pdf(first=2, last=3)).read_bytes() == result.read_bytes()
    assert refusal(pdf, to_pdf(first=3, last=4)) == "page-outside"


def test_metadata_is_left_behind(pdf: Path) -> None:
    result = converted(pdf, to_pdf("strip"))
    assert b"Three pages" not in result.read_bytes()
    assert runner.probe(result, "application/pdf", LIMITS)["pages"] == 3


def test_facts(pdf: Path) -> None:
    assert runner.probe(pdf, "application/pdf", LIMITS) == {
        "pages": 3,
        "page_width_mm": 50.8,
        "page_height_mm": 25.4,
        "title": "Three pages",
    }


def test_files_are_handed_over_by_descriptor(pdf: Path, tmp_path: Path) -> None:
    with pdf.open("rb") as source, (tmp_path / "target").open("w+b") as target:
        paths = [Path(f"/proc/self/fd/{file.fileno()}") for file in (source, target)]
        pdf.unlink()
        runner.convert(paths[0], picture("document", "png", page=1), paths[1], LIMITS, [])
        assert os.pread(target.fileno(), 4, 0) == b"\x89PNG"
        target.truncate(0)
        runner.convert(paths[0], to_pdf("strip", first=1, last=1), paths[1], LIMITS, [])
        assert os.pread(target.fileno(), 4, 0) == b"%PDF"


@pytest.mark.parametrize(
    ("limits", "recipe"),
    [
        ({"pages_max": 2}, picture("document", "png", page=1)),
        ({"pages_max": 2}, to_pdf()),
        ({"pixels_max": 40_000}, picture("document", "png", page=1)),
        ({"output_bytes_max": 500}, to_pdf()),
        ({"output_bytes_max": 500}, to_pdf("strip")),
    ],
)
def test_limits(pdf: Path, limits: dict[str, int], recipe: Recipe) -> None:
    assert refusal(pdf, recipe, **limits) == "media-too-large"


def test_a_page_of_enormous_size(tmp_path: Path) -> None:
    huge = write(tmp_path, make_pdf((14_400, 14_400)))
    assert refusal(huge, picture("document", "png", page=1)) == "media-too-large"
    small = picture("document", "png", resize(64, 64), page=1)
    assert size(converted(huge, small)) == (64, 64)


# One empty page under RC4 with 40 bits and the user's password "x" (PDF 1.7, algorithms 2 to 4).
def locked() -> bytes:
    import hashlib

    padding = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")

    def rc4(key: bytes, data: bytes) -> bytes:
        box, j = list(range(256)), 0
        for i in range(256):
            j = (j + box[i] + key[i % len(key)]) % 256
            box[i], box[j] = box[j], box[i]
        i = j = 0
        out = bytearray()
        for byte in data:
            i = (i + 1) % 256
            j = (j + box[i]) % 256
            box[i], box[j] = box[j], box[i]
            out.append(byte ^ box[(box[i] + box[j]) % 256])
        return bytes(out)

    password = (b"x" + padding)[:32]
    owner = rc4(hashlib.md5(password).digest()[:5], password)
    key = hashlib.md5(password + owner + (-4).to_bytes(4, "little", signed=True) + b"0" * 16)
    user = rc4(key.digest()[:5], padding)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>",
        b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>"
        % (owner.hex().encode(), user.hex().encode()),
    ]
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    identifier = b"<" + (b"0" * 16).hex().encode() + b">"
    return data + (
        b"xref\n0 5\n0000000000 65535 f \n%s"
        b"trailer\n<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[%s%s]>>\n"
        b"startxref\n%d\n%%%%EOF\n" % (table, identifier, identifier, len(data))
    )


def test_a_locked_document(tmp_path: Path) -> None:
    source = write(tmp_path, locked())
    with pypdfium2.PdfDocument(source, password="x") as opened:  # the lock is a right one
        assert len(opened) == 1
    for recipe in (picture("document", "png", page=1), to_pdf()):
        with pytest.raises(Refused, match="locked by a password") as caught:
            converted(source, recipe)
        assert caught.value.code == "media-unsupported"


def test_damaged_and_mislabelled(pdf: Path, tmp_path: Path) -> None:
    whole = pdf.read_bytes()
    sources = {
        b"%PDF-1.7\n" + os.urandom(4_000): "media-damaged",
        whole[:200]: "media-damaged",
        b"PK\x03\x04" + bytes(400): "media-unsupported",
        b"": "media-unsupported",
    }
    for data, code in sources.items():
        source = write(tmp_path, data, "bad")
        for recipe in (picture("document", "png", page=1), to_pdf(), to_pdf("strip")):
            assert refusal(source, recipe) == code
        with pytest.raises(Refused):
            runner.probe(source, "application/pdf", LIMITS)
