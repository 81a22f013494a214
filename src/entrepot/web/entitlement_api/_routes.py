"""The seven endpoints (contract, section 1) and ours, and what is none."""

from litestar import HttpMethod, Response, Router, route
from litestar.exceptions import HTTPException

from entrepot.errors import EntrepotError
from entrepot.web.entitlement_api._catalogue import (
    list_entitlements_route,
    list_releases_route,
    show_artifact_route,
    show_entitlement_route,
    show_release_route,
)
from entrepot.web.entitlement_api._door import ARTIFACT_PATH, RELEASE_PATH, RELEASES_PATH, Door
from entrepot.web.entitlement_api._errors import (
    answer_error,
    answer_http_error,
    answer_method_not_allowed,
    answer_no_endpoint,
)
from entrepot.web.entitlement_api._licences import LICENCE_PATH, show_licence, take_acceptance
from entrepot.web.entitlement_api._links import (
    issue_link_route,
    issue_transfer_spec_route,
    issue_zip_link_route,
    write_metalink_route,
)
from entrepot.web.entitlement_api._manifests import (
    MANIFEST_PATH,
    METADATA_PATH,
    show_manifest,
    show_metadata,
)
from entrepot.web.entitlement_api._permissions import (
    PERMISSIONS_PATH,
    explain_permission,
    explain_permissions,
)
from entrepot.web.entitlement_api._wire import PATH
from entrepot.web.http.edge import Edge
from entrepot.web.http.routing import DoorRouter

_PATHS = (
    "/",
    "/{entitlement_id:str}",
    RELEASES_PATH,
    RELEASE_PATH,
    RELEASE_PATH + "/zip",
    RELEASE_PATH + "/metalink",
    ARTIFACT_PATH,
    ARTIFACT_PATH + "/http",
    ARTIFACT_PATH + "/fasp",
    ARTIFACT_PATH + "/permission",
    PERMISSIONS_PATH,
    LICENCE_PATH,
    METADATA_PATH,
    MANIFEST_PATH,
)
# Litestar answers what no route matches outside of this router, in another error shape; and
# a catch-all cannot stand beside a path parameter. So every place between them is listed.
_BETWEEN = ("/{entitlement_id:str}/rights", "/{entitlement_id:str}/rights/download")
_BEYOND = (_PATHS[1], *_BETWEEN, RELEASE_PATH, *_PATHS[4:])
_NOWHERE = (*_BETWEEN, RELEASE_PATH + "/artifact", *(path + "/{rest:path}" for path in _BEYOND))
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
    list_entitlements_route,
    show_entitlement_route,
    list_releases_route,
    show_release_route,
    show_artifact_route,
    issue_link_route,
    issue_zip_link_route,
    write_metalink_route,
    issue_transfer_spec_route,
    lambda door: explain_permission(door, ARTIFACT_PATH + "/permission"),
    explain_permissions,
    show_licence,
    take_acceptance,
    show_metadata,
    show_manifest,
)


def create_router(edge: Edge) -> Router:
    """The door, at the path that the contract gives it."""
    door = Door(edge)
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
