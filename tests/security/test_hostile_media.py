"""Files made to do harm, through the real runners in the real sandbox.

Each ends as an item that failed with a reason, or as one that went well; after each the next item
goes well. What a runner could do that is no longer itself: test_media_sandbox.py.
"""

import io
import random
import socket
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from entrepot.core.conversions.port import MEBIBYTE, ConversionFailed, Converted, Limits
from entrepot.core.conversions.recipes import Recipe, Step, recipe_to_document
from entrepot.core.conversions.sandbox import SandboxedConverter
from tests.conversions import clips
from tests.conversions.trials import source_file

LIMITS = Limits(
    memory_bytes_max=768 * MEBIBYTE,
    cpu_seconds_max=6,
    wall_seconds_max=120,  # of a machine that others share; little work is held to by the other
    pixels_max=50_000_000,
    pages_max=1_000,
    frames_max=5_000,
    duration_seconds_max=600,
    output_bytes_max=64 * MEBIBYTE,
    scratch_bytes_max=64 * MEBIBYTE,
)
SMALLER = clips.resize(64, 64)
TO_PNG = clips.picture("image", "png", SMALLER)
TO_GIF = clips.picture("image", "gif", SMALLER)
TO_MP4 = clips.video("mp4", SMALLER)
TO_MP3 = clips.audio("mp3")
PAGE_TO_PNG = clips.picture("document", "png", SMALLER, page=1)
TO_PDF = Recipe("document", (Step("metadata", "keep"),), "pdf", "application/pdf")
MAGENTA = (255, 0, 255)
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


@pytest.fixture(scope="module")
def converter() -> Iterator[SandboxedConverter]:
    made = SandboxedConverter(LIMITS)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _the_next_item_goes_well(converter: SandboxedConverter) -> Iterator[None]:
    yield
    assert Image.open(io.BytesIO(convert(converter, picture("PNG"), TO_PNG)[1])).width == 64


def convert(converter: SandboxedConverter, data: bytes, recipe: Recipe) -> tuple[Converted, bytes]:
    with source_file(data) as source, tempfile.TemporaryFile() as target:
        converted = converter.convert(source, recipe_to_document(recipe), target)
        return converted, target.read()


def refusal(converter: SandboxedConverter, data: bytes, recipe: Recipe) -> str:
    """The code that it fails with; LIMITS hold it to little work."""
    with pytest.raises(ConversionFailed) as failed:
        convert(converter, data, recipe)
    assert failed.value.message.isprintable()
    assert "/proc" not in failed.value.message
    return failed.value.code


def outcome(converter: SandboxedConverter, data: bytes, recipe: Recipe) -> str:
    """The code that it fails with, or "done"."""
    try:
        convert(converter, data, recipe)
    except ConversionFailed as failed:
        return failed.code
    return "done"


@cache
def picture(kind: str, colour: tuple[int, int, int] = (10, 200, 90)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (160, 120), colour).save(made, kind)
    return made.getvalue()


