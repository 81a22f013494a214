"""What is known of a picture besides its pixels: kept, left out, or only whose it is.

Notices are read from EXIF (Copyright, Artist), XMP (dc:rights, dc:creator, photoshop:Credit,
xmpRights:UsageTerms) and IPTC-IIM (2:116, 2:80, 2:110), and written as EXIF, which libvips
writes in ASCII, and as XMP.
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pyvips

EXIF, XMP, IPTC = "exif-data", "xmp-data", "iptc-data"
XMP_BYTES_MAX = 1 << 20
NOTICE_CHARACTERS_MAX = 2000
CREATORS_MAX = 20

_NS = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
}
_RIGHTS, _CREATOR = "exif-ifd0-Copyright", "exif-ifd0-Artist"
_TURNED = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]")
# libvips gives a field as `value (value, ASCII, 6 components, 6 bytes)`.
_TYPE = re.compile(r" \([^()]*(?:\([^()]*\)[^()]*)*, \w+, \d+ components?, \d+ bytes?\)$")


@dataclass(frozen=True, slots=True)
class Notice:
    """Whose the picture is; empty where nothing is said."""

    rights: str = ""
    creators: tuple[str, ...] = ()
    credit: str = ""
    usage: str = ""


def carry(image: pyvips.Image, rule: str, extension: str) -> pyvips.Image:
    """A copy with the metadata that the rule ("keep", "copyright", "strip") leaves."""
    copy = image.copy()
    notice = Notice() if rule == "strip" else read_notice(image)
    if rule == "keep":
        _drop(copy, ("jpeg-thumbnail-data", "orientation"))
        if copy.get_typeof(XMP):
            upright = _TURNED.sub(rb"\g<1>1", bytes(copy.get(XMP)))
            copy.set_type(pyvips.GValue.blob_type, XMP, upright)
        elif extension in ("tif", "pdf") and notice != Notice():
            # Neither gets the EXIF: so the notice takes the other way.
            copy.set_type(pyvips.GValue.blob_type, XMP, xmp(notice))
        return copy
    _drop(copy, [field for field in copy.get_fields() if _is_metadata(field)])
    if notice != Notice():
        _write_notice(copy, notice)
    return copy


def _is_metadata(field: str) -> bool:
    return field.startswith(("exif-", "png-comment-", "heif-", "jpeg-thumbnail")) or field in (
        XMP,
        IPTC,
        "photoshop-data",
        "orientation",
        "image-description",
        "gif-comment",
    )


def _drop(image: pyvips.Image, fields: list[str] | tuple[str, ...]) -> None:
    for field in fields:
        if image.get_typeof(field):
            image.remove(field)


def _write_notice(image: pyvips.Image, notice: Notice) -> None:
    image.set_type(pyvips.GValue.blob_type, XMP, xmp(notice))
    if notice.rights:
        image.set_type(pyvips.GValue.gstr_type, _RIGHTS, notice.rights)
    if notice.creators:
        image.set_type(pyvips.GValue.gstr_type, _CREATOR, "; ".join(notice.creators))


def read_notice(image: pyvips.Image) -> Notice:
    """From XMP, else IPTC, else EXIF: the first that says it."""
    texts = _from_xmp(bytes(image.get(XMP))) if image.get_typeof(XMP) else {}
    older = _from_iptc(bytes(image.get(IPTC))) if image.get_typeof(IPTC) else {}
    rights = texts.get("dc:rights") or older.get(116) or _from_exif(image, _RIGHTS)
    creators = texts.get("dc:creator") or older.get(80) or _from_exif(image, _CREATOR)
    return Notice(
        rights=_first(rights),
        creators=tuple(text[:NOTICE_CHARACTERS_MAX] for text in creators[:CREATORS_MAX]),
        credit=_first(texts.get("photoshop:Credit") or older.get(110) or []),
        usage=_first(texts.get("xmpRights:UsageTerms") or []),
    )


def _first(texts: list[str]) -> str:
    return texts[0][:NOTICE_CHARACTERS_MAX] if texts else ""


def _from_exif(image: pyvips.Image, field: str) -> list[str]:
    if not image.get_typeof(field):
        return []
    text = _TYPE.sub("", str(image.get(field))).strip()
    return [text] if text else []


def _from_iptc(data: bytes) -> dict[int, list[str]]:
    """Data sets of record 2 (IPTC-NAA IIM 4.2, 1.6): marker, record, number, length, value."""
    found: dict[int, list[str]] = {}
    at = data.find(b"\x1c\x02")
    while 0 <= at <= len(data) - 5:
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        value = data[at + 5 : at + 5 + length]
        if length < 0x8000 and value:
            found.setdefault(data[at + 2], []).append(_text(value))
            at = data.find(b"\x1c\x02", at + 5 + length)
        else:
            at = data.find(b"\x1c\x02", at + 2)
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _from_xmp(data: bytes) -> dict[str, list[str]]:
    """No document type is read, so nothing can be expanded into something large."""
    if len(data) > XMP_BYTES_MAX or b"<!" in data:
        return {}
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - see above, and it runs in the sandbox
    except (ElementTree.ParseError, ValueError):
        return {}
    found: dict[str, list[str]] = {}
    for name in ("dc:rights", "dc:creator", "photoshop:Credit", "xmpRights:UsageTerms"):
        prefix, local = name.split(":")
        tag = f"{{{_NS[prefix]}}}{local}"
        texts = [node.get(tag, "") for node in root.iter(f"{{{_NS['rdf']}}}Description")]
        for node in root.iter(tag):
            texts += [item.text or "" for item in node.iter(f"{{{_NS['rdf']}}}li")]
            texts.append(node.text or "")
        found[name] = [text.strip() for text in texts if text.strip()]
    return found


def xmp(notice: Notice) -> bytes:
    """A packet of ISO 16684-1 that says just this."""
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NS.items() if prefix != "rdf")
    creators = "".join(f"<rdf:li>{_escaped(text)}</rdf:li>" for text in notice.creators)
    parts = [
        _alternative("dc:rights", notice.rights),
        f"<dc:creator><rdf:Seq>{creators}</rdf:Seq></dc:creator>" if creators else "",
        f"<photoshop:Credit>{_escaped(notice.credit)}</photoshop:Credit>" if notice.credit else "",
        _alternative("xmpRights:UsageTerms", notice.usage),
    ]
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_NS["rdf"]}">'
        f'<rdf:Description rdf:about=""{spaces}>{"".join(parts)}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _alternative(name: str, text: str) -> str:
    if not text:
        return ""
    item = f'<rdf:li xml:lang="x-default">{_escaped(text)}</rdf:li>'
    return f"<{name}><rdf:Alt>{item}</rdf:Alt></{name}>"


def _escaped(text: str) -> str:
    """For XML 1.0, which has no place for control characters."""
    return escape("".join(sign for sign in text if sign >= " " or sign in "\t\n"))
