"""The papers of a package: order.json, manifest.json and, where something failed, report.txt.

They hold nothing of the moment they are written at, so writing them again gives the same bytes.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from entrepot.kit.text import format_instant

ORDER, MANIFEST, REPORT = "order.json", "manifest.json", "report.txt"
_REMEDIES = {
    "media-damaged": "Replace the file by an undamaged one, then order it again.",
    "media-too-large": "Order the original, or a smaller part of the file.",
    "media-too-slow": "Order the original, or something simpler.",
    "media-unsupported": "Order the original: files like this are not converted here.",
    "converter-died": "Order the original; tell the operator if other files fail as well.",
    "conversion-given-up": "Order the original; tell the operator if other files fail as well.",
    # What was asked for does not fit this file: the same order would fail again.
    "page-outside": "Order it with pages that the document has, or order the original.",
    "frame-outside": "Order it with a frame that the video has (25% fits each), or the original.",
    "start-outside": "Order it with a start that lies before its end, or order the original.",
    "crop-outside": "Order it with a crop that lies in the picture, or by a ratio such as 16:9.",
    "watermark-too-small": "Order it with a shorter text, or a larger scale, of the watermark.",
    "max-bytes": "Order it with more bytes in maxBytes, or smaller in pixels (resize).",
    "storage-full": "Retry the order when the operator has made room.",
    "bytes-missing": "Tell the operator: the file must be restored or published again.",
}
_REMEDY = "Retry the order, or order the original."


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """One file of the package, as the manifest tells it."""

    name: str
    size: int
    sha256: str
    asset_id: int
    identifier: str
    rendition: str


class Missing(msgspec.Struct, frozen=True, gc=False):
    """One file that could not be made, and why."""

    asset_id: int
    identifier: str
    rendition: str
    file_name: str
    code: str
    reason: str


_encode = msgspec.json.Encoder().encode


def order_paper(order: Any) -> bytes:
    """The order as it was placed (contract: "the download order configuration")."""
    told = {
        "order_id": order.id,
        "name": order.name,
        "download_order_type": order.type,
        "culture": order.culture,
        "item_name_resolver_id": order.resolver_id,
        "created_on": format_instant(order.created_at),
        "target_count": order.target_count,
        "order": order.request,
    }
    return msgspec.json.format(_encode(told), indent=2) + b"\n"


def manifest(order: Any, delivered: Sequence[Delivered], missing: Sequence[Missing]) -> bytes:
    """Every file with its size and digest, one a line, and what is missing."""
    return b"".join(
        (
            b'{\n"order_id": %d,\n"files": [\n' % order.id,
            b",\n".join(map(_encode, delivered)),
            b'\n],\n"missing": [\n',
            b",\n".join(map(_encode, missing)),
            b"\n]\n}\n",
        )
    )


def remedy_of(code: str) -> str:
    """What can be done about a file that could not be made."""
    return _REMEDIES.get(code, _REMEDY)


def report(order: Any, missing: Sequence[Missing], notes: str) -> bytes:
    """What could not be done, why, and what can be done about it: UTF-8 text for people."""
    title = f"Order {order.id}" + (f", {order.name}" if order.name else "")
    lines = [title, "", notes, ""]
    for each in missing:
        lines += [
            f"{each.file_name} (asset {each.asset_id}, {each.identifier}): {each.rendition}",
            f"    why: {each.reason} [{each.code}]",
            f"    what to do: {remedy_of(each.code)}",
            "",
        ]
    return "\r\n".join(lines).encode()  # the line ends that every editor shows


def summary(
    *, files: int, missing: Sequence[Missing], left_out: int, unconfigured: int, not_kept: int
) -> str | None:
    """One line for `additional_info`; None where there is nothing to say."""
    told = []
    if missing:
        outcome = "nothing could be delivered" if len(missing) == files else f"see {REPORT}"
        told.append(f"{len(missing)} of {_count(files, 'file')} could not be made: {outcome}.")
        if len(missing) == files:
            told.append(f"The first reason: {missing[0].reason}")
    if left_out:
        told.append(f"{_count(left_out, 'selected asset')} left out: deleted, or not yours.")
    if unconfigured:
        told.append(f"{_count(unconfigured, 'asset')} without files: nothing was configured.")
    if not_kept:
        told.append(f"{_count(not_kept, 'rendition')} not kept: the asset has too many already.")
    return " ".join(told) or None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