# --- bombs -------------------------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int) -> bytes:
    """A complete one, of zeros, one bit a pixel."""
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(1)
    data = b"".join([packer.compress(row * 100) for _ in range(height // 100)]) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_picture_of_50000_by_50000_is_refused(converter: SandboxedConverter) -> None:
    bomb = png_of(50_000, 50_000)
    assert len(bomb) < 4 * MEBIBYTE
    assert refusal(converter, bomb, TO_PNG) == "media-too-large"


def test_a_text_that_unpacks_to_much_does_no_harm(converter: SandboxedConverter) -> None:
    """A compressed comment and a compressed profile of 256 MiB in a small PNG."""
    packed = zlib.compress(bytes(256 * MEBIBYTE), 9)
    whole = picture("PNG")
    for extra in (b"iCCP" + b"x\0\0" + packed, b"zTXt" + b"x\0\0" + packed):
        bomb = whole[:33] + chunk(extra[:4], extra[4:]) + whole[33:]
        assert outcome(converter, bomb, TO_PNG) in ("done", "media-damaged", "media-too-large")


def tiff_of(pages: int, *, loop: bool = False, side: int = 1) -> bytes:
    """Pages of one grey pixel that all use the same byte; `loop`: the last leads to the first."""
    entries = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, 1)]
    fields = struct.pack("<H", len(entries))
    fields += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    length = len(fields) + 4
    made = [struct.pack("<2sHI", b"II", 42, 10), b"\x80\0"]
    for page in range(pages):
        last = page == pages - 1
        following = (10 if loop else 0) if last else 10 + (page + 1) * length
        made.append(fields + struct.pack("<I", following))
    return b"".join(made)


def test_a_tiff_of_many_pages_is_refused(converter: SandboxedConverter) -> None:
    assert outcome(converter, tiff_of(3), TO_PNG) == "done"
    assert refusal(converter, tiff_of(60_000), TO_PNG).startswith("media-")
    assert outcome(converter, tiff_of(3, loop=True), TO_PNG) in ("done", "media-damaged")
    assert refusal(converter, tiff_of(1, side=2**31 - 1), TO_PNG) in (
        "media-too-large",
        "media-damaged",
    )


def gif_of(frames: int, side: int) -> bytes:
    """Frames of side x side, of which all but the first pixel is missing."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\x04\0\1\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0)
    return head + (frame + b"\x02\x02\x44\x01\0") * frames + b";"


@pytest.mark.parametrize(("frames", "side"), [(20_000, 8), (4_000, 8_000), (4_000, 4_000)])
def test_an_animation_of_too_much_is_refused(
    converter: SandboxedConverter, frames: int, side: int
) -> None:
    assert outcome(converter, gif_of(3, 8), TO_GIF) == "done"
    code = refusal(converter, gif_of(frames, side), TO_GIF)
    assert code in ("media-too-large", "media-too-slow")


@pytest.mark.parametrize(
    "size",
    ['width="1e9" height="1e9"', 'viewBox="0 0 1e9 1e9"', 'width="1e300" height="1e-300"'],
)
def test_an_svg_of_any_size_does_no_harm(converter: SandboxedConverter, size: str) -> None:
    drawn = f'<svg {NAMESPACES} {size}><rect width="9" height="9"/></svg>'.encode()
    full = clips.picture("image", "png")
    assert outcome(converter, drawn, full) in ("done", "media-too-large", "media-damaged")


def test_an_svg_that_multiplies_itself_does_no_harm(converter: SandboxedConverter) -> None:
    """Entities and uses, each ten of the one before: a billion at the end."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(10))
    laughs = f"<!DOCTYPE svg [{entities}]><svg {NAMESPACES}><text>&e9;</text></svg>"
    uses = '<g id="u0"><rect width="1" height="1"/></g>' + "".join(
        f'<g id="u{n}">{f"""<use xlink:href="#u{n - 1}"/>""" * 10}</g>' for n in range(1, 10)
    )
    nested = f"<svg {NAMESPACES}>{'<g>' * 50_000}{'</g>' * 50_000}</svg>"
    for bomb in (laughs, f'<svg {NAMESPACES} width="9" height="9">{uses}</svg>', nested):
        code = outcome(converter, bomb.encode(), TO_PNG)
        assert code == "done" or code.startswith("media-")


def pdf_of(*objects: bytes) -> bytes:
    """A PDF with these objects, 1 being the catalogue, and a right table of where they are."""
    made, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return made + table + tail % (len(objects) + 1, len(made))


ROOT = b"<</Type/Catalog/Pages 2 0 R>>"


def test_a_pdf_of_a_million_pages_is_refused(converter: SandboxedConverter) -> None:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>"
    million = b"<</Type/Pages/Count 1000000/Kids[%b]>>" % (b"3 0 R " * 1_000_000)
    for recipe in (PAGE_TO_PNG, TO_PDF):
        assert refusal(converter, pdf_of(ROOT, million, page), recipe) == "media-too-large"


@pytest.mark.parametrize("side", [b"1000000000", b"1e30", b"-1", b"99999999999999999999"])
def test_a_pdf_with_a_page_of_any_size_does_no_harm(
    converter: SandboxedConverter, side: bytes
) -> None:
    pages = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %b %b]>>" % (side, side)
    full = clips.picture("document", "png", page=1)
    code = outcome(converter, pdf_of(ROOT, pages, page), full)
    assert code in ("done", "media-too-large", "media-damaged")


