"""Taking a file in: bytes first, then the row, and nothing of it where one fails.

Here is what all uploads share, and the file of a draft; files of assets are in `_asset_uploads`.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from entrepot.assembly import Hub
from entrepot.blobs import Digests
from entrepot.core.accounts import Principal
from entrepot.core.catalogue import (
    ArtifactSpec,
    StoredFile,
    add_artifact,
    artifact_values,
    drop_unused_bytes,
    find_artifact,
    find_release,
    hold_bytes,
    list_artifacts,
    require_draft,
    store_file,
)
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, Unavailable
from entrepot.web.admin_api._actions import (
    PUBLISHING,
    Action,
    Call,
    Outcome,
    query_parameter,
)
from entrepot.web.admin_api._digest_fields import announced_sha256
from entrepot.web.admin_api._errors import TOO_LARGE, AnyRequest
from entrepot.web.admin_api._releases import artifact_item
from entrepot.web.admin_api._wire_releases import StoredArtifact
from entrepot.web.http.edge import Edge
from entrepot.web.http.incoming import IncomingFile

# Each has a thread of its own, so that slow senders never hold up the other requests.
UPLOADS_MAX = 8
BUSY_SECONDS = 10
_FLAGS = {"true": True, "false": False}
_TEXTS = ("name", "description", "type", "content_type", "repository")


def elsewhere(_tx: Tx, _call: Call[None]) -> Outcome:
    """The verb of an upload, which is never called."""
    raise AssertionError("an upload is no single transaction")


UPLOAD: Action[None] = Action(
    "releases",
    "POST",
    "/releases/{release_id:str}/artifacts",
    "uploadArtifact",
    "Add a file to a draft",
    PUBLISHING,
    elsewhere,
    status=201,
    answer=StoredArtifact,
    filters=(
        query_parameter("file_name", "The name customers see and save it by.", required=True),
        query_parameter("name", "A name for people; the file name unless told."),
        query_parameter("description", "A line about it."),
        query_parameter("type", "Type of the file; `File` unless told."),
        query_parameter("content_type", "Media type; guessed from the name unless told."),
        query_parameter(
            "repository",
            "`general` unless told. One whose name holds `controlled` makes customers declare "
            "their country.",
        ),
        query_parameter(
            "uncontrolled",
            "`true` takes a repository whose name nearly says `controlled` as it is; else such a "
            "name is refused.",
            schema=Schema(type=OpenAPIType.BOOLEAN, default=False),
        ),
    ),
    conflicts=True,
    description=(
        "The body is the file as it is, of any size up to the operator's limit. With the header "
        "`Content-Digest: sha-256=:<base64>:` (RFC 9530) a file that arrives changed is refused."
    ),
)
UPLOAD_BODY = RequestBody(
    content={
        "application/octet-stream": OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        )
    },
    required=True,
)


class Upload(Protocol):
    """What is known of a file before its first byte, and what becomes of its bytes."""

    @property
    def file_name(self) -> str:
        """The name that breaks a tie between types."""
        ...

    @property
    def sha256(self) -> str | None:
        """The digest that was announced, in hexadecimal."""
        ...

    def check(self, tx: Tx) -> None:
        """Raise what can be told before the body is read."""
        ...

    def keep(self, tx: Tx, hub: Hub, stored: StoredFile) -> Outcome:
        """Write the row of the bytes, which are stored and held."""
        ...


@dataclass(frozen=True, slots=True)
class ArtifactUpload:
    """A file for a draft."""

    who: Principal
    release_id: str
    spec: ArtifactSpec
    sha256: str | None

    @property
    def file_name(self) -> str:
        """As the publisher named it."""
        return self.spec.file_name

    def check(self, tx: Tx) -> None:
        """The release is a draft without a file of that name."""
        release = find_release(tx, self.release_id)
        require_draft(release)
        name = artifact_values(self.spec)["file_name"]
        if any(row.file_name == name for row in list_artifacts(tx, release.id)):
            raise Conflict(f"The release has a file {name!r} already.", code="file-name-taken")

    def keep(self, tx: Tx, hub: Hub, stored: StoredFile) -> Outcome:
        """Add it to the draft."""
        release_id = find_release(tx, self.release_id).id
        artifact_id = add_artifact(
            tx, release_id, self.spec, stored.digests, actor=self.who.label, now=hub.now()
        )
        item = artifact_item(find_artifact(tx, release_id, artifact_id))
        return Outcome(item, f"/releases/{release_id}/artifacts/{artifact_id}")


def artifact_upload(
    request: AnyRequest, who: Principal, query: Mapping[str, str]
) -> ArtifactUpload:
    """The upload that a request to add an artifact means."""
    digest = announced_sha256(request.headers)
    return ArtifactUpload(who, request.path_params["release_id"], _spec(query), digest)


def _require(announced: str | None, digests: Digests) -> None:
    """Invalid where other bytes came than were announced."""
    if announced is not None and announced != digests.sha256:
        raise Invalid(
            f"What came has the SHA-256 {digests.sha256}, not the one in the header.",
            field="content-digest",
            code="digest-mismatch",
            remedy="Send the file again.",
        )


class Uploads:
    """Takes files in, a few at a time."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._hub = edge.hub
        self._threads = ThreadPoolExecutor(UPLOADS_MAX, thread_name_prefix="entrepot-upload")
        self._running = 0

    async def take_in(
        self, request: AnyRequest, upload: Upload, still: Callable[[], None]
    ) -> Outcome:
        """Store the body. All that can be checked is, before it is read.

        `still` raises where whoever sends it may not any more, once all of it has come.
        """
        length = _length(request.headers, self._hub.policy.upload_bytes_max)
        await self._edge.read(upload.check)
        if self._running >= UPLOADS_MAX:
            raise Unavailable(
                f"{UPLOADS_MAX} uploads are running.",
                remedy="Try again when one of them has ended.",
                retry_after_seconds=BUSY_SECONDS,
            )
        self._running += 1
        try:
            return await self._store(IncomingFile(request.receive, length), upload, still)
        finally:
            self._running -= 1

    async def _store(
        self, file: IncomingFile, upload: Upload, still: Callable[[], None]
    ) -> Outcome:
        filling = asyncio.create_task(file.fill())
        try:
            call = copy_context().run
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._threads, call, _take_in, self._hub, file, upload, still
            )
        finally:
            # Where reading stopped early; the reader of one that is broken off fails by it.
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)


