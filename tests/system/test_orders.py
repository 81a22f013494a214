"""Real photographs, a real film and a real document: ordered over HTTP, converted, unpacked."""

import io
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import ExifTags, Image, ImageChops, ImageStat

from tests.conftest import find
from tests.system.hubs import Hub
from tests.system.media import DOCUMENT, DOCUMENT_PAGES, film, photographs
from tests.system.media_orders import (
    ORDERS,
    Package,
    Shopper,
    add_assets,
    fetch_in_two,
    link_of,
    rows,
    shopper,
    steps,
)


def configure(edge: int = 200) -> dict[str, Any]:
    """What is wanted of each media group; a square of another `edge` was not converted before."""
    return {
        "M.AssetMedia.Images": {
            "renditions": ["Original", "thumbnail", "pdf"],
            "presets": ["print"],
            "conversions": [
                steps("webp", resize={"width": "400", "height": 300, "fit": "cover"}),
                steps("jpg", ratio="1:1", resize={"longest_edge": edge}, quality="High"),
            ],
        },
        "M.AssetMedia.Videos": {
            "renditions": ["downloadOriginal", "thumbnail"],
            "conversions": [steps("mp4", video={"height": 180, "fps": 10, "duration": 3})],
        },
        "M.AssetMedia.Documents": {
            "renditions": ["Original"],
            "conversions": [steps("png", page=2, dpi=72)],
        },
    }


INDIVIDUAL = {
    "renditions": ["metadata"],
    "conversions": [steps("tif", rotate=90, resize={"percent": 25}, colorSpace="gray")],
    "user_rendition_configuration": {"label": "Upright", "description": "", "culture": "en-US"},
}


@pytest.fixture(scope="module")
def stock(media_hub: Hub) -> Mapping[str, int]:
    """Media of the test's own in the hub: file name -> number. The film needs an entitlement."""
    assert media_hub.operate("product", "add", "PRESS").code == 0
    assert media_hub.operate("grant", "Halden Microsystems", "PRESS").code == 0
    every = [path for path, _ in photographs().values()]
    public = add_assets(media_hub, [*every, DOCUMENT], "--public", "--folder", "press")
    return public | add_assets(media_hub, [film()], "--product", "PRESS", "--title", "By night")


def place(ada: Shopper, stock: Mapping[str, int], pool: str, *, edge: int = 200) -> dict[str, Any]:
    """The order that these tests place: a selection, by the media group and one by itself."""
    return ada.place(
        {
            "zip_filename": "press kit",
            "global": configure(edge),
            "individual": {str(stock["Bubbles.jpg"]): INDIVIDUAL},
        },
        target_selection=ada.select(pool, list(stock.values())),
        name="Press kit",
        culture="en-US",
        item_name_resolver_id="by-group",
        download_order_type="Custom",
    )


@pytest.mark.needs("pdf", "unzip", "7z", "bsdtar")
def test_a_press_kit(media_hub: Hub, stock: Mapping[str, int], tmp_path: Path) -> None:
    """From the selection to every unpacked file, measured by other programs than made it."""
    ada = shopper(media_hub)
    placed = place(ada, stock, "kit")
    assert (placed["target_count"], placed["has_conversions"]) == (6, True)
    assert placed["download_location"] is None
    _watch(ada, placed["order_id"])
    shown = ada.finish(placed)
    assert shown["additional_info"] is None
    data, headers = fetch_in_two(ada, link_of(shown), broken_at=1_234_567)
    assert 'filename="press kit.zip"' in headers["content-disposition"]
    package = Package(data)
    path = tmp_path / "press kit.zip"
    path.write_bytes(data)
    _unpack_by_others(path, package, tmp_path)
    told = json.loads(package.files["order.json"])
    assert (told["name"], told["order"]["global"]) == ("Press kit", configure())
    for name, (original, size) in photographs().items():
        if name != "Bubbles.jpg":
            _check_photograph(package.of(stock[name]), original, size)
    _check_individual(package.of(stock["Bubbles.jpg"]))
    _check_film(package.of(stock["cityCC0.mpg"]))
    _check_document(package.of(stock[DOCUMENT.name]))
    assert all(name.count("/") == 1 for name in package.files.keys() - set(told) if "/" in name)
    listed = ada.ask("GET", f"/api/entities/{stock['Bubbles.jpg']}/renditions").json()["items"]
    assert "Upright" in {each["name"] for each in listed if each["kind"] == "user"}


