"""The hub as a client of an identity provider: OpenID Connect Core 1.0, the code flow with PKCE.

What a provider says of itself (Discovery 1.0) and its keys are kept for an hour; an unknown key id
has them fetched again, at most once a minute, so that made-up tokens cannot keep it busy.
"""

import base64
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote, quote_plus, urlencode

import msgspec

from entrepot.core.accounts import (
    IdTokenFault,
    Provider,
    UnknownKey,
    Vouched,
    read_vouched,
    verify_id_token,
)
from entrepot.core.accounts.id_tokens import ALGORITHMS
from entrepot.errors import EntrepotError, Unauthenticated, Unavailable
from entrepot.kit.ids import new_secret
from entrepot.kit.outbound import Reply, check_url, fetch

ANSWER_BYTES_MAX = 1 << 18
SECONDS_MAX = 10.0  # of one request to a provider
KEPT_SECONDS = 3600.0
KEYS_REFRESH_SECONDS_MIN = 60.0
FAILURE_KEPT_SECONDS = 5.0
KEYS_MAX = 100
CODE_LENGTH_MAX = 4096
_PARTS_MAX = 30  # of a list in a provider's metadata
_METADATA_PATH = "/.well-known/openid-configuration"
_log = logging.getLogger("entrepot.portal")
T = TypeVar("T")


class Begun(msgspec.Struct, frozen=True):
    """A sign-in under way, as this browser keeps it (sealed) until the provider sends it back."""

    provider: str
    state: str
    nonce: str
    verifier: str
    next_path: str | None
    ends: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What is needed of a provider's metadata, checked."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    algorithms: tuple[str, ...]
    names_itself: bool  # RFC 9207: `iss` comes with every answer
    secret_in_form: bool


class _Kept(Generic[T]):
    """Something fetched from a provider: kept for an hour, a failure for some seconds."""

    def __init__(self, fetch_it: Callable[[], T]) -> None:
        self._fetch = fetch_it
        self._lock = threading.Lock()
        self._value: T | None = None
        self._failure: EntrepotError | None = None
        self._at = float("-inf")

    def get(self, *, younger_than: float = KEPT_SECONDS) -> T:
        """The value; fetched where the one at hand is older, or was not to be had."""
        with self._lock:
            age = time.monotonic() - self._at
            if self._failure is not None and age < FAILURE_KEPT_SECONDS:
                raise self._failure
            if self._value is None or self._failure is not None or age >= younger_than:
                try:
                    self._value, self._failure = self._fetch(), None
                except EntrepotError as error:
                    self._failure = error
                    raise
                finally:
                    self._at = time.monotonic()
            return self._value


