"""All pages of the portal, in one router that stays out of the API document."""

from litestar import Response, Router, get
from litestar.params import FromPath

from entrepot.errors import NotFound
from entrepot.web.http.edge import Edge
from entrepot.web.http.routing import DoorRouter
from entrepot.web.pages.errors import error_handlers
from entrepot.web.pages.rendering import Pages, static_files
from entrepot.web.portal._entitlements import entitlement_pages
from entrepot.web.portal._licences import licence_pages
from entrepot.web.portal._members import member_pages
from entrepot.web.portal._personal_tokens import personal_token_pages
from entrepot.web.portal._products import product_pages
from entrepot.web.portal._programs import program_pages
from entrepot.web.portal._providers import provider_pages
from entrepot.web.portal._sign_in import sign_in_pages
from entrepot.web.portal._tokens import token_pages

_FOR_EVER = "public, max-age=31536000, immutable"


@get("/static/{name:str}")
async def _serve_static(name: FromPath[str]) -> Response[bytes]:
    """A file under its hashed name; another hash is another file, so it may be kept for ever."""
    for file in static_files().values():
        if file.public_name == name:
            headers = {"cache-control": _FOR_EVER, "content-security-policy": "default-src 'none'"}
            return Response(file.content, media_type=file.media_type, headers=headers)
    raise NotFound


def create_router(edge: Edge) -> Router:
    """The door's routes."""
    pages = Pages(edge.hub.policy)
    handlers = [
        _serve_static,
        *entitlement_pages(edge, pages),
        *sign_in_pages(edge, pages),
        *provider_pages(edge, pages),
        *token_pages(edge, pages),
        *personal_token_pages(edge, pages),
        *program_pages(edge, pages),
        *member_pages(edge, pages),
        *licence_pages(edge, pages),
        *product_pages(edge, pages),
    ]
    return DoorRouter(
        path="/",
        route_handlers=handlers,
        exception_handlers=error_handlers(pages),  # type: ignore[arg-type]
        include_in_schema=False,
    )
