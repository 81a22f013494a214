"""Two endpoints of ours: why a link to an artifact would be issued, or would not.

They read only. No lease is written, no quota used, and nothing goes into the log: whoever asks
has not been refused a download. What is not yours is not there, by the
same statement and the same bytes as at every other endpoint.
"""

from typing import Annotated, TypeAlias

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.core.delivery import explain_artifact_link, explain_links
from entrepot.kit.text import check_country
from entrepot.web.entitlement_api._door import Door
from entrepot.web.entitlement_api._errors import AnyRequest
from entrepot.web.entitlement_api._operations import (
    DECLARED_COUNTRY,
    PERMISSION,
    PERMISSION_SEARCH,
    PERMISSIONS,
    answers,
    with_parameters,
)
from entrepot.web.entitlement_api._query import parse_permission_search
from entrepot.web.entitlement_api._wire import Permission, PermissionPage
from entrepot.web.http.callers import Caller

PERMISSIONS_PATH = "/permissions"
_COUNTRY_HEADER = "declared-country-code"

OfEntitlement: TypeAlias = Annotated[
    str, PathParameter(description="Number of an entitlement, or of a group's child.")
]
OfRelease: TypeAlias = Annotated[str, PathParameter(description="UUID of a release.")]
OfArtifact: TypeAlias = Annotated[str, PathParameter(description="UUID of an artifact in it.")]


def declared_country(caller: Caller) -> str | None:
    """The country that the caller declares a file to go to. Invalid: it is none."""
    code = caller.headers.get(_COUNTRY_HEADER)
    return None if code is None else check_country(code, field=_COUNTRY_HEADER)


def explain_permission(door: Door, path: str) -> HTTPRouteHandler:
    """The endpoint below one artifact, `path`."""
    hub = door.edge.hub

    @get(
        path,
        operation_id="explainPermission",
        summary="Say whether a link to the artifact would be issued now, and why",
        operation_class=with_parameters(DECLARED_COUNTRY),
        responses=answers(Permission, "Every check, passed or not.", 404, example=PERMISSION),
    )
    async def handler(
        request: AnyRequest,
        entitlement_id: OfEntitlement,
        release_id: OfRelease,
        artifact_id: OfArtifact,
    ) -> ASGIResponse:
        who, caller, _ = await door.enter(request)
        country, now = declared_country(caller), hub.now()
        return await door.show(
            lambda tx: door.writer.permission(
                explain_artifact_link(
                    tx,
                    who,
                    number=entitlement_id,
                    release_id=release_id,
                    artifact_id=artifact_id,
                    declared_country=country,
                    embargoed=door.policy.embargoed,
                    now=now,
                )
            )
        )

    return handler


def explain_permissions(door: Door) -> HTTPRouteHandler:
    """The endpoint that finds the artifacts by what a person knows of them."""
    hub = door.edge.hub

    @get(
        PERMISSIONS_PATH,
        operation_id="explainPermissions",
        summary="The same for artifacts by id, release or product, by every entitlement to them",
        operation_class=with_parameters(PERMISSION_SEARCH, DECLARED_COUNTRY),
        responses=answers(
            PermissionPage, "At most 100, newest release first.", 404, example=PERMISSIONS
        ),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        who, caller, parameters = await door.enter(request)
        wanted = parse_permission_search(parameters)
        country, now = declared_country(caller), hub.now()
        return await door.show(
            lambda tx: door.writer.permission_page(
                *explain_links(
                    tx,
                    who,
                    wanted,
                    declared_country=country,
                    embargoed=door.policy.embargoed,
                    now=now,
                )
            )
        )

    return handler
