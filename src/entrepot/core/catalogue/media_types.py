"""What kind of file it is, from its bytes, and the media group that it belongs to.

A name proves nothing: an HLS playlist called `holiday.mp4` is a text. So the first bytes
decide, and the name only breaks a tie between types that look alike from outside (plain text
and CSV, OLE files of Word and Excel, PDF and Illustrator, sound alone in a video container).

The content types given: image/{jpeg,png,gif,webp,tiff,bmp,avif,heic,heif,jxl,jp2,svg+xml,...},
video/{mp4,quicktime,webm,x-matroska,x-msvideo,mpeg,mp2t,ogg,3gpp,x-flv,x-ms-wmv},
audio/{mpeg,mp4,ogg,flac,wav,aac,aiff,webm,x-matroska,x-ms-wma,amr}, application/{pdf,
postscript,illustrator,zip,gzip,x-tar,x-7z-compressed,...}, Office and OpenDocument types, text/*,
and application/octet-stream for everything else. Opus in Ogg is audio/ogg (RFC 7845, section 9).
"""

import codecs
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

HEAD_BYTES = 16 << 10  # what `sniff` wants to see of a file; less is no error
UNKNOWN = "application/octet-stream"
GROUP_PREFIX = "M.AssetMedia."


@dataclass(frozen=True, slots=True)
class MediaGroup:
    """A group of media; `name` is what the database holds."""

    number: int
    name: str

    @property
    def identifier(self) -> str:
        """As the orders API names it: M.AssetMedia.Images."""
        return GROUP_PREFIX + self.name


MEDIA_GROUPS: tuple[MediaGroup, ...] = tuple(
    MediaGroup(number, name)
    for number, name in enumerate(
        ("Images", "Vectors", "Videos", "Audio", "Documents", "Archives", "Default"), start=1
    )
)

_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_POWERPOINT = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_VECTORS = frozenset(
    {
        "image/svg+xml",
        "image/emf",
        "image/wmf",
        "application/postscript",
        "application/illustrator",
    }
)
_ARCHIVES = frozenset(
    {
        "application/zip",
        "application/gzip",
        "application/x-tar",
        "application/x-7z-compressed",
        "application/x-bzip2",
        "application/x-xz",
        "application/zstd",
        "application/vnd.rar",
    }
)
_DOCUMENTS = frozenset(
    {
        "application/pdf",
        "application/rtf",
        "application/epub+zip",
        "application/json",
        "application/xml",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
    }
)
_DOCUMENT_FAMILIES = (
    "text/",
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
)
_BY_FAMILY = {"image": "Images", "video": "Videos", "audio": "Audio"}


def media_group_of(content_type: str) -> str:
    """The name of the group that a content type belongs to, without prefix."""
    if content_type in _VECTORS:
        return "Vectors"
    if content_type in _ARCHIVES:
        return "Archives"
    if content_type in _DOCUMENTS or content_type.startswith(_DOCUMENT_FAMILIES):
        return "Documents"
    return _BY_FAMILY.get(content_type.partition("/")[0], "Default")


def sniff(head: bytes, file_name: str) -> str:
    """The content type of a file that begins with `head` (HEAD_BYTES are plenty)."""
    extension = file_name.rpartition(".")[2].lower() if "." in file_name else ""
    for offset, signature, meaning in _SIGNATURES:
        if head.startswith(signature, offset):
            found = meaning if isinstance(meaning, str) else meaning(head, extension)
            if found is not None:
                return _ALIKE.get((found, extension), found)
    return _document(head, extension) or _text(head, extension) or UNKNOWN


_Look = Callable[[bytes, str], str | None]

# (type by its bytes, extension) -> the type it is with that name: they look alike from outside.
_ALIKE: Mapping[tuple[str, str], str] = {
    ("application/pdf", "ai"): "application/illustrator",
    ("application/postscript", "ai"): "application/illustrator",
    ("image/tiff", "dng"): "image/x-adobe-dng",
    ("image/tiff", "nef"): "image/x-nikon-nef",
    ("image/tiff", "arw"): "image/x-sony-arw",
    ("video/mp4", "m4a"): "audio/mp4",
    ("video/webm", "weba"): "audio/webm",
    ("video/x-matroska", "mka"): "audio/x-matroska",
    ("video/x-ms-wmv", "wma"): "audio/x-ms-wma",
    ("text/plain", "csv"): "text/csv",
    ("text/plain", "tsv"): "text/tab-separated-values",
    ("text/plain", "md"): "text/markdown",
    ("text/plain", "css"): "text/css",
    ("text/plain", "js"): "text/javascript",
    ("text/plain", "vtt"): "text/vtt",
    ("text/plain", "ics"): "text/calendar",
    ("text/plain", "json"): "application/json",
}
_OLE_BY_EXTENSION = {
    "doc": "application/msword",
    "dot": "application/msword",
    "xls": "application/vnd.ms-excel",
    "xlt": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "pps": "application/vnd.ms-powerpoint",
}
_OPC_BY_EXTENSION = {"docx": _WORD, "xlsx": _EXCEL, "pptx": _POWERPOINT}


