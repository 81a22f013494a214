"""Signing in: where a token comes from, and the ways to get another when one ends."""

import base64
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from urllib.parse import quote_plus

from entrepot.client.answers import JsonObject, error_for, parse_object
from entrepot.client.api import Api, TokenSource
from entrepot.client.connections import Address, Times
from entrepot.client.errors import (
    BadAnswer,
    ClientError,
    Denied,
    InvalidUse,
    NotSignedIn,
    Unreachable,
)
from entrepot.client.keyrings import SystemKeyring
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop
from entrepot.client.token_store import Grant, TokenStore
from entrepot.client.tokens import claims_or_none, clean_token

# The fixed public client of edmgr, by password (contract, section 4).
CLIENT_ID = "bcca11a6-8f8f-42d9-aa4d-0f46815d9c75"
SCOPE = f"openid {CLIENT_ID} offline_access"
RENEW_BEFORE_SECONDS = 60.0
_SIGN_IN = "Run `entrepot login`, or set ENTREPOT_TOKEN."
_log = logging.getLogger(__name__)


class GivenToken:
    """A token handed over by the caller; there is no way to renew it."""

    def __init__(self, token: str) -> None:
        self._token = clean_token(token)

    def token(self) -> str:
        """The token as it was given."""
        return self._token

    def renewed(self, refused: str) -> str | None:  # noqa: ARG002 - the shape of a TokenSource
        """None: there is no other."""
        return None


class SavedToken:
    """The token in the store: renewed by its refresh token, or by a sign-in made meanwhile.

    Kept in memory between calls, so that a keyring is asked once and not for every call.
    """

    def __init__(self, store: TokenStore, hub: Address, times: Times) -> None:
        self._store = store
        self._hub = hub
        self._times = times
        self._held: Grant | None = None
        self._renewed = ""  # the token of the last renewal: one that ends at once is not renewed
        self._lock = Lock()

    def token(self) -> str:
        """The saved token, renewed first if it is about to end. Raises NotSignedIn."""
        with self._lock:
            held = self._held = self._held or self._store.load()
        if held is None:
            raise NotSignedIn("You are not signed in at this hub.", remedy=_SIGN_IN)
        if held.refresh_token and _ends_soon(held.access_token, unless=self._renewed):
            try:
                return self.renewed(held.access_token) or held.access_token
            except (Unreachable, NotSignedIn) as error:
                if isinstance(error, NotSignedIn) and _has_ended(held.access_token):
                    raise
                _log.warning("The sign-in was not renewed: %s", error.message)
        return held.access_token

    def renewed(self, refused: str) -> str | None:
        """A token from the refresh token or from a sign-in made meanwhile, else None.

        Raises NotSignedIn where the sign-in has ended, Unreachable where the hub cannot be asked.
        """
        with self._lock:
            if self._held is not None and self._held.access_token != refused:
                return self._held.access_token
            try:
                self._held = self._store.exchange(refused, self._refresh)
            except Unreachable:
                raise
            except NotSignedIn as error:
                raise NotSignedIn("Your sign-in has ended.", remedy=_SIGN_IN) from error
            except ClientError as error:
                _log.warning("The sign-in could not be renewed: %s", error.message)
                return None
            if self._held is None:
                return None
            self._renewed = self._held.access_token
            return self._held.access_token

    def _refresh(self, held: Grant) -> Grant:
        client_id = held.client_id or CLIENT_ID
        form = {
            "grant_type": "refresh_token",
            "refresh_token": held.refresh_token or "",
            "client_id": client_id,
        }
        if client_id == CLIENT_ID:
            form["scope"] = SCOPE
        return request_grant(self._hub, form, self._times)


class ClientSecret:
    """A machine's own credentials (RFC 6749, 4.4): a fresh token whenever one is needed."""

    def __init__(self, hub: Address, client_id: str, client_secret: str, times: Times) -> None:
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._basic = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        self._hub = hub
        self._times = times
        self._held = ""
        self._lock = Lock()

    def token(self) -> str:
        """The token held, or a new one if there is none or it is about to end."""
        with self._lock:
            if not self._held or _ends_soon(self._held):
                self._held = self._fetch()
            return self._held

    def renewed(self, refused: str) -> str | None:
        """A token other than the refused one."""
        with self._lock:
            if self._held == refused:
                self._held = self._fetch()
            return self._held

    def _fetch(self) -> str:
        form = {"grant_type": "client_credentials"}
        headers = {"Authorization": self._basic}
        return request_grant(self._hub, form, self._times, headers).access_token


