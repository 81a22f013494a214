"""A file that comes in the request itself: multipart/form-data (RFC 7578), read as it arrives.

The part `file` is the file, of any size up to the operator's limit, and never in memory. The
other properties come as parts of their own (`title`, also spelt `data[title]`), or together as
JSON in the part `data`.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import msgspec
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from entrepot.assembly import Hub
from entrepot.core.catalogue import DownloadFile, store_file
from entrepot.core.orders.naming import mend_name
from entrepot.errors import Invalid
from entrepot.web.http.incoming import IncomingFile
from entrepot.web.products_api._bodies import WRITABLE, Wanted, parse_data
from entrepot.web.products_api._errors import Faults, file_faults

MEDIA_TYPE = "multipart/form-data"
TEXT_BYTES_MAX = 2**18  # of all parts but the file
PARTS_MAX = 20
_PIECE_BYTES = 2**16
_UNNAMED = "download"


@dataclass(frozen=True, slots=True)
class Form:
    """What came: the object as JSON would have said it, and the file, stored."""

    wanted: Wanted
    file: DownloadFile | None


def is_form(content_type: str) -> bool:
    """Whether a request says that its body is a form with parts."""
    return bool(parse_options_header(content_type)[0] == MEDIA_TYPE)


def read_form(
    hub: Hub, body: IncomingFile, content_type: str, kept: list[str], own: str | None
) -> Form:
    """Read the form, store its file and note that in `kept`; Faults where it is none.

    To be called on a thread, with no transaction open. `own`: see `parse_data`.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    texts: dict[str, Any] = {}
    file: DownloadFile | None = None
    try:
        with PushMultipartParser(
            boundary, max_segment_count=PARTS_MAX, header_charset="utf8"
        ) as parser:
            events = _events(parser, body)
            for event in events:
                part = cast("MultipartSegment", event)
                if part.filename is None:
                    texts |= _text(part, events, texts)
                elif part.name != "file" or file is not None:
                    raise _no_form("There is one file, in the part `file`.")
                else:
                    file = _stored(hub, part, events, kept)
    except MultipartError as error:
        raise _no_form(f"{error}.") from error
    private = hub.policy.outbound_private
    wanted = parse_data(texts, private=private, own=own)
    if file is not None and wanted.source is not None:
        raise _no_form("The file came twice, as an address and as a part.")
    return Form(wanted, file)


def _events(parser: PushMultipartParser, body: IncomingFile) -> Iterator[Any]:
    """A segment's head, its bytes piece by piece, None at its end; the next segment."""
    while not parser.closed:
        yield from parser.parse(body.read(_PIECE_BYTES) or b"")


def _text(part: MultipartSegment, events: Iterator[Any], before: Mapping[str, Any]) -> Any:
    room = TEXT_BYTES_MAX - sum(len(str(value)) for value in before.values())
    raw = bytearray()
    for piece in iter(lambda: next(events), None):
        raw += piece
        if len(raw) > room:
            raise _no_form(f"Its texts have more than {TEXT_BYTES_MAX} bytes.")
    name = part.name.removeprefix("data[").removesuffix("]")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _no_form(f"The part {name[:80]!r} is not UTF-8.") from error
    if name == "data":
        return _object(text)
    if name == "sequence" and text.isascii() and text.isdigit() and len(text) < 19:
        return {name: int(text)}
    return {name: text}


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise _no_form("The part `data` is no JSON.") from error
    inner = value.get("data", value) if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise _no_form("The part `data` is no JSON object.")
    return inner


class _Part(io.RawIOBase):
    """The bytes of one part as a file to read once."""

    def __init__(self, events: Iterator[Any]) -> None:
        super().__init__()
        self._pieces = iter(lambda: next(events), None)
        self._at_hand = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Bytes as they are at hand, at least one, or 0 at the end of the part."""
        if not self._at_hand:
            self._at_hand = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._at_hand))
        buffer[:count] = self._at_hand[:count]
        self._at_hand = self._at_hand[count:]
        return count


def _stored(
    hub: Hub, part: MultipartSegment, events: Iterator[Any], kept: list[str]
) -> DownloadFile:
    # Browsers send a name alone; what else comes as one is mended, as it is in a ZIP.
    name = mend_name((part.filename or "").replace("\\", "/").rpartition("/")[2] or _UNNAMED)
    source = cast("BinaryIO", _Part(events))
    with file_faults():
        stored = store_file(hub.blobs, source, name, size_max=hub.policy.upload_bytes_max)
    kept.append(stored.digests.sha256)
    return DownloadFile(stored, name)


def _no_form(why: str) -> Faults:
    return Faults(
        [
            Invalid(
                f"The form cannot be read: {why}",
                field="data",
                code="form-invalid",
                remedy=f"Send the file in the part `file`, the rest in parts of their own: "
                f"{', '.join(WRITABLE[1:])}.",
            )
        ],
        status=400,
    )