@pytest.mark.needs("pdf")
def test_what_was_converted_once_is_not_converted_again(
    media_hub: Hub, stock: Mapping[str, int]
) -> None:

    def conversions() -> list[tuple[Any, ...]]:
        """Of these files alone: what another test has cancelled may still have come to its end."""
        sources = "SELECT sha256 FROM assets WHERE id IN ({})".format(
            ", ".join(map(str, stock.values()))
        )
        return rows(
            media_hub,
            f"SELECT recipe_key, created_at FROM conversions WHERE source_sha256 IN ({sources})"
            " ORDER BY recipe_key, source_sha256",
        )

    ada = shopper(media_hub)
    first = ada.package(ada.finish(place(ada, stock, "first", edge=180)))
    converted = conversions()
    again = place(ada, stock, "second", edge=180)
    shown = ada.wait(again["order_id"])
    assert shown["status"] == "Completed"
    assert conversions() == converted
    second = ada.package(shown)
    papers = {"order.json", "manifest.json"}
    assert {k: v for k, v in second.files.items() if k not in papers and "metadata" not in k} == {
        k: v for k, v in first.files.items() if k not in papers and "metadata" not in k
    }


@pytest.mark.needs("pdf")
def test_an_order_of_stored_files_alone_is_complete_at_once(
    media_hub: Hub, stock: Mapping[str, int]
) -> None:
    """Standard, with nothing configured: the defaults, which are the files as they came."""
    ada = shopper(media_hub)
    placed = ada.place({}, target_selection=ada.select("plain", list(stock.values())))
    assert (placed["status"], placed["has_conversions"]) == ("Completed", False)
    package = ada.package(placed)
    originals = {name: path for name, (path, _) in photographs().items()}
    for name, path in (originals | {"cityCC0.mpg": film(), DOCUMENT.name: DOCUMENT}).items():
        [(key, content)] = package.of(stock[name]).items()
        assert key[0] == "downloadOriginal"
        assert content == path.read_bytes()
    partly = ada.ask("GET", link_of(placed), headers={"Range": "bytes=-22"})
    assert (partly.status, partly.body[:4]) == (206, b"PK\x05\x06")


@pytest.mark.needs("pdf")
def test_all_that_cannot_work_is_named_at_once(media_hub: Hub, stock: Mapping[str, int]) -> None:
    """By the path of its key, with the type and the pipeline; what can work is not named."""
    groups = {
        "M.AssetMedia.Images": {
            "renditions": ["Original", "no-such"],
            "conversions": [steps("mp4")],
        },
        "M.AssetMedia.Documents": {"conversions": [steps("png"), steps("mp3")]},
    }
    ada = shopper(media_hub)
    selected = ada.select("impossible", list(stock.values()))
    refused = ada.ask("POST", ORDERS, {"order": {"global": groups}, "target_selection": selected})
    assert refused.status == 400
    told = refused.json()
    images, documents = (f"order.global.M.AssetMedia.{name}" for name in ("Images", "Documents"))
    assert {path.removesuffix("[0].value").removesuffix("[1].value") for path in told} == {
        f"{images}.renditions[1]",
        f"{images}.conversions[0]",
        f"{documents}.conversions[1]",
    }
    text = " ".join(told.values())
    assert all(kind in text for kind in ("image/jpeg", "image/png", "application/pdf", "no-such"))


@pytest.mark.needs("pdf")
def test_the_film_is_for_the_entitled_alone(media_hub: Hub, stock: Mapping[str, int]) -> None:
    """Dieter's organisation does not have the product: to him the film is not there."""
    dieter = shopper(media_hub, "dieter@vega.example")
    film_id, wall_id = stock["cityCC0.mpg"], stock["Wall.jpg"]
    order = {"individual": {str(film_id): {"renditions": ["Original"]}}}
    refused = dieter.ask("POST", ORDERS, {"order": order})
    assert refused.status == 400
    assert list(refused.json()) == [f"order.individual.{film_id}"]
    change = [{"operation": "add", "value": [film_id, wall_id]}]
    refused = dieter.ask("PATCH", "/api/selection/night/M.Asset", change)
    assert refused.status == 400
    assert str(film_id) in refused.body.decode()
    assert str(wall_id) not in refused.body.decode()
    assert dieter.ask("GET", "/api/selection/night/M.Asset").json()["items"] == []


def _watch(ada: Shopper, order_id: int) -> None:
    """The events come while the order is made, in order, and end with its end."""
    seen = list(ada.watch(order_id))
    assert [each.id for each in seen] == sorted({each.id for each in seen})
    assert seen[0].kind == "placed"
    assert [each.kind for each in seen].count("completed") == 1
    assert seen[-1].kind == "completed"
    progress = [each for each in seen if each.kind == "progress"]
    assert progress, "so much work gives signs of it"
    done = [each.data["files_completed"] for each in progress]
    assert done == sorted(done)
    assert seen[-1].data["status"] == "Completed"