def post_token_form(
    hub: Address,
    form: Mapping[str, str],
    times: Times,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of one POST to the hub's token endpoint. Raises Unreachable."""
    api = Api(hub, None, times, Backoff(), Stop())
    return api.post_form(["oauth", "token"], form, headers)


def request_grant(
    hub: Address,
    form: Mapping[str, str],
    times: Times,
    headers: Mapping[str, str] | None = None,
) -> Grant:
    """POST a form to the hub's token endpoint.

    Raises NotSignedIn for wrong credentials, Denied for a grant that the hub does not offer,
    Unreachable, BadAnswer.
    """
    status, body = post_token_form(hub, form, times, headers)
    if status != 200:
        raise form_error(status, body)
    return grant_of(parse_object(body), form.get("client_id"))


def grant_of(said: JsonObject, client_id: str | None) -> Grant:
    """The tokens of a good answer (RFC 6749, 5.1). Raises BadAnswer."""
    access, refresh = said.get("access_token"), said.get("refresh_token")
    if not isinstance(access, str):
        raise BadAnswer("The hub's answer holds no access token.")
    return Grant(clean_token(access), refresh if isinstance(refresh, str) else None, client_id)


def revoke(hub: Address, grant: Grant, times: Times) -> None:
    """End a sign-in at the hub: all tokens that came of it (RFC 7009). Raises ClientError.

    A token that came from elsewhere is not the command's to end, and is left alone.
    """
    if grant.client_id is None:
        return
    form = {"token": grant.refresh_token or grant.access_token, "client_id": grant.client_id}
    api = Api(hub, None, times, Backoff(), Stop())
    status, body = api.post_form(["oauth", "revoke"], form)
    if status != 200:
        raise form_error(status, body)


def sign_in_with_password(hub: Address, username: str, password: str, times: Times) -> Grant:
    """The password grant (RFC 6749, 4.3), which most hubs keep switched off. Raises as above."""
    form = {
        "grant_type": "password",
        "username": username,
        "password": password,
        "client_id": CLIENT_ID,
        "scope": SCOPE,
    }
    return request_grant(hub, form, times)


def choose_tokens(
    environment: Mapping[str, str], root: Path, profile: str, hub: Address, times: Times
) -> TokenSource:
    """Where the token comes from: the first that the environment sets, else the saved sign-in.

    ENTREPOT_TOKEN, EDM_ACCESS_TOKEN, ENTREPOT_CLIENT_ID with ENTREPOT_CLIENT_SECRET.
    """
    given = environment.get("ENTREPOT_TOKEN") or environment.get("EDM_ACCESS_TOKEN")
    if given:
        return GivenToken(given)
    client_id = environment.get("ENTREPOT_CLIENT_ID")
    secret = environment.get("ENTREPOT_CLIENT_SECRET")
    if client_id and secret:
        return ClientSecret(hub, client_id, secret, times)
    if client_id or secret:
        raise InvalidUse("ENTREPOT_CLIENT_ID and ENTREPOT_CLIENT_SECRET belong together.")
    store = TokenStore(root, profile, hub, SystemKeyring(environment))
    return SavedToken(store, hub, times)


def _ends_soon(token: str, *, unless: str = "") -> bool:
    """Whether a token ends within a minute, or a quarter of its life if that is shorter.

    Not for the token `unless`: it is brand new, so it is the clock here that is wrong.
    """
    claims = claims_or_none(token)
    if claims is None or token == unless:
        return False
    margin = RENEW_BEFORE_SECONDS
    if claims.life_seconds is not None:
        margin = min(margin, claims.life_seconds / 4)
    return claims.expired(datetime.now(UTC), margin)


def _has_ended(token: str) -> bool:
    claims = claims_or_none(token)
    return claims is not None and claims.expired(datetime.now(UTC))


def form_error(status: int, body: bytes) -> ClientError:
    """The error that an answer of the OAuth endpoints stands for (RFC 6749, 5.2)."""
    said: JsonObject = {}
    try:
        said = parse_object(body)
    except BadAnswer:
        return error_for(status, body)
    kind, text = said.get("error"), said.get("error_description")
    detail = f" It says: {text[:300].rstrip('.')}." if isinstance(text, str) and text else ""
    if kind == "invalid_grant":
        return NotSignedIn(f"The user name or password is wrong, or a sign-in has ended.{detail}")
    if kind == "invalid_client":
        return NotSignedIn(f"The hub does not accept these client credentials.{detail}")
    if kind in ("unsupported_grant_type", "unauthorized_client", "invalid_request"):
        return Denied(f"This hub does not offer that way of signing in.{detail}")
    return error_for(status, body)
