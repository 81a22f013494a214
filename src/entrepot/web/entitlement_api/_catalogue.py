"""Entitlements, releases and artifacts, listed and shown (contract, section 1)."""

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from entrepot.core.entitlements import (
    describe_artifact,
    list_entitlements,
    list_permitted_releases,
    permitted_entitlement,
    permitted_release,
)
from entrepot.web.entitlement_api._conditional import answer_list
from entrepot.web.entitlement_api._door import (
    ARTIFACT_PATH,
    RELEASE_PATH,
    RELEASES_PATH,
    Door,
    OfArtifact,
    OfEntitlement,
    OfRelease,
    answer_json,
    encode,
)
from entrepot.web.entitlement_api._errors import AnyRequest
from entrepot.web.entitlement_api._kept import Kept
from entrepot.web.entitlement_api._operations import (
    ARTIFACT,
    ENTITLEMENT,
    ENTITLEMENT_SEARCH,
    ENTITLEMENTS,
    IF_NONE_MATCH,
    OFFSET,
    RELEASE,
    RELEASE_SEARCH,
    RELEASES,
    UNCHANGED,
    answers,
    limit,
    with_parameters,
)
from entrepot.web.entitlement_api._query import (
    parse_entitlement_search,
    parse_page,
    parse_release_search,
)
from entrepot.web.entitlement_api._wire import (
    ArtifactItem,
    EntitlementItem,
    EntitlementPage,
    ReleaseItem,
    ReleasePage,
)


def list_entitlements_route(door: Door) -> HTTPRouteHandler:
    """Endpoint 1: what the caller is entitled to."""
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
                lambda tx: encode(
                    door.writer.entitlement_page(*list_entitlements(tx, who, wanted, page, now=now))
                )
            )
            kept.keep(key, state, now, body)
        return answer_json(body)

    return handler


def show_entitlement_route(door: Door) -> HTTPRouteHandler:
    """Endpoint 2: one entitlement."""

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


def list_releases_route(door: Door) -> HTTPRouteHandler:
    """Endpoint 3: the releases of an entitlement."""
    size_max = door.policy.page_size_max

    @get(
        RELEASES_PATH,
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


def show_release_route(door: Door) -> HTTPRouteHandler:
    """Endpoint 4: one release."""

    @get(
        RELEASE_PATH,
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


def show_artifact_route(door: Door) -> HTTPRouteHandler:
    """Endpoint 5: one artifact."""

    @get(
        ARTIFACT_PATH,
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