def file_name_of(query: Mapping[str, str]) -> str:
    """The name of the file; Invalid where it is missing."""
    if "file_name" not in query:
        raise Invalid(
            "file_name is missing.", field="file_name", remedy="Add ?file_name=... to the address."
        )
    return query["file_name"]


def _spec(query: Mapping[str, str]) -> ArtifactSpec:
    told = {name: query[name] for name in _TEXTS if name in query}
    uncontrolled = _FLAGS.get(query.get("uncontrolled", "false"))
    if uncontrolled is None:
        raise Invalid("uncontrolled is true or false.", field="uncontrolled")
    spec = ArtifactSpec(file_name_of(query), uncontrolled=uncontrolled, **told)
    artifact_values(spec)  # raises Invalid, which names the field
    return spec


def _length(headers: Mapping[str, str], size_max: int | None) -> int | None:
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Invalid(
            "The file would be stored encoded.",
            field="content-encoding",
            remedy="Send it as it is, without Content-Encoding.",
        )
    said = headers.get("content-length", "")
    length = int(said) if said.isascii() and said.isdigit() else None
    if size_max is not None and length is not None and length > size_max:
        raise Invalid(
            f"The file is larger than {size_max} bytes, the most that is accepted here.",
            field="body",
            code=TOO_LARGE,
            remedy="Send a smaller file, or have the operator raise the limit.",
            details={"size_max_bytes": size_max},
        )
    return length


def _take_in(hub: Hub, file: IncomingFile, upload: Upload, still: Callable[[], None]) -> Outcome:
    """On a thread of its own: store what comes, compare, and write the row."""
    size_max = hub.policy.upload_bytes_max
    stored = store_file(hub.blobs, cast("BinaryIO", file), upload.file_name, size_max=size_max)
    digests = stored.digests
    try:
        _require(upload.sha256, digests)
        still()
        with hub.database.write() as tx:
            hold_bytes(tx, hub.blobs, [digests], now=hub.now())
            return upload.keep(tx, hub, stored)
    except BaseException:
        drop_unused_bytes(hub.database, hub.blobs, [digests.sha256])
        raise
