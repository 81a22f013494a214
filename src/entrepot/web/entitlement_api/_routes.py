"""The seven endpoints (contract, section 1) and ours, over the verbs of core."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from litestar import HttpMethod, Response, Router, get, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.blobs import CHUNK_BYTES
from entrepot.core.accounts import Principal, require_scope
from entrepot.core.catalogue.chunks import chunk_digests
from entrepot.core.delivery import (
    issue_artifact_link,
    issue_artifact_links,
    issue_release_link,
    lay_out_package,
    release_file_name,
    release_package,
)
from entrepot.core.entitlements import (
    ArtifactRequest,
    describe_artifact,
    list_entitlements,
    list_permitted_releases,
    permitted_artifact,
    permitted_entitlement,
    permitted_release,
    refer,
)
from entrepot.db import Tx
from entrepot.errors import Denied, EntrepotError
from entrepot.web.entitlement_api._conditional import answer_list
from entrepot.web.entitlement_api._errors import (
    CACHE_CONTROL,
    AnyRequest,
    answer_error,
    answer_http_error,
    answer_method_not_allowed,
    answer_no_endpoint,
    answer_not_offered,
    licence_required,
)
from entrepot.web.entitlement_api._kept import Kept
from entrepot.web.entitlement_api._licences import (
    LICENCE_PATH,
    show_licence,
    take_acceptance,
)
from entrepot.web.entitlement_api._manifests import (
    MANIFEST_PATH,
    METADATA_PATH,
    show_manifest,
    show_metadata,
)
from entrepot.web.entitlement_api._metalink import (
    ENDING,
    MEDIA_TYPE,
    Offered,
    write_metalink,
)
from entrepot.web.entitlement_api._operations import (
    ARTIFACT,
    ARTIFACTS,
    DECLARED_COUNTRY,
    DOWNLOAD_URL,
    ENTITLEMENT,
    ENTITLEMENT_SEARCH,
    ENTITLEMENTS,
    IF_NONE_MATCH,
    METALINK,
    OFFSET,
    RELEASE,
    RELEASE_SEARCH,
    RELEASE_ZIP,
    RELEASES,
    UNCHANGED,
    answers,
    limit,
    with_parameters,
)
from entrepot.web.entitlement_api._permissions import (
    PERMISSIONS_PATH,
    declared_country,
    explain_permission,
    explain_permissions,
)
from entrepot.web.entitlement_api._query import (
    check_names,
    parse_artifacts,
    parse_entitlement_search,
    parse_page,
    parse_parameters,
    parse_release_search,
)
from entrepot.web.entitlement_api._wire import (
    PATH,
    ArtifactItem,
    DownloadUrl,
    EntitlementItem,
    EntitlementPage,
    ReleaseItem,
    ReleasePage,
    ReleaseZip,
    Wire,
    Writer,
)
from entrepot.web.http.callers import Caller, caller_of
from entrepot.web.http.disposition import attachment
from entrepot.web.http.edge import Edge
from entrepot.web.http.routing import DoorRouter

SCOPE = "entitlements"
_LISTING = ("offset", "limit", "search")

_RELEASES = "/{entitlement_id:str}/rights/download/releases"
_RELEASE = _RELEASES + "/{release_id:str}"
_ARTIFACT = _RELEASE + "/artifact/{artifact_id:str}"

OfEntitlement: TypeAlias = Annotated[
    str, PathParameter(description="Number of an entitlement, or of a group's child.")
]
OfRelease: TypeAlias = Annotated[str, PathParameter(description="UUID of a release.")]
OfArtifact: TypeAlias = Annotated[str, PathParameter(description="UUID of an artifact in it.")]
T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_HEADERS = [("cache-control", CACHE_CONTROL)]


class _Door:
    """What the endpoints share: who asks, what with, and how the answer is written."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.policy = edge.hub.policy
        self.writer = Writer(self.policy.public_url)

    async def enter(
        self, request: AnyRequest, known: Sequence[str] = _LISTING
    ) -> tuple[Principal, Caller, dict[str, str]]:
        """The caller, who may use this API, and the query's parameters, all of them `known`."""
        scope = request.scope
        caller = caller_of(scope, self.policy)
        who = await self.edge.authenticate(caller)
        require_scope(who, SCOPE)
        parameters = parse_parameters(scope["query_string"])
        check_names(parameters, known)
        return who, caller, parameters

    async def read(self, verb: Callable[[Tx], Wire]) -> bytes:
        """Run a verb that reads, and encode on its thread: a list may be long."""
        return await self.edge.read(lambda tx: _encode(verb(tx)))

    async def show(self, verb: Callable[[Tx], Wire]) -> ASGIResponse:
        """The answer with what a verb reads."""
        return _answer(await self.read(verb))

    async def decide(self, number: str, decision: Awaitable[T]) -> T:
        """Await a decision on an artifact; where a licence is missing, say where to accept it."""
        try:
            return await decision
        except Denied as error:
            if error.code != "licence-required":
                raise
            raise licence_required(error, self.policy.public_url, number) from error


