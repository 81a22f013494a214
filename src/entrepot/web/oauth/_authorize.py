"""GET and POST /oauth/authorize: the page where a person lets a program act for them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from entrepot.core.accounts import find_organisation, is_loopback, origin_of, session_since
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.web.http.edge import Edge
from entrepot.web.http.forms import FORM_FIELDS_MAX, read_form
from entrepot.web.oauth._authorizing import (
    Ask,
    Outcome,
    SendBack,
    SignIn,
    Someone,
    allow,
    deny,
    look,
)
from entrepot.web.oauth._scopes import MEANINGS
from entrepot.web.oauth._stamps import STAMP, STAMP_LENGTH_MAX, stamped
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import (
    FORM_TOKEN,
    Visitor,
    find_visitor,
    read_post,
    require_session,
)

REQUEST_LENGTH_MAX = 4000
PATHS = ["/oauth/authorize", "/admin/oauth/authorize"]
_PAGE = "/oauth/authorize"


def authorize_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """The authorization endpoint, and its alias of the contract."""
    hub = edge.hub

    def mark(params: Mapping[str, str], now: datetime) -> str:
        """The request as it comes back from the sign-in page."""
        return f"{_PAGE}?{urlencode(stamped(hub.keys.box, params, now))}"

    @get(PATHS)
    async def show_authorize(request: Request[Any, Any, Any]) -> Response[Any]:
        params = _parse(request.scope["query_string"].decode("latin-1"))
        visitor = await find_visitor(request, edge)
        now = hub.now()

        def read(tx: Tx) -> tuple[Outcome, str]:
            outcome = look(tx, hub, params, _someone(tx, visitor), now)
            return outcome, _owner(tx, outcome) if isinstance(outcome, Ask) else ""

        outcome, owner = await edge.read(read)
        if isinstance(outcome, Ask) and outcome.known:
            asked = outcome

            def let_in(tx: Tx) -> Outcome:
                require_session(tx, visitor, page=f"{_PAGE}?{urlencode(params)}", now=now)
                return allow(tx, hub, asked, now)

            outcome = await edge.write(let_in)
        if isinstance(outcome, Ask):
            return _consent_page(pages, visitor, outcome, owner, mark(outcome.params, now))
        return _go(pages, outcome, mark(params, now))

    @post(PATHS)
    async def take_authorize(request: Request[Any, Any, Any]) -> Response[Any]:
        fields = await read_form(request)
        if FORM_TOKEN not in fields:
            # A client may post its request (OpenID Connect Core section 3.1.2.1).
            return pages.redirect(_own_address(pages, fields))
        params = _parse(fields.get("request", ""))
        page = f"{_PAGE}?{urlencode(params)}"
        person, _ = await read_post(request, edge, page=page)
        allowed = fields.get("decision") == "allow"
        now = hub.now()

        def decide(tx: Tx) -> Outcome:
            require_session(tx, person.visitor, page=page, now=now)
            outcome = look(tx, hub, params, _someone(tx, person.visitor), now)
            if not isinstance(outcome, Ask):
                return outcome
            return allow(tx, hub, outcome, now) if allowed else deny(hub, outcome)

        outcome = await edge.write(decide)
        assert not isinstance(outcome, Ask)
        return _go(pages, outcome, mark(params, now))

    return [show_authorize, take_authorize]


def _parse(query: str) -> Mapping[str, str]:
    """The parameters of a request; Invalid where it is too long or one comes twice."""
    ours = STAMP_LENGTH_MAX if f"{STAMP}=" in query else 0
    if len(query) > REQUEST_LENGTH_MAX + ours:
        raise Invalid(f"An authorization request has at most {REQUEST_LENGTH_MAX} characters.")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS_MAX
        )
    except ValueError as error:
        raise Invalid("The authorization request is not UTF-8 or has too many parts.") from error
    params = dict(pairs)
    if len(params) != len(pairs):
        raise Invalid("A parameter of the authorization request comes twice.")
    return params


def _someone(tx: Tx, visitor: Visitor) -> Someone | None:
    since = visitor.session and session_since(tx, visitor.session)
    return Someone(visitor.who, since) if visitor.who and since else None


def _owner(tx: Tx, ask: Ask) -> str:
    number = ask.client.row.organisation_id
    return "" if number is None else str(find_organisation(tx, number).name)


def _consent_page(pages: Pages, visitor: Visitor, ask: Ask, owner: str, back: str) -> Response[Any]:
    origin = origin_of(ask.redirect_uri)
    return pages.page(
        "consent.html",
        visitor,
        # A policy knows no addresses of IPv6 (CSP 3 section 2.3.1): browsers would go nowhere.
        form_to="http:" if "[" in origin else origin,
        program=ask.client.row.name,
        owner=owner,
        meanings=[MEANINGS[scope] for scope in ask.scopes],
        request=urlencode(ask.params),
        target="this machine" if is_loopback(ask.redirect_uri) else origin,
        other=pages.url("sign-in", again="", next=back),
    )


def _go(pages: Pages, outcome: SendBack | SignIn, back: str) -> Response[Any]:
    if isinstance(outcome, SignIn):
        again = "" if outcome.again else None
        return pages.redirect(pages.url("sign-in", again=again, next=back))
    # 303, so that no form is ever posted on to the client (RFC 9700 section 4.12).
    headers = {
        "location": outcome.address,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }
    return Response(None, status_code=303, headers=headers)


def _own_address(pages: Pages, params: Mapping[str, str]) -> str:
    query = urlencode(params)
    if len(query) > REQUEST_LENGTH_MAX:
        raise Invalid(f"An authorization request has at most {REQUEST_LENGTH_MAX} characters.")
    return f"{pages.url('oauth', 'authorize')}?{query}"