def test_a_pdf_whose_pages_go_round_does_no_harm(converter: SandboxedConverter) -> None:
    round_and_round = b"<</Type/Pages/Count 3/Kids[2 0 R 2 0 R 2 0 R]/Parent 2 0 R>>"
    code = outcome(converter, pdf_of(ROOT, round_and_round), PAGE_TO_PNG)
    assert code in ("media-damaged", "media-too-large", "media-too-slow", "converter-died")


# --- files that name other files ---------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.png"
    path.write_bytes(picture("PNG", MAGENTA))
    return path


def shows_magenta(result: bytes) -> bool:
    with Image.open(io.BytesIO(result)) as shown:
        data = shown.convert("RGB").tobytes()
    pixels = zip(data[0::3], data[1::3], data[2::3], strict=True)
    return any(red > 215 and green < 40 and blue > 215 for red, green, blue in pixels)


def drawing(inside: str, before: str = "") -> bytes:
    return f'{before}<svg {NAMESPACES} width="64" height="64">{inside}</svg>'.encode()


def test_a_picture_inside_an_svg_shows(converter: SandboxedConverter) -> None:
    """The control of the next test: what is allowed to show can be seen there."""
    from base64 import b64encode

    inside = b64encode(picture("PNG", MAGENTA)).decode()
    image = f'<image width="64" height="64" href="data:image/png;base64,{inside}"/>'
    assert shows_magenta(convert(converter, drawing(image), TO_PNG)[1])


def references(secret: Path) -> Iterator[bytes]:
    """Every way that SVG, XML and CSS have to name a file, by four spellings of its path."""
    entity = '<text y="20" font-size="9">&x;</text>'
    for way in (secret, f"file://{secret}", f"../../../..{secret}", f"/proc/self/root{secret}"):
        yield drawing(
            f'<image width="64" height="64" href="{way}"/>'
            f'<image width="64" height="64" xlink:href="{way}"/>'
            f'<rect width="64" height="64" fill="url({way}#a)"/>'
            f'<use xlink:href="{way}#a" width="64" height="64"/>'
            f'<filter id="f"><feImage href="{way}"/></filter><rect filter="url(#f)" width="9"/>'
            f'<style>@import url("{way}"); rect{{fill:url("{way}")}}</style><rect/>'
            f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{way}" parse="text"/>',
            f'<?xml-stylesheet href="{way}"?>',
        )
        yield drawing(entity, f'<!DOCTYPE svg [<!ENTITY x SYSTEM "{way}">]>')
        yield drawing(entity, f'<!DOCTYPE svg [<!ENTITY % p SYSTEM "{way}"> %p;]>')


def test_no_svg_shows_a_file_of_the_machine(converter: SandboxedConverter, secret: Path) -> None:
    """Whether the secret says one thing or another, the result is the same, and not magenta."""
    for drawn in references(secret):
        results = []
        for content in (b'<!ENTITY x "AAAA">', picture("PNG", MAGENTA)):
            secret.write_bytes(content)
            try:
                results.append(convert(converter, drawn, TO_PNG)[1])
            except ConversionFailed as failed:
                results.append(failed.code.encode())
        assert results[0] == results[1]
        assert results[0].startswith(b"media-") or not shows_magenta(results[0])


def playlists(secret: Path, port: int) -> dict[str, bytes]:
    there = f"http://127.0.0.1:{port}/x.ts"
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{0}\n#EXT-X-ENDLIST\n"
    return {
        "hls of a file": hls.format(f"file://{secret}").encode(),
        "hls of a path": hls.format(secret).encode(),
        "hls of an address": hls.format(there).encode(),
        "hls through concat": hls.format(f"concat:{there}|file://{secret}").encode(),
        "hls with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{there}"\n{secret}'.encode(),
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n".encode(),
        "concat of an address": f"ffconcat version 1.0\nfile {there}\n".encode(),
        "dash": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
            f"<BaseURL>{there}</BaseURL></Period></MPD>"
        ).encode(),
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video {port} RTP/AVP 96\n".encode(),
        "smil": f'<smil><body><video src="{there}"/></body></smil>'.encode(),
        "ram": f"rtsp://127.0.0.1:{port}/x\n".encode(),
        "pls": f"[playlist]\nFile1={there}\nNumberOfEntries=1\n".encode(),
        "metadata": b";FFMETADATA1\ntitle=x\n",
        "hls behind an mp4's name": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
        + hls.format(there).encode(),
    }


