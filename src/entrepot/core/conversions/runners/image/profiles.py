"""What an ICC profile calls itself, and the space a picture is in (ICC.1:2022, 7 and 10)."""

from entrepot.core.conversions.runners.image.colour import built_in
from entrepot.core.conversions.runners.image.picture import RGB

_TAGS_MAX = 100
_NAME_MAX = 100


def space_of(model: str, profile: bytes | None) -> str:
    """srgb, p3, gray, cmyk, or rgb by some other profile."""
    if model != RGB:
        return model
    if profile is None or profile == built_in("srgb"):
        return "srgb"
    return "p3" if profile == built_in("p3") else "rgb"


def profile_name(profile: bytes) -> str:
    """Its description; empty where it has none that can be read."""
    for tag in range(min(int.from_bytes(profile[128:132], "big"), _TAGS_MAX)):
        entry = profile[132 + 12 * tag : 144 + 12 * tag]
        if entry[:4] == b"desc":
            start = int.from_bytes(entry[4:8], "big")
            return _described(profile[start : start + int.from_bytes(entry[8:12], "big")])
    return ""


def _described(tag: bytes) -> str:
    """As textDescriptionType (version 2) or the first of a multiLocalizedUnicodeType (4)."""
    if tag[:4] == b"desc":
        text = tag[12 : 12 + int.from_bytes(tag[8:12], "big")].decode("ascii", "ignore")
    elif tag[:4] == b"mluc":
        length, start = int.from_bytes(tag[20:24], "big"), int.from_bytes(tag[24:28], "big")
        text = tag[start : start + length].decode("utf-16-be", "ignore")
    else:
        text = ""
    return text.rstrip("\0").strip()[:_NAME_MAX]
