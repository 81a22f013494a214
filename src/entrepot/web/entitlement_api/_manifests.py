"""Two endpoints of ours: signed metadata of a product (TUF), and manifests of its releases.

Both give out bytes as they were signed. Nothing is signed while somebody waits.
"""

import re
from typing import Annotated, TypeAlias

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.core.entitlements import permitted_manifest, permitted_metadata
from entrepot.core.manifests import find_manifest, find_metadata
from entrepot.errors import NotFound
from entrepot.kit.ranges import (
    Conditions,
    NotModified,
    Representation,
    conditions_of,
    evaluate,
)
from entrepot.web.entitlement_api._documents import (
    DocumentResponse,
    SignedDocument,
    SignedDocuments,
)
from entrepot.web.entitlement_api._door import Door
from entrepot.web.entitlement_api._errors import AnyRequest
from entrepot.web.entitlement_api._operations import (
    IF_NONE_MATCH,
    UNCHANGED,
    answers,
    with_parameters,
)
from entrepot.web.entitlement_api._wire_manifests import MANIFEST, METADATA

METADATA_PATH = "/manifests/{product:str}/metadata/{file_name:str}"
MANIFEST_PATH = "/manifests/{product:str}/targets/{file_name:str}"
# The client may keep them and ask whether they still hold; nobody else may.
_CACHE_CONTROL = "private, no-cache"
_METADATA_NAME = re.compile(r"(?:([1-9][0-9]{0,9})\.)?(root|targets|snapshot|timestamp)\.json")
_MANIFEST_NAME = re.compile(r"([0-9a-f]{64})\.([0-9a-f-]{36})\.json")

OfProduct: TypeAlias = Annotated[str, PathParameter(description="Code of a product.")]
OfMetadata: TypeAlias = Annotated[
    str,
    PathParameter(
        description="`root.json` or `timestamp.json` for the newest; with its version before it, "
        "as in `2.root.json`, `7.snapshot.json`, `7.targets.json`, for that one."
    ),
]
OfManifest: TypeAlias = Annotated[
    str,
    PathParameter(description="The manifest's SHA-256 as the targets name it, a dot, its name."),
]


def show_metadata(door: Door) -> HTTPRouteHandler:
    """The endpoint that TUF clients read metadata from."""
    hub, embargoed, shared = door.edge.hub, door.policy.embargoed, SignedDocuments()

    @get(
        METADATA_PATH,
        operation_id="showMetadata",
        summary="Read signed metadata of a product (TUF)",
        operation_class=with_parameters(IF_NONE_MATCH),
        responses={200: METADATA, 304: UNCHANGED, **answers(None, "", 404)},
    )
    async def handler(
        request: AnyRequest, product: OfProduct, file_name: OfMetadata
    ) -> ASGIResponse:
        who, _, _ = await door.enter(request)
        named = _METADATA_NAME.fullmatch(file_name)
        if named is None:
            raise NotFound
        version = int(named[1]) if named[1] else None
        document = await door.edge.read(
            lambda tx: shared.share(
                find_metadata(
                    tx,
                    permitted_metadata(tx, who, product, embargoed=embargoed, now=hub.now()),
                    named[2],
                    version,
                )
            )
        )
        return _answer(door, request, document)

    return handler


def show_manifest(door: Door) -> HTTPRouteHandler:
    """The endpoint that TUF clients read targets from."""
    hub, embargoed, shared = door.edge.hub, door.policy.embargoed, SignedDocuments()

    @get(
        MANIFEST_PATH,
        operation_id="showManifest",
        summary="Read the manifest of a release",
        operation_class=with_parameters(IF_NONE_MATCH),
        responses={200: MANIFEST, 304: UNCHANGED, **answers(None, "", 404)},
    )
    async def handler(
        request: AnyRequest, product: OfProduct, file_name: OfManifest
    ) -> ASGIResponse:
        who, _, _ = await door.enter(request)
        named = _MANIFEST_NAME.fullmatch(file_name)
        if named is None:
            raise NotFound
        sha256, release_id = named.groups()
        document = await door.edge.read(
            lambda tx: shared.share(
                find_manifest(
                    tx,
                    permitted_manifest(
                        tx, who, product, release_id, embargoed=embargoed, now=hub.now()
                    ),
                    release_id,
                    sha256,
                )
            )
        )
        return _answer(door, request, document)

    return handler


def _answer(door: Door, request: AnyRequest, document: SignedDocument) -> ASGIResponse:
    """The document with its digest as ETag, or 304 (RFC 9110 section 13)."""
    etag = f'"{document.sha256}"'
    headers = {"cache-control": _CACHE_CONTROL, "vary": "authorization", "etag": etag}
    # Documents are told apart by what they are: dates do not count, and ranges are not given.
    asked = Conditions(if_none_match=conditions_of(request.scope["headers"]).if_none_match)
    now = door.edge.hub.now()
    if isinstance(
        evaluate("GET", asked, Representation(len(document.body), etag, now), now), NotModified
    ):
        return ASGIResponse(body=b"", status_code=304, headers=headers)
    return DocumentResponse(document, headers)
