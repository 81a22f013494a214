"""Signing in by an identity provider of the operator's: there, and back again."""

import asyncio
import hmac
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.core.accounts import (
    Vouched,
    admit,
    close_session,
    count_provider_attempt,
    forget_provider_attempt,
    open_session,
)
from entrepot.core.events import Denial
from entrepot.db import Tx
from entrepot.errors import Denied, EntrepotError, NotFound, TooMany, Unavailable
from entrepot.web.http.callers import caller_of
from entrepot.web.http.denials import note_denial
from entrepot.web.http.edge import Edge
from entrepot.web.pages.errors import error_page
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import Visitor, cookie_name, same_site_path, session_cookie
from entrepot.web.portal._openid import Begun, RelyingParty, new_begun

SIGN_IN_SECONDS = 600
ASKED_AT_ONCE = 3  # threads that may wait for providers, of all that this process has
WAITING_MAX = 30
COOKIE_LENGTH_MAX = 3900  # browsers keep 4096 bytes, name and all
_PLAIN_BYTES_MAX = 16_384
T = TypeVar("T")


def provider_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET /sign-in/{provider} and GET /sign-in/{provider}/callback."""
    hub, policy = edge.hub, edge.hub.policy
    parties = {
        provider.name: RelyingParty(
            provider, public_url=policy.public_url, private=policy.outbound_private
        )
        for provider in policy.identity_providers
    }
    line = _Line(edge)

    def party_of(name: str) -> RelyingParty:
        if name not in parties:
            raise NotFound
        return parties[name]

    @get("/sign-in/{provider:str}")
    async def leave(request: Request[Any, Any, Any], provider: FromPath[str]) -> Response[Any]:
        party = party_of(provider)
        next_path = same_site_path(request.query_params.get("next"))
        ends = (hub.now() + timedelta(seconds=SIGN_IN_SECONDS)).timestamp()
        begun = new_begun(party.provider, next_path, ends=ends)
        again = "again" in request.query_params  # a program wants to be sure who it is
        address = await line.ask(lambda: party.begin(begun, again=again))
        return pages.redirect(address, _cookie(edge, _seal(edge, begun)))

    @get("/sign-in/{provider:str}/callback")
    async def come_back(request: Request[Any, Any, Any], provider: FromPath[str]) -> Response[Any]:
        party = party_of(provider)
        request.state.portal_visitor = Visitor(None, None)
        try:
            answer = await enter(request, party)
        except EntrepotError as error:
            if isinstance(error, Denied):
                note_denial(Denial("sign-in.failed", "", f"provider:{provider}", error.code))
            answer = error_page(pages, request, error)
        # Whatever came of it, the same answer of the provider counts no second time here.
        answer.set_cookie(_cookie(edge, None))
        return answer

    async def enter(request: Request[Any, Any, Any], party: RelyingParty) -> Response[Any]:
        told = _parameters(request)
        begun = _begun(edge, request, party.provider.name, told.get("state", ""))
        address = caller_of(request.scope, policy).address
        await edge.write(lambda tx: count_provider_attempt(tx, address=address, now=hub.now()))
        vouched = await line.ask(lambda: party.finish(begun, told, now=hub.now()))
        earlier = request.cookies.get(cookie_name(policy))
        token = await edge.write(lambda tx: open_for(tx, party, vouched, address, earlier))
        where = policy.path_prefix + (same_site_path(begun.next_path) or "/")
        return pages.redirect(where, session_cookie(policy, token))

    def open_for(
        tx: Tx, party: RelyingParty, vouched: Vouched, address: str, earlier: str | None
    ) -> str:
        who = admit(tx, party.provider, vouched, now=hub.now())
        forget_provider_attempt(tx, address=address)
        if earlier:
            close_session(tx, earlier)
        return open_session(tx, who, issuer=party.provider.issuer, now=hub.now())

    return [leave, come_back]


class _Line:
    """Where requests to providers wait: a slow one must not take all threads with it."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._places = asyncio.Semaphore(ASKED_AT_ONCE)
        self._waiting = 0

    async def ask(self, verb: Callable[[], T]) -> T:
        """Run a verb that speaks to a provider; TooMany where too many wait already."""
        if self._waiting >= WAITING_MAX:
            raise TooMany(
                "Too many people are signing in at this moment.",
                remedy="Try again in a minute.",
                retry_after_seconds=60,
            )
        self._waiting += 1
        try:
            async with self._places:
                return await self._edge.run(verb)
        finally:
            self._waiting -= 1


def _seal(edge: Edge, begun: Begun) -> str:
    """What the browser keeps. Where to go afterwards is left out where it is too long to keep."""
    for kept in (begun, msgspec.structs.replace(begun, next_path=None)):
        sealed = edge.hub.keys.box.seal(zlib.compress(msgspec.json.encode(kept), 9))
        if len(sealed) <= COOKIE_LENGTH_MAX:
            break
    return sealed


def _open(edge: Edge, sealed: str) -> Begun:
    """The inverse; Unavailable, ValueError or DecodeError for what this hub did not seal."""
    plain = zlib.decompressobj().decompress(edge.hub.keys.box.unseal(sealed), _PLAIN_BYTES_MAX)
    return msgspec.json.decode(plain, type=Begun)


def _cookie(edge: Edge, sealed: str | None) -> Cookie:
    """The browser's half of a sign-in; its name and place are those of the session's cookie."""
    plain = session_cookie(edge.hub.policy, sealed)
    plain.key = _name(edge)
    plain.max_age = SIGN_IN_SECONDS if sealed else 0
    return plain


def _name(edge: Edge) -> str:
    return f"{cookie_name(edge.hub.policy)}-sign-in"


def _parameters(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The parameters of the provider's answer; one that comes twice makes it void (RFC 6749)."""
    pairs = list(request.query_params.multi_items())
    told = dict(pairs)
    if len(told) != len(pairs):
        raise _stale()
    return told


def _begun(edge: Edge, request: Request[Any, Any, Any], provider: str, state: str) -> Begun:
    """The sign-in that this very browser began at this provider; Denied without one."""
    sealed = request.cookies.get(_name(edge), "")
    try:
        begun = _open(edge, sealed)
    except (Unavailable, ValueError, zlib.error, msgspec.DecodeError) as error:
        raise _stale() from error
    same = hmac.compare_digest(begun.state.encode(), state.encode(errors="replace"))
    if not same or begun.provider != provider or begun.ends <= edge.hub.now().timestamp():
        raise _stale()
    return begun


def _stale() -> Denied:
    return Denied(
        "This sign-in was not begun in this browser, or it took more than ten minutes.",
        code="sign-in-stale",
        remedy="Begin again on the sign-in page, in one window.",
    )
