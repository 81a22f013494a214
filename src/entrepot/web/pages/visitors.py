"""Who looks at a page: the session cookie, and the proof that a form is one of ours.

A form counts when the browser says that it comes from this site (Sec-Fetch-Site or Origin)
and, within a session, when it carries the session's form token: an HMAC keyed with the
session's own token, which no other site can know.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie

from entrepot.assembly import Policy
from entrepot.core.accounts import (
    ORGANISATION_ADMIN,
    SESSION_SECONDS,
    Principal,
    hold_session,
    session_principal,
)
from entrepot.db import Tx
from entrepot.errors import Denied
from entrepot.web.http.callers import caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.http.forms import read_form

FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
_NEXT_LENGTH_MAX = 5000  # an authorization request of 4000 and what we add
_SAME_SITE_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks: a person in a session, or anybody (`who` and `session` are None)."""

    who: Principal | None
    session: str | None

    @property
    def form_token(self) -> str:
        """What the forms of this session carry."""
        return hmac.digest((self.session or "").encode(), b"entrepot form", "sha256").hex()

    @property
    def administers(self) -> bool:
        """Whether the person acts for the organisation."""
        return self.who is not None and ORGANISATION_ADMIN in self.who.roles


@dataclass(frozen=True, slots=True)
class Person:
    """A visitor who is signed in."""

    who: Principal
    visitor: Visitor


class SignInNeeded(Exception):  # noqa: N818 - not an error: it leads to the sign-in page
    """The page is for people who are signed in."""

    def __init__(self, next_path: str) -> None:
        super().__init__(next_path)
        self.next_path = next_path


def cookie_name(policy: Policy) -> str:
    """Browsers hold `__Host-` to its promise: Secure, this host only, set by this host."""
    return "__Host-entrepot" if _is_https(policy) else "entrepot"


def session_cookie(policy: Policy, token: str | None) -> Cookie:
    """The cookie of a session; None ends it."""
    https = _is_https(policy)
    return Cookie(
        key=cookie_name(policy),
        value=token or "",
        max_age=SESSION_SECONDS if token else 0,
        path="/" if https else policy.path_prefix or "/",
        secure=https,
        httponly=True,
        samesite="lax",
    )


def _is_https(policy: Policy) -> bool:
    return policy.public_url.startswith("https:")


async def find_visitor(request: Request[Any, Any, Any], edge: Edge) -> Visitor:
    """The visitor of a request, also kept for the page of an error that follows; TooMany."""
    session = request.cookies.get(cookie_name(edge.hub.policy)) or None
    who = None
    if session is not None:
        known, now = session, edge.hub.now()
        country = caller_of(request.scope, edge.hub.policy).country or None
        who = await edge.read(lambda tx: session_principal(tx, known, country=country, now=now))
    visitor = Visitor(who, session if who else None)
    request.state.portal_visitor = visitor
    if who is None:
        edge.charge_address()
    else:
        edge.charge(who)
    return visitor


def visitor_kept(request: Request[Any, Any, Any]) -> Visitor | None:
    """The visitor that `find_visitor` found for this request, if it came so far."""
    visitor = request.state.get("portal_visitor")
    return visitor if isinstance(visitor, Visitor) else None


async def find_person(request: Request[Any, Any, Any], edge: Edge) -> Person:
    """The person of a request; SignInNeeded, to come back to this page, where there is none."""
    return await _require_person(request, edge, _path_of(request))


async def read_post(
    request: Request[Any, Any, Any], edge: Edge, *, page: str
) -> tuple[Person, Mapping[str, str]]:
    """The person and the fields of one of our forms; Denied where the form is not ours.

    `page` is where the form is, to come back to after signing in.
    """
    refuse_cross_site(request, edge.hub.policy)
    await _require_person(request, edge, page)
    fields = await read_form(request)
    # Again, because a form may take its time: a session that has ended meanwhile sends none.
    person = await _require_person(request, edge, page)
    given = fields.get(FORM_TOKEN, "").encode()
    if not hmac.compare_digest(given, person.visitor.form_token.encode()):
        raise _foreign_form()
    return person, fields


async def _require_person(request: Request[Any, Any, Any], edge: Edge, page: str) -> Person:
    visitor = await find_visitor(request, edge)
    if visitor.who is None:
        raise SignInNeeded(page)
    return Person(visitor.who, visitor)


def require_session(tx: Tx, visitor: Visitor, *, page: str, now: datetime) -> None:
    """SignInNeeded where the session is over; else it stays open until the transaction ends.

    For what a page makes that outlives the session: tokens, and what programs may do.
    """
    if not hold_session(tx, visitor.session or "", now=now):
        raise SignInNeeded(page)


def refuse_cross_site(request: Request[Any, Any, Any], policy: Policy) -> None:
    """Denied unless the browser says that one of our own pages sent this form."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    public = urlsplit(policy.public_url)
    host = request.headers.get("host", "").lower()  # one of ours: the server has checked it
    ours = {f"{public.scheme}://{public.netloc}".lower(), f"{public.scheme}://{host}"}
    if site == "same-origin" and origin in (None, "null"):
        return
    if site not in (None, "same-origin") or origin is None or origin.lower() not in ours:
        raise _foreign_form()


def _foreign_form() -> Denied:
    return Denied(
        "This form was not sent from a page of this hub, or the page is from an earlier session.",
        code="form-foreign",
        remedy="Open the page again and send the form once more.",
    )


def same_site_path(text: str | None) -> str | None:
    """`text` where it is the path of a page here, without the prefix; else None.

    Anything that a browser might read as another site is refused: a scheme, `//`, `/\\`,
    and the control characters that browsers drop.
    """
    if not text or len(text) > _NEXT_LENGTH_MAX or not _SAME_SITE_PATH.fullmatch(text):
        return None
    return text if text.isascii() else None


def _path_of(request: Request[Any, Any, Any]) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return str(request.scope["path"]) + (f"?{query}" if query else "")
