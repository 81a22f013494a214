"""Types from bytes: real files of real encoders, hostile names, and no bytes that break it."""

import io
import struct
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from entrepot.core.catalogue import MEDIA_GROUPS, media_group_of, sniff
from entrepot.core.catalogue.media_types import HEAD_BYTES, UNKNOWN

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
POWERPOINT = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def picture(form: str) -> bytes:
    raw = io.BytesIO()
    Image.new("RGB", (24, 16), "teal").save(raw, form)
    return raw.getvalue()


def archive(*names: str, first: bytes = b"data", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as made:
        for name in names:
            made.writestr(name, first)
    return raw.getvalue()


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("TIFF", "image/tiff"),
        ("BMP", "image/bmp"),
        ("AVIF", "image/avif"),
        ("JPEG2000", "image/jp2"),
        ("ICO", "image/vnd.microsoft.icon"),
        ("PDF", "application/pdf"),
        ("EPS", "application/postscript"),
    ],
)
def test_pictures_as_pillow_writes_them(form: str, content_type: str) -> None:
    # The name lies: bytes decide.
    assert sniff(picture(form)[:HEAD_BYTES], "holiday.mp4") == content_type


def test_heic_as_its_encoder_writes_it() -> None:
    import pillow_heif

    raw = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(raw, format="HEIF")
    assert sniff(raw.getvalue()[:HEAD_BYTES], "a.jpg") == "image/heic"


VIDEO = ("-f", "lavfi", "-i", "testsrc=duration=0.4:size=64x48:rate=10")
SOUND = ("-f", "lavfi", "-i", "sine=duration=0.5")


@pytest.mark.parametrize(
    ("source", "ending", "content_type"),
    [
        (VIDEO, "mp4", "video/mp4"),
        (VIDEO, "mov", "video/quicktime"),
        (VIDEO, "webm", "video/webm"),
        (VIDEO, "mkv", "video/x-matroska"),
        (VIDEO, "avi", "video/x-msvideo"),
        (VIDEO, "mpg", "video/mpeg"),
        (VIDEO, "ts", "video/mp2t"),
        (SOUND, "mp3", "audio/mpeg"),
        (SOUND, "m4a", "audio/mp4"),
        (SOUND, "ogg", "audio/ogg"),
        (SOUND, "opus", "audio/ogg"),
        (SOUND, "flac", "audio/flac"),
        (SOUND, "wav", "audio/wav"),
        (SOUND, "aac", "audio/aac"),
        (SOUND, "aiff", "audio/aiff"),
    ],
)
def test_sound_and_video_as_ffmpeg_writes_them(
    tmp_path: Path, source: tuple[str, ...], ending: str, content_type: str
) -> None:
    target = tmp_path / f"made.{ending}"
    # MPEG wants 25 pictures a second.
    rate = ("-r", "25") if ending in ("mpg", "ts") else ()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *rate, str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    assert sniff(target.read_bytes()[:HEAD_BYTES], "report.pdf") == content_type


def test_mp3_without_a_tag(tmp_path: Path) -> None:
    target = tmp_path / "made.mp3"
    plain = ("-id3v2_version", "0", "-write_xing", "0")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *SOUND, *plain, str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    data = target.read_bytes()
    assert data[0] == 0xFF
    assert sniff(data, "") == "audio/mpeg"


