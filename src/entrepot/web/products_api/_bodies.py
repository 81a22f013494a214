"""The object in a request's body: `{"data": {...}}`, every fault of it found at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from entrepot.core.catalogue import Place, Placement, check_directory, download_values
from entrepot.errors import Invalid, TooMany
from entrepot.kit.ids import INT64_MAX
from entrepot.web.http.edge import Edge
from entrepot.web.http.receiving import receive_at_most
from entrepot.web.products_api._errors import FAULTS_MAX, AnyRequest, Faults, file_faults
from entrepot.web.products_api._sources import (
    DATA_URI_BYTES_MAX,
    Source,
    chosen_name,
    parse_source,
)

# A Data URI of the largest file, in base64, and room for all else.
BODY_BYTES_MAX = DATA_URI_BYTES_MAX * 4 // 3 + 2**20
LARGE_BYTES = 2**18
LARGE_AT_ONCE_MAX = 4
WRITABLE = ("file", "title", "description", "sequence", "visibility")
READ_ONLY = ("id", "productId", "createdOn", "createdBy", "modifiedOn", "modifiedBy")
_PLACES = ("first", "last", "before", "after")


@dataclass(slots=True)
class Wanted:
    """What a request says of a download. `source`: where another file is to come from."""

    said: dict[str, str | None] = field(default_factory=dict)
    place: Place | None = None
    source: Source | None = None
    file_name: str | None = None
    directory: str = ""


def parse_data(given: Mapping[str, Any], *, private: bool, own: str | None = None) -> Wanted:
    """The body's object; Faults with all that is wrong in it.

    `own`: how the stable address of the download's file begins; sent back, it means the file
    that is there. What is read-only is left aside, so that an object can be sent back whole.
    """
    wanted = Wanted()
    faults: list[Invalid] = []
    for name, value in given.items():
        try:
            _take(wanted, name, value, private, own)
        except Invalid as error:
            faults += error.faults if isinstance(error, Faults) else [error]
        if len(faults) >= FAULTS_MAX:  # a body has room for a million, each of a thousand bytes
            break
    if faults:
        raise Faults(faults)
    return wanted


def _take(wanted: Wanted, name: str, value: Any, private: bool, own: str | None) -> None:
    if name == "file":
        with file_faults():
            _take_file(wanted, value, private, own)
    elif name == "sequence":
        wanted.place = _place(value)
    elif name in ("title", "description", "visibility"):
        if not isinstance(value, str) and (value is not None or name == "visibility"):
            raise Invalid(f"{name} is a text.", field=name)
        wanted.said |= {name: value}
        download_values({name: value})
    elif name not in READ_ONLY:
        raise Invalid(
            f"A download has no property {name[:80]!r}.",
            field=name,
            code="property-unknown",
            remedy=f"Properties: {', '.join(WRITABLE)}.",
        )


def _take_file(wanted: Wanted, value: Any, private: bool, own: str | None) -> None:
    told = value if isinstance(value, dict) else {"src": value}
    unknown = told.keys() - {"src", "filename", "directory"}
    if not isinstance(told.get("src"), str) or unknown:
        raise Invalid(
            "file is an address, or an object of src, filename and directory.",
            field="file",
            remedy='Send "data:...", "https://..." or {"src": "...", "filename": "a.pdf"}.',
        )
    for name in ("filename", "directory"):
        if not isinstance(told.get(name), str | None):
            raise Invalid(f"{name} is a text.", field=name)
    if told.get("filename") is not None:
        wanted.file_name = chosen_name(told["filename"])
    wanted.directory = check_directory(told.get("directory") or "")
    if own is not None and told["src"].startswith(own):
        # The file stays; it may be called otherwise from now on.
        wanted.said |= {"file_name": wanted.file_name} if wanted.file_name else {}
        wanted.said |= {"directory": wanted.directory} if told.get("directory") else {}
        return
    wanted.source = parse_source(told["src"], file_name=wanted.file_name, private=private)


def _place(value: Any) -> Place | None:
    """None: last for a new one, where it is for others."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if 1 <= value <= INT64_MAX:
            return value
    elif isinstance(value, dict) and value.keys() <= {"placement", "id"}:
        where, beside = value.get("placement"), value.get("id")
        whole = isinstance(beside, int) and not isinstance(beside, bool)
        fits = beside is None
        if where in _PLACES[2:]:
            fits = whole and 0 < (beside or 0) <= INT64_MAX
        if where in _PLACES and fits:
            return Placement(where, beside)
    raise Invalid(
        "sequence is no place.",
        field="sequence",
        code="placement-invalid",
        remedy='Give a number from 1, {"placement": "first"}, {"placement": "last"}, or '
        '{"placement": "before", "id": 48646}; also "after".',
    )


def decode_object(body: bytes) -> Mapping[str, Any]:
    """The object under `data`; Faults with status 400 where there is none.

    Of a large body only the texts are looked at: a hundred bytes of memory for each two of a
    list of lists would be too much.
    """
    try:
        whole = _decode_large(body) if len(body) > LARGE_BYTES else msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
        raise _no_object("The body is no JSON.") from error
    given = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(given, dict):
        raise _no_object("The body has no object under `data`.")
    return given


class _Large(msgspec.Struct):
    data: msgspec.Raw


class _LargeFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    src: str
    filename: str | None = None
    directory: str | None = None


def _decode_large(body: bytes) -> Any:
    """As `msgspec.json.decode`, but None where no object is under `data`."""
    try:
        data = msgspec.json.decode(body, type=_Large).data
        given = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return None
    found, room = dict[str, Any](), LARGE_BYTES
    for name, raw in given.items():
        size = memoryview(raw).nbytes
        if size <= room:
            found[name], room = msgspec.json.decode(raw), room - size
        else:
            found[name] = _decode_text(raw)
    return {"data": found}


def _decode_text(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.to_builtins(msgspec.json.decode(raw, type=str | _LargeFile))
    except msgspec.ValidationError:
        return []  # no property is a list


def _no_object(message: str) -> Faults:
    remedy = 'Send {"data": {...}} as application/json, or multipart/form-data with a file.'
    return Faults([Invalid(message, field="data", code="json-invalid", remedy=remedy)], status=400)


class Bodies:
    """Receives JSON bodies, the large ones a few at a time. One per process."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._large = 0

    async def read(self, request: AnyRequest) -> Mapping[str, Any]:
        """The object of the body."""
        announced = _announced(request)
        if announced > BODY_BYTES_MAX:
            raise RequestEntityTooLarge
        if announced <= LARGE_BYTES:
            return decode_object(await _receive(request))
        if self._large >= LARGE_AT_ONCE_MAX:
            raise TooMany(
                f"{LARGE_AT_ONCE_MAX} large requests are on their way already.",
                remedy="Try again in a moment, or upload the file as multipart/form-data.",
            )
        self._large += 1
        try:
            body = await _receive(request)
            return await self._edge.run(lambda: decode_object(body))
        finally:
            self._large -= 1


def _announced(request: AnyRequest) -> int:
    """How many bytes will come; of what does not say so, as many as may."""
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit():
        return int(told[:19])
    return BODY_BYTES_MAX if "transfer-encoding" in request.headers else 0


async def _receive(request: AnyRequest) -> bytes:
    """The body. Litestar's own limit is off, because files that are uploaded have another."""
    body = await receive_at_most(request, BODY_BYTES_MAX)
    if body is None:
        raise RequestEntityTooLarge
    return body
