"""Which pictures can be read, and by what. The file's first bytes decide, never its name."""

import re
from pathlib import Path

from entrepot.core.conversions.runners.protocol import Refused

HEAD_BYTES = 16 << 10

# Read by libvips; the others by Pillow and pillow-heif (foreign.py).
BY_LIBVIPS = frozenset({"jpeg", "png", "gif", "webp", "tiff", "avif", "svg"})

_SIGNATURES = (
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"BM", "bmp"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (0, b"\xff\x4f\xff\x51", "jpeg2000"),
)
_SVG_ROOT = re.compile(
    r"\ufeff?(?>\s+|<\?.*?\?>|<!--.*?-->|<!doctype[^\[>]*(?:\[.*?\]\s*)?>)*+<(?:[\w.-]+:)?svg[\s/>]",
    re.DOTALL | re.IGNORECASE,
)


def kind_of(source: Path) -> str:
    """jpeg png gif webp tiff avif svg heic bmp jpeg2000, or Refused media-unsupported."""
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise Refused("media-damaged", "The file is empty.")
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    found = _heif(head) if head[4:8] == b"ftyp" else "svg" if _is_svg(head) else None
    if found is None:
        raise Refused("media-unsupported", "This is no picture of a kind that can be read here.")
    return found


def _heif(head: bytes) -> str | None:
    """By its brands (ISO/IEC 23008-12, annex B): AV1 is libvips', HEVC pillow-heif's."""
    brands = {head[at : at + 4] for at in range(8, min(int.from_bytes(head[:4], "big"), 256), 4)}
    if brands & {b"avif", b"avis"}:
        return "avif"
    return "heic" if brands & {b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"} else None


def _is_svg(head: bytes) -> bool:
    charset = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return _SVG_ROOT.match(head.decode(charset, "ignore")) is not None
