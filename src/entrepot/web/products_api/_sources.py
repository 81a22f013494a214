"""Where the file of a download comes from: a Data URI, another host, or the request itself.

Bytes are stored with no transaction open. What comes from outside is named by its sender, so a
name that is not safe is mended; one that the caller chose is refused.
"""

import binascii
import io
import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from mimetypes import MimeTypes
from typing import BinaryIO, cast
from urllib.parse import unquote, unquote_to_bytes

from entrepot.assembly import Hub
from entrepot.core.catalogue import DownloadFile, store_file
from entrepot.core.orders.naming import mend_name
from entrepot.errors import Invalid
from entrepot.kit.file_names import check_file_name
from entrepot.kit.outbound import check_url, stream

DATA_URI_BYTES_MAX = 8 * 2**20  # of the file in it
DATA_URI_HEAD_MAX = 2000  # characters before the comma: a media type, a name
IMPORT_BYTES_MAX = 16 * 2**30  # of a file elsewhere, where the operator has set no limit
IMPORT_SECONDS_MAX = 600.0
_UNNAMED = "download"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_DATA = re.compile(r"data:([^,]*),(.*)", re.IGNORECASE | re.DOTALL)
_KNOWN_TYPES = MimeTypes()  # Python's own table: what the machine has installed does not count


@dataclass(frozen=True, slots=True)
class DataUri:
    """RFC 2397: the file is in the address."""

    content: bytes
    file_name: str

    def store(self, hub: Hub) -> DownloadFile:
        """Keep the bytes."""
        limit = hub.policy.upload_bytes_max
        stored = store_file(hub.blobs, io.BytesIO(self.content), self.file_name, size_max=limit)
        return DownloadFile(stored, self.file_name)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A file of another host, to be fetched once, now. `file_name` None: what that one says."""

    url: str
    file_name: str | None

    def store(self, hub: Hub) -> DownloadFile:
        """Fetch it, under the rules for addresses that others choose."""
        limit = hub.policy.upload_bytes_max or IMPORT_BYTES_MAX
        private = hub.policy.outbound_private
        with stream(
            self.url, bytes_max=limit, seconds_max=IMPORT_SECONDS_MAX, private=private
        ) as download:
            name = self.file_name or mend_name(download.file_name or _UNNAMED)
            stored = store_file(hub.blobs, cast("BinaryIO", download), name)
        return DownloadFile(stored, name, source_url=self.url)


Source = DataUri | Elsewhere


def parse_source(text: str, *, file_name: str | None, private: bool) -> Source:
    """What an address means; Invalid, field `file`, where it is none that a file comes from."""
    scheme = _SCHEME.match(text)
    kind = scheme[1].lower() if scheme else ""
    if kind == "data":
        return _data_uri(text, file_name)
    if kind in ("http", "https"):
        check_url(text, private=private)
        return Elsewhere(text, file_name)
    raise Invalid(
        f"Files do not come from addresses with the scheme {kind[:20]!r}."
        if kind
        else "The address has no scheme.",
        field="file",
        code="uri-scheme-invalid",
        remedy="Send a Data URI (data:...;base64,...), an https address, or upload the file as "
        "multipart/form-data.",
    )


def _data_uri(text: str, file_name: str | None) -> DataUri:
    parts = _DATA.fullmatch(text)
    if parts is None:
        raise _no_data_uri("It has no comma before the data.")
    if len(parts[1]) > DATA_URI_HEAD_MAX:
        raise _no_data_uri(f"It has more than {DATA_URI_HEAD_MAX} characters before the comma.")
    media_type, *parameters = parts[1].split(";")
    encoded = bool(parameters) and parameters[-1].strip().lower() == "base64"
    # Before anything is decoded: three bytes take four characters, or nine.
    if len(parts[2]) > (DATA_URI_BYTES_MAX * (3 if not encoded else 1)) * 4 // 3 + 4:
        raise _too_large()
    raw = unquote_to_bytes(parts[2])
    content = _from_base64(raw) if encoded else raw
    if len(content) > DATA_URI_BYTES_MAX:
        raise _too_large()
    return DataUri(content, file_name or _named(media_type.strip().lower(), parameters))


def _from_base64(raw: bytes) -> bytes:
    try:
        return b64decode(raw, validate=True)
    except binascii.Error as error:
        raise _no_data_uri("Its data is no base64 (RFC 4648, section 4).") from error


def _named(media_type: str, parameters: Iterable[str]) -> str:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() in ("name", "filename") and value:
            return mend_name(unquote(value).strip('"'))
    known = _KNOWN_TYPES.guess_extension(media_type, strict=False) or ""
    return _UNNAMED + known


def _no_data_uri(why: str) -> Invalid:
    return Invalid(
        f"This is no Data URI. {why}",
        field="file",
        code="data-uri-invalid",
        remedy="Write data:<media type>;base64,<data> (RFC 2397).",
    )


def _too_large() -> Invalid:
    return Invalid(
        f"The file in the Data URI has more than {DATA_URI_BYTES_MAX} bytes.",
        field="file",
        code="data-uri-too-large",
        remedy="Upload it as multipart/form-data: that has no such limit.",
        details={"size_max_bytes": DATA_URI_BYTES_MAX},
    )


def chosen_name(name: str) -> str:
    """A file name that the caller chose, checked; Invalid, field `filename`."""
    return check_file_name(name, field="filename")