def _answer(body: bytes) -> ASGIResponse:
    return ASGIResponse(body=body, headers=_HEADERS, media_type="application/json")


def _list_entitlements(door: _Door) -> HTTPRouteHandler:
    size_max = door.policy.page_size_max
    kept = Kept()

    @get(
        "/",
        operation_id="listEntitlements",
        summary="List the entitlements of your organisation",
        operation_class=with_parameters(OFFSET, limit(size_max), ENTITLEMENT_SEARCH),
        responses=answers(
            EntitlementPage,
            "Active ones first, then lapsed, then ended; by id.",
            example=ENTITLEMENTS,
        ),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        who, _, parameters = await door.enter(request)
        page = parse_page(parameters, size_max=size_max)
        wanted = parse_entitlement_search(parameters)
        # The state comes before the reading: what is kept is at least as new.
        state, now = door.edge.hub.database.state(), door.edge.hub.now()
        key = (who.organisation_id, request.scope["query_string"])
        body = kept.find(key, state, now)
        if body is None:
            body = await door.edge.glance(
                lambda tx: _encode(
                    door.writer.entitlement_page(*list_entitlements(tx, who, wanted, page, now=now))
                )
            )
            kept.keep(key, state, now, body)
        return _answer(body)

    return handler


def _show_entitlement(door: _Door) -> HTTPRouteHandler:
    @get(
        "/{entitlement_id:str}",
        operation_id="showEntitlement",
        summary="Show one entitlement, or a child of a grouped one",
        responses=answers(EntitlementItem, "The entitlement.", 404, example=ENTITLEMENT),
    )
    async def handler(request: AnyRequest, entitlement_id: OfEntitlement) -> ASGIResponse:
        who, _, _ = await door.enter(request)
        now = door.edge.hub.now()
        return await door.show(
            lambda tx: door.writer.entitlement(
                permitted_entitlement(tx, who, entitlement_id, now=now)
            )
        )

    return handler


def _list_releases(door: _Door) -> HTTPRouteHandler:
    size_max = door.policy.page_size_max

    @get(
        _RELEASES,
        operation_id="listReleases",
        summary="List the releases that an entitlement gives",
        operation_class=with_parameters(OFFSET, limit(size_max), RELEASE_SEARCH, IF_NONE_MATCH),
        responses=answers(
            ReleasePage, "Newest first, each with its artifacts.", 404, example=RELEASES
        )
        | {304: UNCHANGED},
    )
    async def handler(request: AnyRequest, entitlement_id: OfEntitlement) -> ASGIResponse:
        who, _, parameters = await door.enter(request)
        page = parse_page(parameters, size_max=size_max)
        wanted = parse_release_search(parameters)
        now = door.edge.hub.now()
        body = await door.read(
            lambda tx: door.writer.release_page(
                *list_permitted_releases(tx, who, entitlement_id, wanted, page, now=now)
            )
        )
        return answer_list(body, request.scope["headers"], now)

    return handler


def _show_release(door: _Door) -> HTTPRouteHandler:
    @get(
        _RELEASE,
        operation_id="showRelease",
        summary="Show a release with its artifacts",
        responses=answers(ReleaseItem, "The release.", 404, example=RELEASE),
    )
    async def handler(
        request: AnyRequest, entitlement_id: OfEntitlement, release_id: OfRelease
    ) -> ASGIResponse:
        who, _, _ = await door.enter(request)
        now = door.edge.hub.now()
        return await door.show(
            lambda tx: door.writer.release(
                permitted_release(tx, who, entitlement_id, release_id, now=now)
            )
        )

    return handler


def _show_artifact(door: _Door) -> HTTPRouteHandler:
    @get(
        _ARTIFACT,
        operation_id="showArtifact",
        summary="Show an artifact",
        responses=answers(ArtifactItem, "The artifact.", 404, example=ARTIFACT),
    )
    async def handler(
        request: AnyRequest,
        entitlement_id: OfEntitlement,
        release_id: OfRelease,
        artifact_id: OfArtifact,
    ) -> ASGIResponse:
        who, _, _ = await door.enter(request)
        now = door.edge.hub.now()
        return await door.show(
            lambda tx: door.writer.artifact(
                describe_artifact(tx, who, entitlement_id, release_id, artifact_id, now=now)
            )
        )

    return handler


def _issue_link(door: _Door) -> HTTPRouteHandler:
    hub, policy = door.edge.hub, door.policy

    @get(
        _ARTIFACT + "/http",
        operation_id="issueDownloadUrl",
        summary="Issue a link to the artifact's bytes, good for 10 minutes",
        operation_class=with_parameters(DECLARED_COUNTRY),
        responses=answers(DownloadUrl, "The link.", 404, example=DOWNLOAD_URL, licence=True),
    )
    async def handler(
        request: AnyRequest,
        entitlement_id: OfEntitlement,
        release_id: OfRelease,
        artifact_id: OfArtifact,
    ) -> ASGIResponse:
        who, caller, _ = await door.enter(request)
        country = declared_country(caller)
        link = await door.decide(
            entitlement_id,
            door.edge.write(
                lambda tx: issue_artifact_link(
                    tx,
                    hub.keys.current,
                    who,
                    number=entitlement_id,
                    release_id=release_id,
                    artifact_id=artifact_id,
                    declared_country=country,
                    embargoed=policy.embargoed,
                    seconds=policy.link_seconds,
                    now=hub.now(),
                )
            ),
        )
        return _answer(_encode(door.writer.download_url(link.path, artifact_id)))

    return handler


def _issue_zip_link(door: _Door) -> HTTPRouteHandler:
    hub, policy = door.edge.hub, door.policy

    @get(
        _RELEASE + "/zip",
        operation_id="issueReleaseZipUrl",
        summary="Issue a link to all files of a release in one ZIP, good for 10 minutes",
        operation_class=with_parameters(DECLARED_COUNTRY),
        responses=answers(ReleaseZip, "The link.", 404, example=RELEASE_ZIP, licence=True),
    )
    async def handler(
        request: AnyRequest, entitlement_id: OfEntitlement, release_id: OfRelease
    ) -> ASGIResponse:
        who, caller, _ = await door.enter(request)
        country = declared_country(caller)
        link, granted = await door.decide(
            entitlement_id,
            door.edge.write(
                lambda tx: issue_release_link(
                    tx,
                    hub.keys.current,
                    who,
                    number=entitlement_id,
                    release_id=release_id,
                    declared_country=country,
                    embargoed=policy.embargoed,
                    seconds=policy.link_seconds,
                    now=hub.now(),
                )
            ),
        )
        package = release_package(granted)
        archive = await door.edge.run(lambda: lay_out_package(package, hub.blobs))
        body = door.writer.release_zip(
            link.path, granted.release_id, release_file_name(granted), archive.size
        )
        return _answer(_encode(body))

    return handler


def _write_metalink(door: _Door) -> HTTPRouteHandler:
    hub, policy = door.edge.hub, door.policy

    @get(
        _RELEASE + "/metalink",
        operation_id="writeReleaseMetalink",
        summary="Links to the files of a release with their digests, for download managers",
        operation_class=with_parameters(DECLARED_COUNTRY, ARTIFACTS),
        responses=answers(None, "", 404, licence=True) | {200: METALINK},
    )
    async def handler(
        request: AnyRequest, entitlement_id: OfEntitlement, release_id: OfRelease
    ) -> ASGIResponse:
        who, caller, parameters = await door.enter(request, (*_LISTING, ARTIFACTS.name))
        only = parse_artifacts(parameters)
        country = declared_country(caller)
        now = hub.now()
        links, granted = await door.decide(
            entitlement_id,
            door.edge.write(
                lambda tx: issue_artifact_links(
                    tx,
                    hub.keys.current,
                    who,
                    number=entitlement_id,
                    release_id=release_id,
                    only=only,
                    declared_country=country,
                    embargoed=policy.embargoed,
                    seconds=policy.link_seconds,
                    now=now,
                )
            ),
        )

        def write(tx: Tx) -> bytes:
            offered = [
                Offered(
                    file, link, chunk_digests(tx, file.sha256) if file.size > CHUNK_BYTES else ()
                )
                for file, link in zip(granted.files, links, strict=True)
            ]
            return write_metalink(
                granted,
                offered,
                publisher=policy.publisher,
                public_url=policy.public_url,
                now=now,
            )

        name = attachment(release_file_name(granted, ENDING)).decode()
        return ASGIResponse(
            body=await door.edge.read(write),
            headers=[*_HEADERS, ("content-disposition", name)],
            media_type=MEDIA_TYPE,
        )

    return handler


def _issue_transfer_spec(door: _Door) -> HTTPRouteHandler:
    hub = door.edge.hub

    @get(
        _ARTIFACT + "/fasp",
        status_code=501,
        operation_id="issueTransferSpec",
        summary="Aspera transfer spec: decided like a link, but not offered by this hub",
        operation_class=with_parameters(DECLARED_COUNTRY),
        responses=answers(None, "", 404, 501, licence=True),
    )
    async def handler(
        request: AnyRequest,
        entitlement_id: OfEntitlement,
        release_id: OfRelease,
        artifact_id: OfArtifact,
    ) -> Response[bytes]:
        who, caller, _ = await door.enter(request)
        wanted = ArtifactRequest(
            organisation_id=who.organisation_id,
            user_id=who.user_id,
            api_client_id=who.api_client_id,
            reference=refer(entitlement_id),
            release_id=release_id,
            artifact_id=artifact_id,
            country=who.country,
            declared_country=declared_country(caller),
            embargoed=door.policy.embargoed,
        )
        await door.decide(
            entitlement_id,
            door.edge.read(lambda tx: permitted_artifact(tx, wanted, now=hub.now())),
        )
        return answer_not_offered(artifact_id)

    return handler


_PATHS = (
    "/",
    "/{entitlement_id:str}",
    _RELEASES,
    _RELEASE,
    _RELEASE + "/zip",
    _RELEASE + "/metalink",
    _ARTIFACT,
    _ARTIFACT + "/http",
    _ARTIFACT + "/fasp",
    _ARTIFACT + "/permission",
    PERMISSIONS_PATH,
    LICENCE_PATH,
    METADATA_PATH,
    MANIFEST_PATH,
)
# Litestar answers what no route matches outside of this router, in another error shape; and
# a catch-all cannot stand beside a path parameter. So every place between them is listed.
_BETWEEN = ("/{entitlement_id:str}/rights", "/{entitlement_id:str}/rights/download")
_BEYOND = (_PATHS[1], *_BETWEEN, _RELEASE, *_PATHS[4:])
_NOWHERE = (*_BETWEEN, _RELEASE + "/artifact", *(path + "/{rest:path}" for path in _BEYOND))
_WRITING: tuple[HttpMethod, ...] = (
    HttpMethod.POST,
    HttpMethod.PUT,
    HttpMethod.PATCH,
    HttpMethod.DELETE,
    HttpMethod.OPTIONS,
)


@route(
    [path for path in _PATHS if path != LICENCE_PATH],
    http_method=_WRITING,
    include_in_schema=False,
)
async def refuse_method() -> Response[bytes]:
    """Everything but GET (and HEAD, which the server turns into GET)."""
    return answer_method_not_allowed()


@route(
    LICENCE_PATH,
    http_method=[method for method in _WRITING if method != HttpMethod.PUT],
    include_in_schema=False,
)
async def refuse_other_method() -> Response[bytes]:
    """Of a licence: everything but GET, HEAD and PUT."""
    return answer_method_not_allowed("GET, HEAD, PUT")


@route(list(_NOWHERE), http_method=(HttpMethod.GET, *_WRITING), include_in_schema=False)
async def refuse_path() -> Response[bytes]:
    """What is no endpoint at all, which is told without asking who it is."""
    return answer_no_endpoint()


_ENDPOINTS = (
    _list_entitlements,
    _show_entitlement,
    _list_releases,
    _show_release,
    _show_artifact,
    _issue_link,
    _issue_zip_link,
    _write_metalink,
    _issue_transfer_spec,
    lambda door: explain_permission(door, _ARTIFACT + "/permission"),
    explain_permissions,
    show_licence,
    take_acceptance,
    show_metadata,
    show_manifest,
)


def create_router(edge: Edge) -> Router:
    """The door, at the path that the contract gives it."""
    door = _Door(edge)
    return DoorRouter(
        path=PATH,
        # refuse_method comes first, or Litestar adds OPTIONS handlers of its own.
        route_handlers=[
            refuse_method,
            refuse_other_method,
            *(build(door) for build in _ENDPOINTS),
            refuse_path,
        ],
        exception_handlers={EntrepotError: answer_error, HTTPException: answer_http_error},
        tags=["Entitlements"],
        security=[{"bearer": []}],
    )