def test_no_playlist_is_followed(converter: SandboxedConverter, tmp_path: Path) -> None:
    """All said to be videos; the secret is a video that would do, and somebody listens."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(clips.make())
    assert outcome(converter, secret.read_bytes(), TO_MP4) == "done"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        for name, playlist in playlists(secret, server.getsockname()[1]).items():
            for recipe in (TO_MP4, TO_MP3)[: 2 if name == "hls of a file" else 1]:
                assert refusal(converter, playlist, recipe).startswith("media-"), name
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"1,2,3\n4,5,6\n", id="csv"),
        pytest.param(b"P6 2 2 255\n" + bytes(12), id="ppm"),
        pytest.param(b"\x08\xf2\xa6\xb6" + bytes(100), id="vips"),
        pytest.param(b"%!PS\n(/etc/passwd) run\n", id="postscript"),
        pytest.param(b"push graphic-context\nimage over 0,0 9,9 '/etc/passwd'\n", id="mvg"),
        pytest.param(b"<html><img src='file:///etc/passwd'></html>", id="html"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="zip"),
        pytest.param(b"2 2\n1 0\n0 1\n", id="matrix"),
    ],
)
def test_formats_that_are_not_on_the_list_are_refused(
    converter: SandboxedConverter, data: bytes
) -> None:
    for recipe in (TO_PNG, TO_MP4, PAGE_TO_PNG):
        assert refusal(converter, data, recipe) in ("media-unsupported", "media-damaged")


# --- broken and mislabelled --------------------------------------------------------------------

HEALTHY: dict[str, Callable[[], bytes]] = {
    "png": lambda: picture("PNG"),
    "jpg": lambda: picture("JPEG"),
    "gif": lambda: picture("GIF"),
    "webp": lambda: picture("WEBP"),
    "tif": lambda: picture("TIFF"),
    "avif": lambda: picture("AVIF"),
    "svg": lambda: drawing('<rect width="30" height="30" fill="red"/>'),
    "mp4": clips.make,
    "webm": lambda: clips.make("webm"),
    "wav": lambda: clips.make("wav", picture=False),
    "mp3": lambda: clips.make("mp3", picture=False),
    "pdf": lambda: clips.make_pdf((144, 72)),
}
RECIPES = {"image": TO_PNG, "video": TO_MP4, "audio": TO_MP3, "document": PAGE_TO_PNG}
RUNNER_OF = {"mp4": "video", "webm": "video", "wav": "audio", "mp3": "audio", "pdf": "document"}
# Nothing of a file's making may count as our mistake, or kill the process.
HARMLESS = {"done", "media-damaged", "media-too-large", "media-unsupported"}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_truncated_file_fails_or_gives_what_is_there(
    converter: SandboxedConverter, name: str
) -> None:
    data, recipe = HEALTHY[name](), RECIPES[RUNNER_OF.get(name, "image")]
    assert outcome(converter, data, recipe) == "done"
    for length in (12, len(data) // 2, len(data) - 1):
        assert outcome(converter, data[:length], recipe) in HARMLESS


@pytest.mark.parametrize("name", ["png", "svg", "mp4", "wav", "pdf"])
def test_a_mislabelled_file_fails_or_is_read_for_what_it_is(
    converter: SandboxedConverter, name: str
) -> None:
    for runner, recipe in RECIPES.items():
        code = outcome(converter, HEALTHY[name](), recipe)
        assert code in HARMLESS | {"frame-outside", "start-outside"}, runner


@pytest.mark.parametrize("name", HEALTHY)
def test_a_spoilt_file_does_no_harm(converter: SandboxedConverter, name: str) -> None:
    """A few bytes changed anywhere, four times; the seed is fixed."""
    data, recipe = HEALTHY[name](), RECIPES[RUNNER_OF.get(name, "image")]
    dice = random.Random(name)
    for _ in range(4):
        spoilt = bytearray(data)
        for _ in range(dice.randint(1, 12)):
            spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
        assert outcome(converter, bytes(spoilt), recipe) in HARMLESS