@pytest.mark.parametrize(
    ("data", "name", "content_type"),
    [
        (archive("[Content_Types].xml", "_rels/.rels", "word/document.xml"), "a", WORD),
        (archive("_rels/.rels", "docProps/app.xml", "xl/workbook.xml"), "a.docx", EXCEL),
        (archive("[Content_Types].xml", "ppt/presentation.xml"), "a.zip", POWERPOINT),
        (archive("[Content_Types].xml", "_rels/.rels"), "a.xlsx", EXCEL),
        (archive("[Content_Types].xml", "_rels/.rels"), "a.bin", "application/zip"),
        (archive("word.txt"), "a.docx", "application/zip"),
        (
            archive("mimetype", first=b"application/epub+zip", method=zipfile.ZIP_STORED),
            "a.zip",
            "application/epub+zip",
        ),
        (
            archive(
                "mimetype",
                first=b"application/vnd.oasis.opendocument.text",
                method=zipfile.ZIP_STORED,
            ),
            "a",
            "application/vnd.oasis.opendocument.text",
        ),
        (
            archive("mimetype", first=b"text/html", method=zipfile.ZIP_STORED),
            "a",
            "application/zip",
        ),
        (archive(), "a", "application/zip"),
        (OLE + bytes(512) + "WordDocument".encode("utf-16-le"), "a.xls", "application/msword"),
        (OLE + bytes(512), "a.xls", "application/vnd.ms-excel"),
        (OLE + bytes(512), "a.exe", "application/x-ole-storage"),
        (b"%PDF-1.7\n", "a.ai", "application/illustrator"),
        (b"junk\n%PDF-1.4\n", "a", "application/pdf"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a.ai", "application/illustrator"),
        (b"\xc5\xd0\xd3\xc6" + bytes(28), "a.jpg", "application/postscript"),
        (b"{\\rtf1 text}", "a.doc", "application/rtf"),
        (b"\x1f\x8b\x08\0", "a.tar.gz", "application/gzip"),
        (b"7z\xbc\xaf\x27\x1c", "a", "application/x-7z-compressed"),
        (b"Rar!\x1a\x07\x01\0", "a", "application/vnd.rar"),
        (b"\xfd7zXZ\0", "a", "application/x-xz"),
        (b"BZh91AY&SY", "a", "application/x-bzip2"),
        (b"BZh is the start of a sentence", "a", "text/plain"),
        (b"ID3 tags hold titles", "a", "text/plain"),
        (b"BMW builds cars", "a.txt", "text/plain"),
        (b"GOOD MORNING", "a.txt", "text/plain"),
        (b"II*\0" + bytes(60), "a.dng", "image/x-adobe-dng"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a.tif", "image/x-canon-cr2"),
        (b"8BPS\0\1", "a", "image/vnd.adobe.photoshop"),
        (b"", "a.png", UNKNOWN),
        (b"\0\1\2\3", "a.png", UNKNOWN),
        (b"MZ\x90\0", "a.jpg", UNKNOWN),
        # Texts
        (b"a,b\n1,2\n", "a.csv", "text/csv"),
        (b"a,b\n1,2\n", "a.jpg", "text/plain"),
        (b"# Title\n", "README.md", "text/markdown"),
        (b'{"a": 1}', "a.json", "application/json"),
        ("gr\u00fc\u00df".encode(), "a", "text/plain"),
        ("gr\u00fc\u00df".encode()[:-1], "a", "text/plain"),  # the head ends inside a letter
        ("gr\u00fc\u00df".encode("latin-1"), "a.txt", "text/plain"),
        ("gr\u00fc\u00df".encode("latin-1"), "a.jpg", UNKNOWN),
        ("text".encode("utf-16"), "a", "text/plain"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\nfile:///etc/passwd\n", "holiday.mp4", "text/plain"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.png", "image/svg+xml"),
        (
            b"\xef\xbb\xbf<?xml?>\n<!-- <html> --><!DOCTYPE svg [<!ENTITY a ''>]><s:svg/>",
            "a.xml",
            "image/svg+xml",
        ),
        (b"<?xml version='1.0'?><note><svg/></note>", "a.svg", "application/xml"),
        (b"<!doctype HTML><p>", "a.svg", "text/html"),
        (b"<html><svg/></html>", "a.svg", "text/html"),
    ],
)
def test_containers_documents_and_texts(data: bytes, name: str, content_type: str) -> None:
    assert sniff(data, name) == content_type


def test_a_tar_has_its_mark_in_the_middle() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as made:
        made.addfile(tarfile.TarInfo("file"))
    assert sniff(raw.getvalue(), "file.txt") == "application/x-tar"


@pytest.mark.parametrize(
    ("content_type", "group"),
    [
        ("image/jpeg", "Images"),
        ("image/heic", "Images"),
        ("image/svg+xml", "Vectors"),
        ("application/postscript", "Vectors"),
        ("application/illustrator", "Vectors"),
        ("video/quicktime", "Videos"),
        ("audio/flac", "Audio"),
        ("application/pdf", "Documents"),
        (WORD, "Documents"),
        ("application/msword", "Documents"),
        ("text/csv", "Documents"),
        ("application/zip", "Archives"),
        ("application/gzip", "Archives"),
        (UNKNOWN, "Default"),
        ("application/x-ole-storage", "Default"),
        ("font/woff", "Default"),
    ],
)
def test_groups(content_type: str, group: str) -> None:
    assert media_group_of(content_type) == group


def test_groups_are_numbered_and_named_as_the_contract_has_them() -> None:
    assert [(group.number, group.identifier) for group in MEDIA_GROUPS] == [
        (1, "M.AssetMedia.Images"),
        (2, "M.AssetMedia.Vectors"),
        (3, "M.AssetMedia.Videos"),
        (4, "M.AssetMedia.Audio"),
        (5, "M.AssetMedia.Documents"),
        (6, "M.AssetMedia.Archives"),
        (7, "M.AssetMedia.Default"),
    ]


STARTS = st.sampled_from(
    [
        *(b"", b"\xff", b"\xff\xfb", b"\xff\xf1", b"ID3", b"OggS", b"RIFF", b"\0\0\0\x18ftyp"),
        *(b"\x1aE\xdf\xa3", b"II*\0", b"BM", b"\0\0\1\0", b"G", b"PK\3\4", OLE, b"<?xml", b"<!--"),
    ]
)


@given(start=STARTS, rest=st.binary(max_size=400), name=st.text(max_size=12))
def test_any_bytes_and_any_name_give_a_type(start: bytes, rest: bytes, name: str) -> None:
    content_type = sniff(start + rest, name)
    assert "/" in content_type
    assert media_group_of(content_type) in [group.name for group in MEDIA_GROUPS]


@pytest.mark.parametrize(
    "data",
    [
        b"<!--a-->" * 2000 + b"<",
        b"<?a?>" * 3000,
        b"<!doctype a [" * 1200,
        b" \n" * 8000,
        b"<!--" + b"-" * 16000,
        b"PK\3\4" * 4000,
    ],
)
def test_no_bytes_make_it_slow(data: bytes) -> None:
    began = time.process_time()
    sniff(data[:HEAD_BYTES], "a.svg")
    assert time.process_time() - began < 0.5


def test_iso_media_by_compatible_brand() -> None:
    box = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"mif1", b"avif")
    assert sniff(box, "a.heic") == "image/avif"
    box = struct.pack(">I4s4sI4s", 20, b"ftyp", b"mif1", 0, b"mif1")
    assert sniff(box, "a") == "image/heif"
    assert sniff(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0), "a.m4a") == "audio/mp4"