def _unpack_by_others(path: Path, package: Package, folder: Path) -> None:
    """By unzip, 7-Zip and libarchive: each finds the same bytes."""
    subprocess.run(["unzip", "-tq", str(path)], check=True, capture_output=True)
    subprocess.run([str(find("7z")), "t", str(path)], check=True, capture_output=True)
    for name, command in {
        "unzip": ["unzip", "-q", str(path), "-d"],
        "bsdtar": ["bsdtar", "-xf", str(path), "-C"],
    }.items():
        (folder / name).mkdir()
        subprocess.run([*command, str(folder / name)], check=True, capture_output=True)
        found = {
            each.relative_to(folder / name).as_posix(): each.read_bytes()
            for each in (folder / name).rglob("*")
            if each.is_file()
        }
        assert found == package.files, name


def _open(content: bytes, kind: str, mode: str, size: tuple[int, int]) -> Image.Image:
    """A picture, whole, of this format, mode and size."""
    picture = Image.open(io.BytesIO(content))
    picture.load()
    assert (picture.format, picture.mode, picture.size) == (kind, mode, size)
    return picture


def _check_photograph(
    found: Mapping[tuple[str, str], bytes], original: Path, size: tuple[int, int]
) -> None:
    as_it_came = original.suffix[1:]
    content = dict(found)
    assert content.pop(("downloadOriginal", as_it_came), None) == original.read_bytes()
    width, height = size
    thumbnail = content.pop(("thumbnail", "jpg"))
    small = _open(thumbnail, "JPEG", "RGB", _inside(size, 280))
    _looks_like(small, original)
    camera = {ExifTags.Base.Make, ExifTags.Base.Software, ExifTags.Base.DateTime}
    assert not camera & set(small.getexif()), dict(small.getexif())
    covered = content.pop(("conversion", "webp"))
    ratio = min(1, min(width / 400, height / 300))
    assert ratio == 1, "the photographs are larger than what is ordered"
    _open(covered, "WEBP", "RGB", (400, 300))
    _open(content.pop(("conversion", "jpg")), "JPEG", "RGB", (200, 200))
    printed = _open(content.pop(("print", "tif")), "TIFF", "CMYK", size)
    assert printed.info["icc_profile"][16:20] == b"CMYK"
    assert tuple(round(float(each)) for each in printed.info["dpi"]) == (300, 300)
    document = pypdfium2.PdfDocument(content.pop(("pdf", "pdf")))
    page_width, page_height = document[0].get_size()
    assert (len(document), round(page_width / page_height, 1)) == (1, round(width / height, 1))
    document.close()
    assert not content


def _inside(size: tuple[int, int], longest: int) -> tuple[int, int]:
    scale = longest / max(size)
    return round(size[0] * scale), round(size[1] * scale)


def _looks_like(small: Image.Image, original: Path) -> None:
    """The same picture: on the average a pixel is off by less than 5 per cent."""
    with Image.open(original) as whole:
        plain = whole.convert("RGB").resize(small.size, Image.Resampling.LANCZOS)
    mean = ImageStat.Stat(ImageChops.difference(plain, small)).mean
    assert max(mean) < 12, mean


def _check_individual(found: Mapping[tuple[str, str], bytes]) -> None:
    assert set(found) == {("metadata", "json"), ("conversion", "tif")}
    _open(found["conversion", "tif"], "TIFF", "L", (108, 154))
    told = json.loads(found["metadata", "json"])
    assert "Bubbles.jpg" in json.dumps(told)


def _check_film(found: Mapping[tuple[str, str], bytes]) -> None:
    assert set(found) == {
        ("downloadOriginal", "mpg"),
        ("thumbnail", "jpg"),
        ("conversion", "mp4"),
    }
    assert found["downloadOriginal", "mpg"] == film().read_bytes()
    _open(found["thumbnail", "jpg"], "JPEG", "RGB", (280, 158))
    with av.open(io.BytesIO(found["conversion", "mp4"]), mode="r") as opened:
        [stream] = opened.streams
        assert (stream.type, stream.codec_context.name) == ("video", "h264")
        frames = list(opened.decode(video=0))
        assert {(frame.width, frame.height) for frame in frames} == {(320, 180)}
        assert len(frames) == 30
        assert stream.average_rate == 10


def _check_document(found: Mapping[tuple[str, str], bytes]) -> None:
    assert set(found) == {("downloadOriginal", "pdf"), ("conversion", "png")}
    assert found["downloadOriginal", "pdf"] == DOCUMENT.read_bytes()
    document = pypdfium2.PdfDocument(found["downloadOriginal", "pdf"])
    assert len(document) == DOCUMENT_PAGES
    width, height = document[1].get_size()
    drawn = document[1].render(scale=1).to_pil().convert("L")
    document.close()
    page = Image.open(io.BytesIO(found["conversion", "png"]))
    assert page.format == "PNG"
    assert page.mode in ("RGB", "L")
    assert abs(page.width - width) <= 1 and abs(page.height - height) <= 1
    shown = page.convert("L").resize(drawn.size)
    assert ImageStat.Stat(ImageChops.difference(shown, drawn)).mean[0] < 8
