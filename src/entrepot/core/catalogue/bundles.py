"""Reading an air-gap bundle, which may come from anybody, before anything of it is believed.

docs/reference/bundle-format.md tells the format. No tar reader is at work here: of a bundle
every byte follows from its index, so each header is compared with the one that must be there. A
link, a device, a path, a member too many or a size that is not the index's is simply another
header. Digests are computed as the bytes pass; what the index says is checked by the rules that
hold for a publisher.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, BinaryIO, TypeAlias, cast

import msgspec
from msgspec import Meta

from entrepot.blobs import BlobStore, Digests
from entrepot.core.catalogue.releases import ARTIFACTS_MAX
from entrepot.errors import Invalid
from entrepot.kit.text import TEXT_LENGTH_MAX

FORMAT, VERSION = "entrepot-bundle", 1
INDEX_NAME = "entrepot-bundle.json"
INDEX_BYTES_MAX = 64 << 20
RELEASES_MAX = 1000
METADATA_BYTES_MAX = 256 << 20  # of all documents together, which are kept in memory
_BLOCK = 512
_END = bytes(2 * _BLOCK)
# Some programs fill the last record of a tar (20 blocks) with zeros.
_TRAILING_MAX = 20 * _BLOCK
_OCTAL_MAX = 8**11 - 1

# \Z, where $ would take a line break behind it.
Sha256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
Uuid: TypeAlias = Annotated[
    str, Meta(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\\Z")
]
Size: TypeAlias = Annotated[int, Meta(ge=0, le=2**62)]
Line: TypeAlias = Annotated[str, Meta(max_length=2000)]


class _Told(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An object of the index."""


class LicenceNamed(_Told, frozen=True):
    """A revision of a licence, named."""

    code: Line
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class BundledLicence(_Told, frozen=True):
    """A revision of a licence, whose text is a member of the bundle."""

    code: Line
    name: Line
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=4 * TEXT_LENGTH_MAX)]


class BundledProduct(_Told, frozen=True):
    """A product, as customers of the other hub see it."""

    code: Line
    name: Line
    delivery_method: Line
    us_eccn: Annotated[list[Line], Meta(max_length=100)] = msgspec.field(name="usECCN")
    eccn_restricted: bool
    licence: LicenceNamed | None = None


class BundledArtifact(_Told, frozen=True):
    """A file of a release."""

    id: Uuid
    file_name: Line
    size: Size
    sha256: Sha256
    name: Line = ""
    description: Line = ""
    type: Line = "File"
    repository: Line = "general"


class BundledRelease(_Told, frozen=True):
    """A release with its files in the publisher's order."""

    product: Line
    id: Uuid
    name: Line
    available_at: Line
    artifacts: Annotated[list[BundledArtifact], Meta(min_length=1, max_length=ARTIFACTS_MAX)]
    revision: Line | None = None
    patch: Line | None = None
    major_version: Line | None = None
    minor_version: Line | None = None
    quality: Line = "EAC"
    type: Line = "Release"


class Document(_Told, frozen=True):
    """A document of signed metadata, which is a member of the bundle."""

    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=64 << 20)]


class SignedRelease(_Told, frozen=True):
    """What proves the manifest of a release, from the publisher's first root on."""

    product: Line
    release: Uuid
    roots: Annotated[list[Document], Meta(min_length=1, max_length=256)]
    timestamp: Document
    snapshot: Document
    targets: Document
    manifest: Document


