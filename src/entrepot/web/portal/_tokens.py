"""The page where a person makes an access token to paste into a command."""

from datetime import timedelta
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from entrepot.core.accounts import SCOPES, AccessToken, begin_own_family, issue_token
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.web.http.edge import Edge
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import Person, find_person, read_post, require_session


def token_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET and POST /token. The token is shown once and kept nowhere."""
    hub = edge.hub
    minutes = hub.policy.token_seconds // 60

    @get("/token")
    async def show_token_page(request: Request[Any, Any, Any]) -> Response[Any]:
        person = await find_person(request, edge)
        return pages.page("token.html", person.visitor, token=None, minutes=minutes)

    @post("/token")
    async def generate_token(request: Request[Any, Any, Any]) -> Response[Any]:
        person, _ = await read_post(request, edge, page="/token")
        token = await edge.write(lambda tx: issue(tx, person))
        return pages.page("token.html", person.visitor, token=token, minutes=minutes, script=True)

    def issue(tx: Tx, person: Person) -> AccessToken:
        who, now = person.who, hub.now()
        require_session(tx, person.visitor, page="/token", now=now)
        # A new password, or signing out everywhere, ends it with the family.
        scopes = [scope for scope in SCOPES if scope in who.scopes]
        ends = now + timedelta(seconds=hub.policy.token_seconds)
        family = begin_own_family(tx, who.id, scopes, expires_at=ends, now=now)
        token = issue_token(
            tx,
            hub.keys.current,
            who,
            issuer=hub.policy.public_url,
            seconds=hub.policy.token_seconds,
            family=family,
            now=now,
        )
        data = {"scopes": token.scopes}
        record(tx, Event("token.issued", who.label, who.label, who.organisation_id, data), now=now)
        return token

    return [show_token_page, generate_token]
