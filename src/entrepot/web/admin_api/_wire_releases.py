"""On the wire: releases and their files."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from entrepot.web.admin_api._wire import Digest, Incoming, Instant, Line, Moment, Quality, Wire

Part: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]


class NewRelease(Incoming):
    """A draft; its name is unique within the product."""

    name: Line
    revision: Part | None = None
    patch: Part | None = None
    major_version: Part | None = None
    minor_version: Part | None = None
    quality: Quality = "EAC"
    type: Line = "Release"


class Availability(Incoming):
    """From when on customers see the release; left out: from now on."""

    available_at: Instant | None = None


class StoredArtifact(Wire):
    """A file of a release; `size` in bytes."""

    id: Annotated[str, Meta(description="UUID.")]
    release_id: Annotated[str, Meta(description="UUID.")]
    position: Annotated[int, Meta(description="In the publisher's order, from 1.")]
    name: str
    description: str
    type: str
    file_name: str
    content_type: str
    repository: str
    controlled: bool
    size: int
    md5: Digest
    sha256: Digest
    created_at: Moment


class StoredRelease(Wire):
    """A release; `available_at` is null while it is a draft that was never available."""

    id: Annotated[str, Meta(description="UUID.")]
    product_id: int
    name: str
    revision: str | None
    patch: str | None
    major_version: str | None
    minor_version: str | None
    quality: str
    type: str
    state: Literal["draft", "available", "withdrawn"]
    available_at: Moment | None
    created_at: Moment
    changed_at: Moment


class StoredReleasePage(Wire):
    """Releases in any state, newest first, without their files."""

    total: int
    items: Sequence[StoredRelease]


class ReleaseWithArtifacts(StoredRelease):
    """A release and its files in the publisher's order."""

    artifacts: Sequence[StoredArtifact]
