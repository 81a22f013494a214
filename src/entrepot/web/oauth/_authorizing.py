"""What becomes of an authorization request (RFC 6749 section 4.1.1, OpenID Connect Core 3.1.2).

Nobody is sent anywhere before the client and its redirect URI are known to belong together:
what is wrong until then is shown here, what is wrong after is told to the client (RFC 9700, 4.11).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError, OAuth2Error
from authlib.oauth2.rfc6749.errors import AccessDeniedError, UnsupportedResponseTypeError

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    CodeRequest,
    Principal,
    give_consent,
    has_consented,
    is_loopback,
    issue_code,
)
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.web.oauth._clients import Client
from entrepot.web.oauth._errors import printable
from entrepot.web.oauth._scopes import open_to
from entrepot.web.oauth._server import Asked, HubRequest, HubServer
from entrepot.web.oauth._stamps import STAMP, read_stamp

NONCE_LENGTH_MAX = 512
_PROMPTS = {"none", "login", "consent", "select_account"}
_SECONDS_DIGITS_MAX = 9


class _OpenIdError(OAuth2Error):  # type: ignore[misc]
    """An error of OpenID Connect Core section 3.1.2.6."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description=description)
        self.error = error


@dataclass(frozen=True, slots=True)
class Someone:
    """The person at the browser, and since when they are signed in."""

    who: Principal
    since: datetime


@dataclass(frozen=True, slots=True)
class SendBack:
    """To the client, with an error or a code in the address."""

    address: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """To our sign-in page first; `again` although somebody is signed in."""

    again: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A request in order, and whether the person must be asked."""

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    params: Mapping[str, str]
    someone: Someone
    known: bool  # consented before, so that nobody need be asked


Outcome: TypeAlias = SendBack | SignIn | Ask


def look(
    tx: Tx, hub: Hub, params: Mapping[str, str], someone: Someone | None, now: datetime
) -> Outcome:
    """Decide what to do with a request; Invalid where it cannot be told to the client."""
    if "response_type" in params:
        # Authlib would repeat it in an error, which may hold ASCII alone.
        params = {**params, "response_type": printable(params["response_type"])}
    request = HubRequest(Asked(params, "", "", now), "GET")
    kept = request.form
    try:
        grant = HubServer(tx, hub, Asked(params, "", "", now)).get_consent_grant(request)
    except OAuth2Error as error:
        return _refuse(hub, kept, error)
    client: Client = grant.request.client
    try:
        after = read_stamp(hub.keys.box, kept, now)
        return _decide(
            tx, client, grant.redirect_uri, grant.request.scope.split(), kept, someone, after, now
        )
    except OAuth2Error as error:
        error.redirect_uri = grant.redirect_uri
        return _refuse(hub, kept, error)


def _decide(
    tx: Tx,
    client: Client,
    redirect_uri: str,
    scopes: list[str],
    params: Mapping[str, str],
    someone: Someone | None,
    after: datetime | None,
    now: datetime,
) -> SignIn | Ask:
    prompts = _check(params)
    silent = "none" in prompts
    if someone is None or not _fresh(params, prompts, someone.since, after, now):
        if silent:
            raise _OpenIdError("login_required", "Nobody is signed in, or not lately enough.")
        return SignIn(again=someone is not None)
    open_scopes = open_to(someone.who, scopes)
    if not open_scopes:
        raise InvalidScopeError("The person's roles open none of these scopes.")
    consented = has_consented(
        tx, user_id=someone.who.id, api_client_id=client.row.id, scopes=open_scopes
    )
    # Any program may listen on loopback and call itself by this id (RFC 8252 section 8.6).
    # After our own sign-in page somebody is asked, too: browsers would refuse to follow a
    # form that leads to another site without a page between.
    known = consented and not is_loopback(redirect_uri) and "consent" not in prompts
    if silent and not known:
        raise _OpenIdError("consent_required", "The person has to be asked first.")
    known = known and (silent or STAMP not in params)
    return Ask(client, redirect_uri, open_scopes, params, someone, known)


def _check(params: Mapping[str, str]) -> set[str]:
    """The prompts; errors for what is asked for and not offered."""
    for name in ("request", "request_uri", "registration"):
        if name in params:
            raise _OpenIdError(f"{name}_not_supported", f"Leave the parameter {name} out.")
    if params.get("response_mode", "query") != "query":
        raise InvalidRequestError("The only response_mode is query.")
    nonce = params.get("nonce", "")
    if len(nonce) > NONCE_LENGTH_MAX or not nonce.isprintable():
        raise InvalidRequestError(f"A nonce has at most {NONCE_LENGTH_MAX} printable characters.")
    prompts = set(params.get("prompt", "").split())
    if not prompts <= _PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise InvalidRequestError("prompt is none, or of login, consent and select_account.")
    return prompts


def _fresh(
    params: Mapping[str, str],
    prompts: set[str],
    since: datetime,
    after: datetime | None,
    now: datetime,
) -> bool:
    """Whether the sign-in is as recent as was asked for."""
    if after is not None and since >= after:
        return True
    age_max = _number(params, "max_age", _SECONDS_DIGITS_MAX)
    if age_max is not None and (now - since).total_seconds() > age_max:
        return False
    return not prompts & {"login", "select_account"}


def _number(params: Mapping[str, str], name: str, digits_max: int) -> int | None:
    text = params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= digits_max):
        raise InvalidRequestError(f"{name} is a whole number.")
    return int(text)


def allow(tx: Tx, hub: Hub, ask: Ask, now: datetime) -> SendBack:
    """Remember the consent and send a code to the client."""
    user_id, client_id = ask.someone.who.id, ask.client.row.id
    if not ask.known:
        give_consent(tx, user_id=user_id, api_client_id=client_id, scopes=ask.scopes, now=now)
    request = CodeRequest(
        api_client_id=client_id,
        user_id=user_id,
        scopes=ask.scopes,
        redirect_uri=ask.params.get("redirect_uri"),
        challenge=ask.params.get("code_challenge"),
        nonce=ask.params.get("nonce"),
        signed_in_at=ask.someone.since,
    )
    code = issue_code(tx, request, now=now)
    return _send_back(hub, ask.redirect_uri, ask.params, {"code": code})


def deny(hub: Hub, ask: Ask) -> SendBack:
    """Tell the client that the person said no."""
    error = AccessDeniedError("The person has said no.", redirect_uri=ask.redirect_uri)
    return _refuse(hub, ask.params, error)


def _refuse(hub: Hub, params: Mapping[str, str], error: OAuth2Error) -> SendBack:
    name, text = error.error, error.get_error_description() or error.error
    if isinstance(error, UnsupportedResponseTypeError):
        text = "The only response_type is code."
        name = name if "response_type" in params else "invalid_request"
    if not error.redirect_uri:
        raise Invalid(
            f"The program that sent you here made a mistake: {printable(text)}",
            field=name,
            code="authorization-invalid",
            remedy="Go back and try again; if it stays so, tell the makers of that program.",
        )
    fault = {"error": name, "error_description": printable(text)}
    return _send_back(hub, error.redirect_uri, params, fault)


def _send_back(
    hub: Hub, redirect_uri: str, params: Mapping[str, str], given: Mapping[str, Any]
) -> SendBack:
    """RFC 6749 section 4.1.2 with `iss` (RFC 9207), so that clients see who answers them."""
    state = {"state": params["state"]} if "state" in params else {}
    pairs = [*given.items(), *state.items(), ("iss", hub.policy.public_url)]
    return SendBack(add_params_to_uri(redirect_uri, pairs))