# --- containers that need a look inside ------------------------------------------------------


def _riff(head: bytes, _extension: str) -> str | None:
    kinds = {b"WEBP": "image/webp", b"AVI ": "video/x-msvideo", b"WAVE": "audio/wav"}
    return kinds.get(head[8:12])


def _aiff(head: bytes, _extension: str) -> str | None:
    return "audio/aiff" if head[8:12] in (b"AIFF", b"AIFC") else None


_BRANDS: Mapping[bytes, str] = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"crx ": "image/x-canon-cr3",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"M4P ": "audio/mp4",
    b"3gp4": "video/3gpp",
    b"3gp5": "video/3gpp",
    b"3gp6": "video/3gpp",
}


def _iso_media(head: bytes, _extension: str) -> str | None:
    """ISO/IEC 14496-12: the major brand, or for HEIF's generic ones a compatible brand."""
    size = int.from_bytes(head[:4], "big")
    major = head[8:12]
    compatible = [head[at : at + 4] for at in range(16, min(size, 256, len(head)), 4)]
    if major in _BRANDS:
        return _BRANDS[major]
    if major in (b"mif1", b"msf1", b"miaf"):
        kinds = [_BRANDS[brand] for brand in compatible if brand in _BRANDS]
        return next((kind for kind in kinds if kind.startswith("image/")), "image/heif")
    return "video/mp4"


def _quicktime(head: bytes, _extension: str) -> str | None:
    """Old QuickTime has no `ftyp`: a box of another kind comes first."""
    size = int.from_bytes(head[:4], "big")
    return "video/quicktime" if size in (0, 1) or size >= 8 else None


def _matroska(head: bytes, _extension: str) -> str | None:
    return "video/webm" if b"webm" in head[:128] else "video/x-matroska"


def _ogg(head: bytes, _extension: str) -> str | None:
    # The first page holds the header of the first stream; a video stream comes first.
    return "video/ogg" if b"\x80theora" in head[:128] else "audio/ogg"


def _tagged_sound(head: bytes, _extension: str) -> str | None:
    """After an ID3v2 tag, whose size is four times seven bits."""
    if len(head) < 10 or head[3] > 4 or max(head[6:10]) > 0x7F:
        return None
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return "audio/flac" if head.startswith(b"fLaC", 10 + size) else "audio/mpeg"


