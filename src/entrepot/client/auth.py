"""Signing in: the store of tokens, and the ways to get another token when one ends.

A stored token belongs to the hub that it was stored for and is never offered to another.
"""

import base64
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from urllib.parse import quote_plus

from entrepot.client.answers import JsonObject, error_for, parse_object
from entrepot.client.api import Api, TokenSource
from entrepot.client.connections import Address, Times
from entrepot.client.errors import BadAnswer, ClientError, Denied, InvalidUse, NotSignedIn
from entrepot.client.private_files import locked, read_private, write_private
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop
from entrepot.client.tokens import claims_or_none, clean_token

# The fixed public client of the command (contract, section 4).
CLIENT_ID = "bcca11a6-8f8f-42d9-aa4d-0f46815d9c75"
SCOPE = f"openid {CLIENT_ID} offline_access"
RENEW_BEFORE_SECONDS = 60.0
_SIGN_IN = "Run `entrepot login` to see how to get a token, or set ENTREPOT_TOKEN."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the hub hands out: an access token and, for some grants, one to renew it with."""

    access_token: str
    refresh_token: str | None = None


class TokenStore:
    """The saved sign-in of one profile at one hub, in a file of mode 0600."""

    def __init__(self, root: Path, profile: str, hub: Address) -> None:
        self.path = root / "tokens.json"
        self._profile = profile
        self._hub_url = hub.url

    def load(self) -> Grant | None:
        """The saved grant, None when there is none for this hub. Raises LocalFileError."""
        entry = read_private(self.path).get(self._profile)
        if not isinstance(entry, dict) or entry.get("url") != self._hub_url:
            return None
        access, refresh = entry.get("access_token"), entry.get("refresh_token")
        if not isinstance(access, str):
            return None
        return Grant(access, refresh if isinstance(refresh, str) else None)

    def save(self, grant: Grant) -> None:
        """Keep `grant` in place of what was there."""
        with locked(self.path):
            self._write(grant)

    def delete(self) -> None:
        """Forget the sign-in of this profile, whatever hub it was for."""
        delete_sign_in(self.path.parent, self._profile)

    def exchange(self, refused: str, renew: Callable[[str], Grant]) -> Grant | None:
        """Swap a refused token for a new one, once even if several commands try at a time.

        None when the store has neither another access token nor a refresh token.
        """
        with locked(self.path):
            held = self.load()
            if held is None or held.access_token != refused:
                return held
            if held.refresh_token is None:
                return None
            fresh = renew(held.refresh_token)
            kept = Grant(fresh.access_token, fresh.refresh_token or held.refresh_token)
            self._write(kept)
            return kept

    def _write(self, grant: Grant) -> None:
        entry = {"url": self._hub_url, "access_token": grant.access_token}
        if grant.refresh_token:
            entry["refresh_token"] = grant.refresh_token
        write_private(self.path, read_private(self.path) | {self._profile: entry})


def delete_sign_in(root: Path, profile: str) -> None:
    """Forget the saved token of a profile. Raises LocalFileError."""
    path = root / "tokens.json"
    if not path.exists():
        return
    with locked(path):
        rest = {name: entry for name, entry in read_private(path).items() if name != profile}
        if rest:
            write_private(path, rest)
        else:
            path.unlink(missing_ok=True)


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
    """The token in the store: renewed by its refresh token, or by a sign-in made meanwhile."""

    def __init__(self, store: TokenStore, hub: Address, times: Times) -> None:
        self._store = store
        self._hub = hub
        self._times = times

    def token(self) -> str:
        """The saved token, renewed first if it is about to end. Raises NotSignedIn."""
        held = self._store.load()
        if held is None:
            raise NotSignedIn("You are not signed in at this hub.", remedy=_SIGN_IN)
        if held.refresh_token and _ends_soon(held.access_token):
            return self.renewed(held.access_token) or held.access_token
        return held.access_token

    def renewed(self, refused: str) -> str | None:
        """A token from the refresh token or from a sign-in made meanwhile, else None."""
        try:
            held = self._store.exchange(refused, self._refresh)
        except ClientError as error:
            _log.warning("The sign-in could not be renewed: %s", error.message)
            return None
        return held.access_token if held is not None else None

    def _refresh(self, refresh_token: str) -> Grant:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "scope": SCOPE}
        return request_grant(self._hub, form | {"client_id": CLIENT_ID}, self._times)


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
    api = Api(hub, None, times, Backoff(), Stop())
    status, body = api.post_form(["oauth", "token"], form, headers)
    if status != 200:
        raise _grant_error(status, body)
    said = parse_object(body)
    access, refresh = said.get("access_token"), said.get("refresh_token")
    if not isinstance(access, str):
        raise BadAnswer("The hub's answer holds no access token.")
    return Grant(clean_token(access), refresh if isinstance(refresh, str) else None)


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
    return SavedToken(TokenStore(root, profile, hub), hub, times)


def _ends_soon(token: str) -> bool:
    claims = claims_or_none(token)
    return claims is not None and claims.expired(datetime.now(UTC), RENEW_BEFORE_SECONDS)


def _grant_error(status: int, body: bytes) -> ClientError:
    said: JsonObject = {}
    try:
        said = parse_object(body)
    except BadAnswer:
        return error_for(status, body)
    kind, text = said.get("error"), said.get("error_description")
    detail = f" ({text[:300]})" if isinstance(text, str) and text else ""
    if kind == "invalid_grant":
        return NotSignedIn(f"The user name or password is wrong, or a sign-in has ended{detail}.")
    if kind == "invalid_client":
        return NotSignedIn(f"The hub does not accept these client credentials{detail}.")
    if kind in ("unsupported_grant_type", "unauthorized_client", "invalid_request"):
        return Denied(f"This hub does not offer that way of signing in{detail}.")
    return error_for(status, body)