class RelyingParty:
    """This hub at one provider, for one process. Its verbs block: they speak to the provider."""

    def __init__(self, provider: Provider, *, public_url: str, private: bool) -> None:
        self.provider = provider
        self.redirect_uri = f"{public_url}/sign-in/{provider.name}/callback"
        self._private = private or provider.private_network
        self._metadata = _Kept(self._fetch_metadata)
        self._keys = _Kept(self._fetch_keys)

    def begin(self, begun: Begun, *, again: bool = False) -> str:
        """The address at the provider to which the browser goes.

        `again`: it is to ask the person even if it remembers who that is.
        """
        endpoint = self._metadata.get().authorization_endpoint
        challenge = hashlib.sha256(begun.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.provider.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        if again:
            query["prompt"] = "login"
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query, quote_via=quote)}"

    def finish(self, begun: Begun, answer: Mapping[str, str], *, now: datetime) -> Vouched:
        """Who has signed in at the provider, by the parameters that it sent the browser back with.

        The state has been compared already. Unauthenticated: the provider says no
        (sign-in-declined), or nothing is proven (sign-in-unproven); Unavailable.
        """
        metadata = self._metadata.get()
        said = answer.get("iss")
        if (said is not None or metadata.names_itself) and said != self.provider.issuer:
            raise self._unproven("the answer names another issuer (RFC 9207)")
        if "error" in answer:
            _log.info(
                "a provider declined",
                extra={"provider": self.provider.name, "reason": answer["error"][:100]},
            )
            raise Unauthenticated(
                f"{self.provider.title} did not sign you in.",
                code="sign-in-declined",
                remedy="Try again, or sign in another way.",
            )
        code = answer.get("code", "")
        if not 1 <= len(code) <= CODE_LENGTH_MAX:
            raise self._unproven("the answer holds no code")
        token = self._exchange(metadata, code, begun.verifier)
        return read_vouched(self._verify(metadata, token, begun.nonce, now))

    def _exchange(self, metadata: _Metadata, code: str, verifier: str) -> str:
        provider = self.provider
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        headers = [
            ("Accept", "application/json"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ]
        if not provider.client_secret or metadata.secret_in_form:
            form["client_id"] = provider.client_id
        if provider.client_secret and metadata.secret_in_form:
            form["client_secret"] = provider.client_secret
        elif provider.client_secret:
            pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
            basic = base64.b64encode(pair.encode()).decode()
            headers.append(("Authorization", f"Basic {basic}"))
        reply = self._ask(metadata.token_endpoint, "POST", headers, urlencode(form).encode())
        if reply.status >= 500:
            raise self._down(f"the token endpoint answers with status {reply.status}")
        told = self._object(reply)
        if reply.status != 200 or not isinstance(told.get("id_token"), str):
            raise self._unproven(f"the code was not taken: {str(told.get('error', ''))[:100]}")
        return str(told["id_token"])

    def _verify(
        self, metadata: _Metadata, token: str, nonce: str, now: datetime
    ) -> Mapping[str, Any]:
        def verify(keys: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
            return verify_id_token(
                token,
                keys,
                issuer=self.provider.issuer,
                client_id=self.provider.client_id,
                nonce=nonce,
                algorithms=metadata.algorithms,
                now=now,
            )

        try:
            try:
                return verify(self._keys.get())
            except UnknownKey:
                return verify(self._keys.get(younger_than=KEYS_REFRESH_SECONDS_MIN))
        except IdTokenFault as fault:
            raise self._unproven(f"the ID token: {fault}") from fault

    def _fetch_metadata(self) -> _Metadata:
        issuer = self.provider.issuer
        reply = self._ask(issuer.removesuffix("/") + _METADATA_PATH)
        if reply.status != 200:
            raise self._down(f"its metadata answers with status {reply.status}")
        told = self._object(reply)
        if told.get("issuer") != issuer:
            raise self._down("its metadata is of another issuer")
        named = _texts(told, "id_token_signing_alg_values_supported") or (ALGORITHMS[0],)
        algorithms = tuple(name for name in ALGORITHMS if name in named)
        if not algorithms:
            raise self._down(f"it signs neither by {' nor by '.join(ALGORITHMS)}")
        methods = _texts(told, "token_endpoint_auth_methods_supported") or ("client_secret_basic",)
        return _Metadata(
            self._address(told, "authorization_endpoint"),
            self._address(told, "token_endpoint"),
            self._address(told, "jwks_uri"),
            algorithms,
            told.get("authorization_response_iss_parameter_supported") is True,
            "client_secret_basic" not in methods,
        )

    def _fetch_keys(self) -> Sequence[Mapping[str, Any]]:
        reply = self._ask(self._metadata.get().jwks_uri)
        keys = self._object(reply).get("keys")
        if reply.status != 200 or not isinstance(keys, list) or len(keys) > KEYS_MAX:
            raise self._down("its key set cannot be read")
        return [key for key in keys if isinstance(key, dict)]

    def _address(self, told: Mapping[str, Any], name: str) -> str:
        """An endpoint that the metadata names; the browser goes there, or this hub."""
        address = told.get(name)
        try:
            check_url(address if isinstance(address, str) else "", private=self._private)
        except EntrepotError as error:
            raise self._down(f"its {name} is no address to go to: {error.message}") from error
        return str(address)

    def _ask(
        self,
        url: str,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (("Accept", "application/json"),),
        body: bytes = b"",
    ) -> Reply:
        try:
            return fetch(
                url,
                method=method,
                headers=headers,
                body=body,
                bytes_max=ANSWER_BYTES_MAX,
                seconds_max=SECONDS_MAX,
                private=self._private,
            )
        except EntrepotError as error:
            raise self._down(error.message) from error

    def _object(self, reply: Reply) -> Mapping[str, Any]:
        try:
            told = json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            raise self._down("its answer is not JSON") from error
        if not isinstance(told, dict):
            raise self._down("its answer is not a JSON object")
        return told

    def _down(self, reason: str) -> Unavailable:
        _log.warning(
            "a provider cannot be used", extra={"provider": self.provider.name, "reason": reason}
        )
        return Unavailable(
            f"{self.provider.title} cannot be used for signing in just now.",
            code="sign-in-provider-down",
            remedy="Try again in a minute, or sign in with a password.",
            retry_after_seconds=int(KEYS_REFRESH_SECONDS_MIN),
        )

    def _unproven(self, reason: str) -> Unauthenticated:
        _log.warning(
            "a sign-in is not proven", extra={"provider": self.provider.name, "reason": reason}
        )
        return Unauthenticated(
            f"What {self.provider.title} answered does not prove who you are.",
            code="sign-in-unproven",
            remedy="Try again; if it happens again, tell an operator of this hub.",
        )


def new_begun(provider: Provider, next_path: str | None, *, ends: float) -> Begun:
    """A sign-in that begins: state, nonce and PKCE verifier are 256 random bits each."""
    return Begun(provider.name, new_secret(), new_secret(), new_secret(), next_path, ends)


def _texts(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = told.get(name)
    if not isinstance(value, list):
        return ()
    return tuple(one for one in value[:_PARTS_MAX] if isinstance(one, str))
