"""The first page, and the pages of entitlements with their releases and files."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.core.catalogue.repositories import is_controlled
from entrepot.core.delivery import IssuedLink, Quota, find_quota, issue_artifact_link
from entrepot.core.entitlements import (
    Entitlement,
    Release,
    list_entitlements,
    list_permitted_releases,
    permitted_entitlement,
    refer,
)
from entrepot.db import Tx
from entrepot.errors import Denied, NotFound
from entrepot.kit.countries import country_choices
from entrepot.kit.paging import Page
from entrepot.kit.text import check_country
from entrepot.web.http import metrics
from entrepot.web.http.edge import Edge
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import Person, find_person, find_visitor, read_post
from entrepot.web.portal._commands import asks_for_country, release_commands
from entrepot.web.portal._paging import PageLinks, page_number

PAGE_SIZE = 20


def entitlement_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET /, GET /entitlements/{number}, and POST for a link to one of its files."""
    hub = edge.hub

    @get("/")
    async def show_start(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor = await find_visitor(request, edge)
        who = visitor.who
        if who is None:
            return pages.page("welcome.html", visitor)
        number, now = page_number(request), hub.now()
        items, total = await edge.read(
            lambda tx: list_entitlements(tx, who, page=Page(number, PAGE_SIZE), now=now)
        )
        links = PageLinks(number, PAGE_SIZE, total)
        return pages.page("entitlements.html", visitor, who=who, items=items, links=links)

    @get("/entitlements/{number:str}")
    async def show_entitlement(
        request: Request[Any, Any, Any], number: FromPath[str]
    ) -> Response[Any]:
        person = await find_person(request, edge)
        page = Page(page_number(request), PAGE_SIZE)
        entitlement, releases, total, denial = await edge.read(
            lambda tx: read_entitlement(tx, person, number, page)
        )
        quota = await edge.read(lambda tx: read_quota(tx, number))
        return pages.page(
            "entitlement.html",
            person.visitor,
            entitlement=entitlement,
            releases=releases,
            commands={
                each.id: release_commands(hub.policy.public_url, entitlement, each)
                for each in releases
                if each.artifacts
            },
            denial=denial,
            is_controlled=is_controlled,
            countries=country_choices() if any(map(asks_for_country, releases)) else (),
            quota=quota if quota.limited else None,
            links=PageLinks(page.number, PAGE_SIZE, total),
        )

    def read_quota(tx: Tx, number: str) -> Quota:
        """Of an entitlement that was found to be the person's; a group's child has its group's."""
        return find_quota(tx, refer(number).entitlement_id, now=hub.now())

    def read_entitlement(
        tx: Tx, person: Person, number: str, page: Page
    ) -> tuple[Entitlement, list[Release], int, Denied | None]:
        now = hub.now()
        entitlement = permitted_entitlement(tx, person.who, number, now=now)
        try:
            releases, total = list_permitted_releases(tx, person.who, number, page=page, now=now)
        except NotFound:
            return entitlement, [], 0, None
        except Denied as denial:
            return entitlement, [], 0, denial
        return entitlement, releases, total, None

    return [show_start, show_entitlement, _download_page(edge, pages)]


def _download_page(edge: Edge, pages: Pages) -> HTTPRouteHandler:
    """A form that leads to a fresh link; where a licence is missing, to the licence."""
    hub = edge.hub

    @post("/entitlements/{number:str}/releases/{release_id:str}/artifacts/{artifact_id:str}")
    async def download(
        request: Request[Any, Any, Any],
        number: FromPath[str],
        release_id: FromPath[str],
        artifact_id: FromPath[str],
    ) -> Response[Any]:
        here = f"/entitlements/{number}"
        person, fields = await read_post(request, edge, page=here)
        declared = fields.get("country", "").strip()
        country = check_country(declared, field="country") if declared else None

        def issue(tx: Tx) -> IssuedLink:
            return issue_artifact_link(
                tx,
                hub.keys.current,
                person.who,
                number=number,
                release_id=release_id,
                artifact_id=artifact_id,
                declared_country=country,
                embargoed=hub.policy.embargoed,
                seconds=hub.policy.link_seconds,
                now=hub.now(),
            )

        try:
            link = await edge.write(issue)
        except Denied as denial:
            if denial.code != "licence-required":
                raise
            licence, revision = denial.details["licence"], denial.details["revision"]
            back = {"return": here}
            return pages.redirect(pages.url("licences", licence, revision=revision, **back))
        metrics.count_link("issued")
        return pages.redirect(f"{hub.policy.path_prefix}/dl/{link.path}")

    return download
