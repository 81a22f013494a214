"""Authlib's authorization server on a transaction of ours: one instance answers one request.

Authlib decides what a request asks for and whether it may; keys, tokens and accounts are
the core's. An error answer commits as well, so that a wrong secret stays counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidClientError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.errors import UnsupportedGrantTypeError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from entrepot.assembly import Hub
from entrepot.core.accounts import count_client_guess, issue_token, refuse_client_guessing
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.web.oauth._clients import Client
from entrepot.web.oauth._grants import GRANTS

_CLIENT_REFUSED = "The client id or the secret is wrong, or none was sent."


@dataclass(frozen=True, slots=True)
class Asked:
    """A token request: its form, its Authorization header, the caller's address."""

    form: Mapping[str, str]
    authorization: str
    address: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON body of a token response."""

    status: int
    body: Mapping[str, Any]


def answer_token_request(tx: Tx, hub: Hub, asked: Asked) -> Answer:
    """Run a token request through the grants; TooMany for a client that guesses."""
    server = TokenServer(tx, hub, asked)
    if not asked.form.get("grant_type"):
        missing = InvalidRequestError("The parameter grant_type is missing.")
        return server.handle_error_response(None, missing)
    answer = server.create_token_response(asked)
    assert isinstance(answer, Answer)
    return answer


class _Request(OAuth2Request):  # type: ignore[misc]
    """Our request in Authlib's terms."""

    def __init__(self, asked: Asked) -> None:
        # The settings decide where plain http will do, so Authlib's own rule is satisfied here.
        super().__init__("POST", "https://token/", headers={"Authorization": asked.authorization})
        # RFC 6749 section 3.2: a parameter without a value counts as left out.
        self.payload = BasicOAuth2Payload({k: v for k, v in asked.form.items() if v})

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of the form."""
        fields: Mapping[str, str] = self.payload.data
        return fields


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """Authlib's hooks, filled in."""

    def __init__(self, tx: Tx, hub: Hub, asked: Asked) -> None:
        super().__init__()
        self._tx, self._hub, self._asked = tx, hub, asked
        self.register_token_generator("default", self._sign)
        for grant in GRANTS:
            self.register_grant(grant)

    def query_client(self, client_id: str) -> Client:
        """Every id gives a client; that it exists shows only with the right secret."""
        return Client(self._tx, client_id)

    def authenticate_client(
        self, request: _Request, methods: Sequence[str], endpoint: str = "token"
    ) -> Client:
        """The client of the request; `invalid_client` alike for every reason."""
        client_id = self._client_id(request)
        now, address = self._hub.now(), self._asked.address
        refuse_client_guessing(self._tx, client_id=client_id, address=address, now=now)
        try:
            client = super().authenticate_client(request, methods, endpoint)
        except InvalidClientError as error:
            if client_id:
                count_client_guess(self._tx, client_id=client_id, address=address, now=now)
            raise InvalidClientError(_CLIENT_REFUSED, status_code=401) from error
        assert isinstance(client, Client)
        return client

    def _client_id(self, request: _Request) -> str:
        """The id that the request claims, by header or form; both at once is refused.

        RFC 6749 section 2.3: one way of authenticating per request.
        """
        try:
            by_header, _ = extract_basic_authorization(request.headers)
        except ValueError as error:  # not UTF-8
            raise InvalidClientError(_CLIENT_REFUSED, status_code=401) from error
        by_form = request.form.get("client_id", "")
        if by_header and "client_secret" in request.form:
            raise InvalidRequestError("Send the secret in the header or in the form, not in both.")
        if by_header and by_form and by_header != by_form:
            raise InvalidRequestError("The header and the form name different clients.")
        return by_header or by_form

    def _sign(self, client: Client, scope: str | None, **_given: Any) -> dict[str, Any]:
        """Authlib's token generator: the core signs."""
        who, now = client.principal, self._hub.now()
        assert who is not None
        scopes = tuple(client.get_allowed_scope(scope).split())
        token = issue_token(
            self._tx,
            self._hub.keys.current,
            who,
            issuer=self._hub.policy.public_url,
            scopes=scopes,
            client_id=client.client_id,
            seconds=self._hub.policy.token_seconds,
            now=now,
        )
        event = Event("token.issued", who.label, who.label, who.organisation_id, {"scopes": scopes})
        record(self._tx, event, now=now)
        return {
            "access_token": token.value,
            "token_type": "Bearer",
            "expires_in": int((token.expires_at - now).total_seconds()),
            "scope": " ".join(token.scopes),
        }

    def save_token(self, token: Mapping[str, Any], request: _Request) -> None:
        """Access tokens are signed, not stored."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Authlib's signals have no listeners here."""

    def create_oauth2_request(self, request: Asked) -> _Request:
        """Our request in Authlib's terms."""
        return _Request(request)

    def handle_error_response(self, _request: _Request | None, error: OAuth2Error) -> Answer:
        """RFC 6749 section 5.2."""
        description = error.get_error_description()
        if isinstance(error, UnsupportedGrantTypeError):
            # Authlib would repeat the name, whatever characters it is made of.
            names = ", ".join(grant.GRANT_TYPE for grant in GRANTS)
            description = f"This hub offers the grants: {names}."
        return Answer(error.status_code, {"error": error.error, "error_description": description})

    def handle_response(self, status: int, body: Any, _headers: Any) -> Answer:
        """The answer; its headers are the routes'."""
        return Answer(status, body)
