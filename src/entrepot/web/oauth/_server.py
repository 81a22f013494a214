"""Authlib's authorization server on a transaction of ours: one instance answers one request.

Authlib decides what a request asks for and whether it may; keys, tokens and accounts are
the core's. An error answer commits as well, so that a wrong secret stays counted and a family
stays revoked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.errors import UnsupportedGrantTypeError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    CLIENT_ID,
    PASSWORD,
    REFRESH_TOKEN,
    AccessToken,
    AssertionFault,
    Granted,
    Principal,
    Proven,
    add_refresh_token,
    claimed_issuer,
    count_client_guess,
    issue_id_token,
    issue_token,
    load_client,
    load_user,
    refuse_client_guessing,
    use_assertion,
)
from entrepot.core.events import Denial, Event, record
from entrepot.db import Tx
from entrepot.errors import Unauthenticated
from entrepot.web.http.denials import note_denial
from entrepot.web.oauth._clients import Client, query_client
from entrepot.web.oauth._errors import printable
from entrepot.web.oauth._grants import Begun, grants_of, machine_scopes
from entrepot.web.oauth._scopes import open_to

# Decisions, as told from requests that are malformed or too early.
_DENIALS = {"invalid_client", "invalid_grant", "unauthorized_client", "access_denied"}
TOKEN_PATHS = ("/oauth/token", "/admin/oauth/token", "/admin/oauth/token.json")
_CLIENT_REFUSED = "The client id or the secret is wrong, or none was sent."


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its parameters, its Authorization header, the caller's address, its time."""

    form: Mapping[str, str]
    authorization: str
    address: str
    at: datetime
    person: Proven | None = None  # whose password the form holds, and it is right


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON body of a response."""

    status: int
    body: Mapping[str, Any]


def answer_token_request(tx: Tx, hub: Hub, asked: Asked) -> Answer:
    """Run a token request through the grants; TooMany for a client that guesses."""
    server = HubServer(tx, hub, asked)
    if not asked.form.get("grant_type"):
        missing = InvalidRequestError("The parameter grant_type is missing.")
        return server.handle_error_response(None, missing)
    answer = server.create_token_response(asked)
    assert isinstance(answer, Answer)
    return answer


class HubRequest(OAuth2Request):  # type: ignore[misc]
    """Our request in Authlib's terms."""

    def __init__(self, asked: Asked, method: str = "POST") -> None:
        # The settings decide where plain http will do, so Authlib's own rule is satisfied here.
        super().__init__(method, "https://token/", headers={"Authorization": asked.authorization})
        # RFC 6749 section 3.2: a parameter without a value counts as left out.
        self.payload = BasicOAuth2Payload({k: v for k, v in asked.form.items() if v})

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of the form."""
        fields: Mapping[str, str] = self.payload.data
        return fields


class WrongSecret(Exception):  # noqa: N818 - not an error yet: it is to be counted first
    """A client did not prove itself, in a transaction that only reads."""


class HubServer(AuthorizationServer):  # type: ignore[misc]
    """Authlib's hooks, filled in. `reading`: nothing is written, and WrongSecret raised."""

    def __init__(self, tx: Tx, hub: Hub, asked: Asked, *, reading: bool = False) -> None:
        super().__init__()
        self._reading = reading
        self.tx, self.hub, self.asked_at, self.now = tx, hub, asked.at, hub.now
        self.person = asked.person
        self._address = asked.address
        self._grants = grants_of(hub.policy)
        for grant, extensions in self._grants:
            self.register_grant(grant, extensions)

    def query_client(self, client_id: str) -> Client | None:
        """The program, where it is registered and enabled."""
        return query_client(self.tx, client_id)

    def authenticate_client(
        self, request: HubRequest, methods: Sequence[str], endpoint: str = "token"
    ) -> Client:
        """The client of the request; `invalid_client` alike for every reason."""
        client_id = self._client_id(request)
        now, address = self.now(), self._address
        refuse_client_guessing(self.tx, client_id=client_id, address=address, now=now)
        try:
            client = super().authenticate_client(request, methods, endpoint)
        except InvalidClientError as error:
            if self._reading:
                raise WrongSecret from error
            if client_id:
                count_client_guess(self.tx, client_id=client_id, address=address, now=now)
            raise refused_client() from error
        assert isinstance(client, Client)
        return client

    def _claimed(self, request: HubRequest) -> str:
        """The client that a refused request claims to be from, for the record."""
        try:
            claimed = self._client_id(request) or claimed_issuer(request.form.get("assertion", ""))
        except OAuth2Error:
            return "unknown"
        return claimed if CLIENT_ID.fullmatch(claimed) else "unknown"

    def _client_id(self, request: HubRequest) -> str:
        """The id that the request claims, by header or form; both at once is refused.

        RFC 6749 section 2.3: one way of authenticating per request.
        """
        try:
            by_header, _ = extract_basic_authorization(request.headers)
        except ValueError as error:  # not UTF-8
            raise refused_client() from error
        by_form = request.form.get("client_id", "")
        if by_header and "client_secret" in request.form:
            raise InvalidRequestError("Send the secret in the header or in the form, not in both.")
        if by_header and by_form and by_header != by_form:
            raise InvalidRequestError("The header and the form name different clients.")
        return by_header or by_form

    def use_assertion(self, assertion: str) -> tuple[Client, str]:
        """The client that signed an assertion, and its scope; `invalid_grant`."""
        issuer, address, now = claimed_issuer(assertion), self._address, self.now()
        refuse_client_guessing(self.tx, client_id=issuer, address=address, now=now)
        url = self.hub.policy.public_url
        try:
            asserted = use_assertion(
                self.tx,
                self.hub.keys.box,
                assertion,
                audiences=[url + path for path in TOKEN_PATHS],
                now=now,
            )
        except AssertionFault as fault:
            count_client_guess(self.tx, client_id=issuer, address=address, now=now)
            raise InvalidGrantError(str(fault)) from fault
        client = Client(self.tx, asserted.client)
        client.principal = load_client(self.tx, client.client_id, scopes=asserted.client.scopes)
        return client, asserted.scope

    def for_machine(self, client: Client, scope: str | None) -> dict[str, Any]:
        """A token for a machine in its own name."""
        assert client.principal is not None
        scopes = machine_scopes(client, scope)
        return self._body(self._sign(client, client.principal, scopes))

    def for_person(
        self,
        client: Client,
        granted: Granted,
        *,
        first: Begun | None = None,
        narrowed: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Tokens for a person through a program; `invalid_grant` where the person is disabled.

        A refresh token for every client that is registered for them; an ID token where the
        scope `openid` was given, but not again at a refresh (`first` is None there).
        """
        try:
            who = load_user(self.tx, granted.user_id)
        except Unauthenticated as error:
            raise InvalidGrantError("The account is disabled or gone.") from error
        scopes = open_to(who, granted.scopes if narrowed is None else narrowed)
        now = self.now()
        body = self._body(self._sign(client, who, scopes, family=granted.family))
        if client.check_grant_type(REFRESH_TOKEN):
            body["refresh_token"] = add_refresh_token(
                self.tx, granted.family, granted.scopes, now=now
            )
        if first is not None and "openid" in scopes:
            body["id_token"] = issue_id_token(
                self.tx,
                self.hub.keys.current,
                who.id,
                issuer=self.hub.policy.public_url,
                client_id=client.client_id,
                scopes=scopes,
                signed_in_at=first.signed_in_at,
                nonce=first.nonce,
                now=now,
            )
        return body

    def _sign(
        self, client: Client, who: Principal, scopes: Sequence[str], family: str | None = None
    ) -> AccessToken:
        now = self.now()
        token = issue_token(
            self.tx,
            self.hub.keys.current,
            who,
            issuer=self.hub.policy.public_url,
            scopes=tuple(scopes),
            client_id=client.client_id,
            family=family,
            seconds=self.hub.policy.token_seconds,
            now=now,
        )
        data = {"scopes": scopes} | ({"client_id": client.client_id} if family else {})
        event = Event("token.issued", who.label, who.label, who.organisation_id, data)
        record(self.tx, event, now=now)
        return token

    def _body(self, token: AccessToken) -> dict[str, Any]:
        return {
            "access_token": token.value,
            "token_type": "Bearer",
            "expires_in": self.hub.policy.token_seconds,
            "scope": " ".join(token.scopes),
        }

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Authlib's signals have no listeners here."""

    def create_oauth2_request(self, request: Asked | HubRequest) -> HubRequest:
        """Our request in Authlib's terms."""
        return request if isinstance(request, HubRequest) else HubRequest(request)

    def handle_error_response(self, request: HubRequest | None, error: OAuth2Error) -> Answer:
        """RFC 6749 section 5.2, always with a description."""
        if request is not None and error.error in _DENIALS:
            password = request.form.get("grant_type") == PASSWORD and error.error == "invalid_grant"
            kind = "sign-in.failed" if password else "token.denied"
            note_denial(Denial(kind, "", f"client:{self._claimed(request)}", error.error))
        description = error.get_error_description() or error.error
        if isinstance(error, UnsupportedGrantTypeError):
            # Authlib would repeat the name, whatever characters it is made of.
            names = ", ".join(grant.GRANT_TYPE for grant, _ in self._grants)
            description = f"This hub offers the grants: {names}."
        body = {"error": error.error, "error_description": printable(description)}
        return Answer(error.status_code, body)

    def handle_response(self, status: int, body: Any, _headers: Any) -> Answer:
        """The answer; its headers are the routes'."""
        return Answer(status, body)


def refused_client() -> InvalidClientError:
    """`invalid_client`, in the same words for every reason."""
    return InvalidClientError(_CLIENT_REFUSED, status_code=401)
