"""The page where a licence is read and accepted, for oneself or for the organisation."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.core.catalogue import LicenceRevision
from entrepot.core.entitlements import (
    Acceptance,
    Signature,
    accept_licence,
    acceptance,
    list_signatures,
    permitted_licence,
)
from entrepot.db import Tx
from entrepot.errors import Invalid, NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.http.edge import Edge
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import find_person, read_post, same_site_path

_REVISION_MAX = 2**31 - 1


def licence_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET and POST /licences/{code}: a revision of a licence, the newest unless told.

    `return` is the path of the page of ours to go on with.
    """
    hub = edge.hub

    @get("/licences/{code:str}")
    async def show_licence(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[Any]:
        person = await find_person(request, edge)
        asked = request.query_params.get("revision")
        revision = None if asked is None else _revision(asked)

        def read(tx: Tx) -> tuple[LicenceRevision, Acceptance, list[Signature]]:
            text = permitted_licence(tx, person.who, code, revision)
            standing = acceptance(tx, person.who, text.id)
            return text, standing, list_signatures(tx, person.who, text.id)

        text, standing, signatures = await edge.read(read)
        return pages.page(
            "licence.html",
            person.visitor,
            licence=text,
            standing=standing,
            signatures=signatures,
            return_path=same_site_path(request.query_params.get("return")),
        )

    @post("/licences/{code:str}")
    async def take_acceptance(
        request: Request[Any, Any, Any], code: FromPath[str]
    ) -> Response[Any]:
        person, fields = await read_post(request, edge, page="/")
        revision = _revision(fields.get("revision", ""))
        accepted_for = fields.get("accepted_for")
        if accepted_for not in ("me", "organisation"):
            raise Invalid("Say for whom the licence is accepted.", field="accepted_for")
        await edge.write(
            lambda tx: accept_licence(
                tx,
                person.who,
                code=code,
                revision=revision,
                for_organisation=accepted_for == "organisation",
                now=hub.now(),
            )
        )
        back = {"return": same_site_path(fields.get("return"))}
        return pages.redirect(pages.url("licences", code, revision=revision, **back))

    return [show_licence, take_acceptance]


def _revision(text: str) -> int:
    number = parse_number(text)
    if number is None or number > _REVISION_MAX:
        raise NotFound
    return number
