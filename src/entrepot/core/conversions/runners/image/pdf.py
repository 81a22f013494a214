"""A PDF of one page that shows one picture (ISO 32000-1): no date and no name of a program."""

import hashlib

from entrepot.core.conversions.runners.image.metadata import XMP
from entrepot.core.conversions.runners.image.picture import CMYK, GRAY, RGB, Picture

POINTS_AN_INCH = 72
DPI = 150
_PAGE_POINTS_MAX = 14_400  # annex C.2
_SPACES = {GRAY: "/DeviceGray", RGB: "/DeviceRGB", CMYK: "/DeviceCMYK"}


def pdf_page(picture: Picture, jpeg: bytes, dpi: int | None) -> bytes:
    """`jpeg` is the picture, encoded; it becomes the page's only content, edge to edge.

    One pixel is 1/dpi of an inch (150 unless told), larger pages are scaled down to what readers
    accept.
    """
    width, height = picture.size
    scale = min(POINTS_AN_INCH / (dpi or DPI), _PAGE_POINTS_MAX / max(width, height))
    across, down = _number(width * scale), _number(height * scale)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R%s >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {across} {down}] /Contents 4 0 R"
        " /Resources << /XObject << /Picture 5 0 R >> >> >>".encode(),
        _stream("", f"q {across} 0 0 {down} 0 0 cm /Picture Do Q".encode()),
    ]
    space, extra = _space(picture)
    # libvips writes the inks of CMYK as Adobe does: 255 is none.
    decode = " /Decode [1 0 1 0 1 0 1 0]" if picture.model == CMYK else ""
    shown = (
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height}"
        f" /ColorSpace {space} /BitsPerComponent 8 /Filter /DCTDecode{decode}"
    )
    objects += [_stream(shown, jpeg), *extra]
    packet = bytes(picture.first.get(XMP)) if picture.first.get_typeof(XMP) else b""
    if packet:
        objects.append(_stream("/Type /Metadata /Subtype /XML", packet))
    known = f" /Metadata {len(objects)} 0 R".encode() if packet else b""
    objects[0] %= known
    return _file(objects)


def _space(picture: Picture) -> tuple[str, list[bytes]]:
    """The colour space, by its profile where there is one, as object 6."""
    profile, device = picture.profile, _SPACES[picture.model]
    if profile is None:
        return device, []
    channels = {GRAY: 1, RGB: 3, CMYK: 4}[picture.model]
    return "[/ICCBased 6 0 R]", [_stream(f"/N {channels} /Alternate {device}", profile)]


def _stream(entries: str, data: bytes) -> bytes:
    head = f"<< {entries} /Length {len(data)} >>\nstream\n".replace("<<  ", "<< ")
    return head.encode() + data + b"\nendstream"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _file(objects: list[bytes]) -> bytes:
    """Objects, cross-reference table, trailer; its identifier follows from what is in it."""
    body = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        body += b"%010d 00000 n \n" % offset
    identity = hashlib.sha256(body).hexdigest()[:32].encode()
    body += b"trailer\n<< /Size %d /Root 1 0 R" % (len(objects) + 1)
    body += b" /ID [<%s> <%s>] >>\nstartxref\n%d\n%%%%EOF\n" % (identity, identity, start)
    return bytes(body)