class Index(_Told, frozen=True):
    """What a bundle holds."""

    format: str
    version: int
    source: Line
    licences: Annotated[list[BundledLicence], Meta(max_length=RELEASES_MAX)]
    products: Annotated[list[BundledProduct], Meta(min_length=1, max_length=RELEASES_MAX)]
    releases: Annotated[list[BundledRelease], Meta(min_length=1, max_length=RELEASES_MAX)]
    manifests: Annotated[list[SignedRelease], Meta(max_length=RELEASES_MAX)]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read to its end and found to be what its index says.

    `sha256` of the index, which names the bundle. `texts` of licences and `documents` of
    metadata by their digests; the files' bytes are in the store, in `stored`.
    """

    index: Index
    sha256: str
    texts: Mapping[str, str]
    documents: Mapping[str, bytes]
    stored: Mapping[str, Digests]


@dataclass(slots=True)
class Opened:
    """A bundle whose index was read: what it claims, before the rest is looked at."""

    index: Index
    sha256: str
    source: BinaryIO = field(repr=False)
    members: list[tuple[str, int, str]] = field(repr=False)  # name, size, digest

    @property
    def rest(self) -> int:
        """Bytes from here to the end of the tar."""
        return len(_END) + sum(
            len(tar_header(name, size)) + size + -size % _BLOCK for name, size, _ in self.members
        )


def open_bundle(source: BinaryIO, *, size: int | None = None) -> Opened:
    """Read the index; `source` stands behind it then. Invalid (`bundle-invalid`).

    `size`, where it is known, is that of the whole file.
    """
    head = _exactly(source, _BLOCK)
    length = _size_in(head)
    if not 0 < length <= INDEX_BYTES_MAX or head != tar_header(INDEX_NAME, length):
        raise _invalid("it does not begin with the index of a bundle")
    data = _exactly(source, length)
    _padding(source, length)
    try:
        index = msgspec.json.decode(data, type=Index)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(f"its index cannot be read: {error}") from error
    if (index.format, index.version) != (FORMAT, VERSION):
        raise _invalid("it is of another kind or version", remedy="Update this hub.")
    opened = Opened(index, hashlib.sha256(data).hexdigest(), source, _members(index))
    whole = _BLOCK + length + -length % _BLOCK + opened.rest
    if size is not None and not whole <= size <= whole + _TRAILING_MAX:
        raise _invalid(f"it has {size} bytes where its index makes {whole}")
    return opened


def _members(index: Index) -> list[tuple[str, int, str]]:
    """What follows the index, in its order. Invalid where one digest is given two sizes."""
    texts = {f"licences/{one.sha256}.txt": one.size for one in index.licences}
    documents = {
        f"metadata/{one.sha256}.json": one.size
        for signed in index.manifests
        for one in (
            *signed.roots,
            signed.timestamp,
            signed.snapshot,
            signed.targets,
            signed.manifest,
        )
    }
    if sum(documents.values()) > METADATA_BYTES_MAX:
        raise _invalid(f"its metadata has more than {METADATA_BYTES_MAX >> 20} MiB")
    files: dict[str, int] = {}
    for release in index.releases:
        for artifact in release.artifacts:
            name = f"files/{artifact.sha256}"
            if files.setdefault(name, artifact.size) != artifact.size:
                raise _invalid("it gives one file two sizes")
    found = []
    for kind in (texts, documents, files):
        for name in sorted(kind):
            digest = name.partition("/")[2].partition(".")[0]
            found.append((name, kind[name], digest))
    return found


def read_bundle(opened: Opened, store: BlobStore, stored: dict[str, Digests]) -> Bundle:
    """Read the rest: every member checked, the files' bytes durable in the store.

    What was stored so far is in `stored` also where it fails: nothing refers to it, and the
    caller takes it back. Invalid (`bundle-invalid`) where anything is not as the index says.
    """
    texts: dict[str, str] = {}
    documents: dict[str, bytes] = {}
    for name, size, digest in opened.members:
        header = tar_header(name, size)
        if _exactly(opened.source, len(header)) != header:
            raise _invalid(f"{name} is not where its index says, or is no plain file of its size")
        if name.startswith("files/"):
            _store_file(opened.source, store, stored, size, digest)
        else:
            data = _exactly(opened.source, size)
            if hashlib.sha256(data).hexdigest() != digest:
                raise _damaged(name)
            if name.startswith("licences/"):
                texts[digest] = _text(data, name)
            else:
                documents[digest] = data
        _padding(opened.source, size)
    if _exactly(opened.source, len(_END)) != _END:
        raise _invalid("it does not end where its index says")
    trailing = opened.source.read(_TRAILING_MAX + 1) or b""
    if len(trailing) > _TRAILING_MAX or trailing.strip(b"\0"):
        raise _invalid("it goes on behind its end")
    return Bundle(opened.index, opened.sha256, texts, documents, stored)


def _store_file(
    source: BinaryIO, store: BlobStore, stored: dict[str, Digests], size: int, digest: str
) -> None:
    section = Section(source, size)
    digests = store.ingest(cast("BinaryIO", section), size_max=size)
    stored[digests.sha256] = digests
    if (digests.sha256, digests.size) != (digest, size):
        raise _damaged(f"files/{digest}")


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"{name} is no text") from error


class Section(io.RawIOBase):
    """The next `size` bytes of a source as a file of their own; ends early where it does."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        super().__init__()
        self._source = source
        self._left = size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read what comes next."""
        view = memoryview(buffer)[: self._left]
        count = self._source.readinto(view) if len(view) else 0  # type: ignore[attr-defined]
        self._left -= count or 0
        return count or 0


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = source.read(min(count - len(data), 1 << 20))
        if not more:
            raise _invalid("it ends too early: the copy is not complete")
        data += more
    return bytes(data)


def _padding(source: BinaryIO, size: int) -> None:
    if _exactly(source, -size % _BLOCK).strip(b"\0"):
        raise _invalid("there is something between its members")


def _size_in(head: bytes) -> int:
    digits = head[124:135]
    return int(digits, 8) if all(digit in b"01234567" for digit in digits) else -1


def _damaged(name: str) -> Invalid:
    return _invalid(f"the bytes of {name} are not the ones that its name says")


def _invalid(what: str, *, remedy: str = "Copy it again, or make it again.") -> Invalid:
    return Invalid(
        f"This is no bundle that can be imported: {what}.",
        field="bundle",
        code="bundle-invalid",
        remedy=remedy,
    )


def tar_header(name: str, size: int) -> bytes:
    """The header of a plain file (POSIX.1-1988 ustar), with a pax header for 8 GiB and more."""
    if size <= _OCTAL_MAX:
        return _ustar(name, size, b"0")
    rest = f" size={size}\n"
    length = len(rest)
    while len(f"{length}{rest}") != length:
        length = len(f"{length}{rest}")
    record = f"{length}{rest}".encode().ljust(_BLOCK, b"\0")
    return _ustar("pax", length, b"x") + record + _ustar(name, 0, b"0")


def _ustar(name: str, size: int, kind: bytes) -> bytes:
    head = name.encode("ascii").ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    head += b"%011o\0%011o\0" % (size, 0)
    tail = kind + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    return head + b"%06o\0 " % (sum(head) + 8 * ord(" ") + sum(tail)) + tail


def file_spans(opened: Opened) -> Iterator[tuple[str, int]]:
    """Digest and size of each file that the bundle brings."""
    return ((digest, size) for name, size, digest in opened.members if name.startswith("files/"))