_MP3_KBITS = {
    (True, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_HERTZ = (44100, 48000, 32000)


def _sound_frames(head: bytes, _extension: str) -> str | None:
    """MPEG audio or ADTS without a tag: a frame, and where it ends another one."""
    if len(head) < 7 or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        good = length >= 7 and head[2] >> 2 & 15 < 13
        return "audio/aac" if good and _again(head, length) else None
    length = _mpeg_frame_bytes(head)
    return "audio/mpeg" if length and _again(head, length) else None


def _mpeg_frame_bytes(head: bytes) -> int:
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, hertz = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer not in (1, 2) or rate in (0, 15) or hertz == 3:
        return 0
    first = version == 3
    kbits = _MP3_KBITS[first, layer if first else 1][rate]
    slots = 144 if first or layer == 2 else 72
    return slots * kbits * 1000 // (_MP3_HERTZ[hertz] >> (3 - version)) + (head[2] >> 1 & 1)


def _again(head: bytes, length: int) -> bool:
    """Whether a frame of the same kind follows, as far as the head reaches."""
    return len(head) < length + 2 or (
        head[length] == 0xFF and head[length + 1] & 0xFE == head[1] & 0xFE
    )


def _transport_stream(head: bytes, _extension: str) -> str | None:
    packets = range(0, min(len(head), 5 * 188), 188)
    return "video/mp2t" if len(packets) > 2 and all(head[at] == 0x47 for at in packets) else None


def _bitmap(head: bytes, _extension: str) -> str | None:
    if len(head) < 18 or head[6:10] != bytes(4):
        return None
    header = struct.unpack_from("<I", head, 14)[0]
    return "image/bmp" if header in (12, 16, 40, 52, 56, 64, 108, 124) else None


def _icon(head: bytes, _extension: str) -> str | None:
    return "image/vnd.microsoft.icon" if len(head) >= 22 and head[9] == 0 and head[4] else None


def _metafile(head: bytes, _extension: str) -> str | None:
    return "image/emf" if head[40:44] == b" EMF" else None


def _canon_raw(head: bytes, _extension: str) -> str | None:
    return "image/x-canon-cr2" if head[8:10] == b"CR" else "image/tiff"


def _bzip2(head: bytes, _extension: str) -> str | None:
    return "application/x-bzip2" if head.startswith(b"BZh") else None


_ZIP_ENTRY = struct.Struct("<4s5H3I2H")  # APPNOTE 4.3.7
_OPC_FOLDERS = {b"word/": _WORD, b"xl/": _EXCEL, b"ppt/": _POWERPOINT}
_EMBEDDED_TYPE = re.compile(rb"application/(?:vnd\.oasis\.opendocument\.[\w.-]+|epub\+zip)")


def _zip(head: bytes, extension: str) -> str | None:
    names: list[bytes] = []
    at = 0
    while at >= 0 and len(head) >= at + _ZIP_ENTRY.size:
        fields = _ZIP_ENTRY.unpack_from(head, at)
        start = at + _ZIP_ENTRY.size
        name = head[start : start + fields[9]]
        names.append(name)
        if at == 0 and name == b"mimetype":
            data = start + fields[9] + fields[10]
            kind = _EMBEDDED_TYPE.fullmatch(head, data, data + fields[7])
            return kind[0].decode() if kind else "application/zip"
        # Sizes may stand after the data only, so the next entry is searched for.
        at = head.find(b"PK\x03\x04", start)
    for folder, kind_of_office in _OPC_FOLDERS.items():
        if any(name.startswith(folder) for name in names):
            return kind_of_office
    office = any(name in (b"[Content_Types].xml", b"_rels/.rels") for name in names)
    return _OPC_BY_EXTENSION.get(extension, "application/zip") if office else "application/zip"


_OLE_STREAMS = {
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
}


def _ole(head: bytes, extension: str) -> str | None:
    """The directory that names the streams may lie anywhere: then the name has to do."""
    for stream, kind in _OLE_STREAMS.items():
        if stream.encode("utf-16-le") in head:
            return kind
    return _OLE_BY_EXTENSION.get(extension, "application/x-ole-storage")


# Offset, bytes there, and the type, or who has to look closer.
_SIGNATURES: tuple[tuple[int, bytes, str | _Look], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"RIFF", _riff),
    (0, b"RF64", _riff),
    (0, b"II*\0", _canon_raw),
    (0, b"MM\0*", "image/tiff"),
    (0, b"II+\0", "image/tiff"),
    (0, b"MM\0+", "image/tiff"),
    (0, b"BM", _bitmap),
    (0, b"\0\0\1\0", _icon),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"\xff\x4f\xff\x51", "image/j2c"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"\x76\x2f\x31\x01", "image/x-exr"),
    (0, b"\1\0\0\0", _metafile),
    (0, b"\xd7\xcd\xc6\x9a", "image/wmf"),
    (4, b"ftyp", _iso_media),
    (4, b"moov", _quicktime),
    (4, b"mdat", _quicktime),
    (4, b"wide", _quicktime),
    (0, b"\x1aE\xdf\xa3", _matroska),
    (0, b"\0\0\1\xba", "video/mpeg"),
    (0, b"\0\0\1\xb3", "video/mpeg"),
    (0, b"G", _transport_stream),
    (0, b"FLV\1", "video/x-flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv"),
    (0, b"OggS", _ogg),
    (0, b"ID3", _tagged_sound),
    (0, b"fLaC", "audio/flac"),
    (0, b"FORM", _aiff),
    (0, b"#!AMR", "audio/amr"),
    (0, b"\xff", _sound_frames),
    (0, b"%!PS", "application/postscript"),
    (0, b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _ole),
    (0, b"PK\3\4", _zip),
    (0, b"PK\5\6", "application/zip"),
    (0, b"PK\7\x08", "application/zip"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (4, b"1AY&SY", _bzip2),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\7", "application/vnd.rar"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (257, b"ustar", "application/x-tar"),
)

# --- what has no signature of fixed place ----------------------------------------------------


def _document(head: bytes, extension: str) -> str | None:
    """PDF readers take a header anywhere in the first KiB (ISO 32000-1, annex H.3.4.1)."""
    if b"%PDF-" not in head[:1024]:
        return None
    return _ALIKE.get(("application/pdf", extension), "application/pdf")


# What may stand before a document's root element. Nothing is tried twice (`(?>`, `*+`): a file
# must not be able to make the search slow.
_ROOT = re.compile(
    r"\ufeff?(?>\s+|<\?.*?\?>|<!--.*?-->|<!doctype[^\[>]*(?:\[.*?\]\s*)?>)*+<(?:[\w.-]+:)?([\w.-]+)",
    re.DOTALL | re.IGNORECASE,
)
_HTML = re.compile(r"\ufeff?\s*<!doctype\s+html", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_TEXT_EXTENSIONS = frozenset({"txt"}) | {
    extension for kind, extension in _ALIKE if kind == "text/plain"
}


def _text(head: bytes, extension: str) -> str | None:
    text = _decoded(head, extension)
    if not text or _CONTROLS.search(text):
        return None
    if _HTML.match(text):
        return "text/html"
    root = _ROOT.match(text)
    name = root[1].lower() if root else ""
    if name == "svg":
        return "image/svg+xml"
    if name == "html":
        return "text/html"
    if text.lstrip("\ufeff").startswith("<?xml"):
        return "application/xml"
    return _ALIKE.get(("text/plain", extension), "text/plain")


def _decoded(head: bytes, extension: str) -> str | None:
    """The head as text; its last character may be cut. Old 8-bit texts are known by name only."""
    charset = next((name for bom, name in _BOMS if head.startswith(bom)), "utf-8")
    try:
        return codecs.getincrementaldecoder(charset)().decode(head)
    except UnicodeDecodeError:
        return head.decode("latin-1") if extension in _TEXT_EXTENSIONS else None
