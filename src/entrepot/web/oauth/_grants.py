"""The ways to a token. Another grant is one more class here, and one more in GRANTS.

Each runs inside the one transaction of its request (see `_server.py`). What counts once is
counted by a verb of the core, in one UPDATE; a refusal is an answer, so that it commits too.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from authlib.oauth2.rfc6749 import (
    AccessDeniedError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    UnauthorizedClientError,
    grants,
)
from authlib.oauth2.rfc6749.util import scope_to_list
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import (
    AuthorizationPendingError,
    ExpiredTokenError,
    SlowDownError,
)

from entrepot.assembly import Policy
from entrepot.core.accounts import (
    DEVICE_CODE,
    JWT_BEARER,
    PASSWORD,
    SCOPES,
    FoundCode,
    FoundRefresh,
    Granted,
    begin_family,
    find_code,
    find_refresh,
    hold_password,
    new_family,
    redeem_code,
    redeem_device,
    spend_refresh,
)
from entrepot.errors import Unauthenticated
from entrepot.web.oauth._clients import AUTH_METHODS, SECRET_METHODS, Client
from entrepot.web.oauth._scopes import asked_scopes, narrowed_scopes, open_to, refused_scope

_CODE_REFUSED = "The code is not valid: unknown, used, over, or another client's."
_REFRESH_REFUSED = "The refresh token is not valid: unknown, used, over, revoked, or not yours."


@dataclass(frozen=True, slots=True)
class Begun:
    """How a family began, for its ID token: when the person signed in, where that is known."""

    signed_in_at: datetime | None = None
    nonce: str | None = None


class ClientCredentials(grants.ClientCredentialsGrant):  # type: ignore[misc]
    """RFC 6749 section 4.4: a machine in its own name. No refresh token comes of it."""

    TOKEN_ENDPOINT_AUTH_METHODS = SECRET_METHODS

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """A token with the scopes asked for; none asked for means all that the client has."""
        client: Client = self.request.client
        return 200, self.server.for_machine(client, self.request.payload.scope), None


def machine_scopes(client: Client, text: str | None) -> tuple[str, ...]:
    """The scopes that a machine asks for itself; `invalid_scope` for one that it has not."""
    assert client.principal is not None
    held = [scope for scope in SCOPES if scope in client.principal.scopes]
    named = set(scope_to_list(text or ""))
    if not named <= set(held):
        raise refused_scope(held)
    return tuple(scope for scope in held if not named or scope in named)


class S256(CodeChallenge):  # type: ignore[misc]
    """RFC 7636, for every client but one registered without it; `plain` for none.

    Authlib by itself requires it of public clients only, at the token endpoint, and takes a
    request without a method for `plain`.
    """

    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """`invalid_request` without an S256 challenge."""
        given, client = grant.request.payload.data, grant.request.client
        if not client.row.pkce and not {"code_challenge", "code_challenge_method"} & set(given):
            return
        if "code_challenge" not in given or given.get("code_challenge_method") != "S256":
            raise InvalidRequestError(
                "PKCE is needed: send code_challenge and code_challenge_method=S256."
            )
        super().validate_code_challenge(grant, redirect_uri)

    def get_authorization_code_challenge_method(self, _code: Any) -> str:
        """There is one."""
        return "S256"


class _Code:
    """A code that may be redeemed, as Authlib asks about it."""

    def __init__(self, found: FoundCode) -> None:
        self.found = found
        self.code_challenge = found.request.challenge

    def get_redirect_uri(self) -> str | None:
        return self.found.request.redirect_uri


class AuthorizationCode(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """RFC 6749 section 4.1: a program for the person who has sent it a code."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    @staticmethod
    def validate_authorization_redirect_uri(request: Any, client: Client) -> Any:
        """The address to go back to; Authlib would repeat one that is not, whatever is in it."""
        asked = request.payload.redirect_uri
        if asked and not client.check_redirect_uri(asked):
            raise InvalidRequestError("The redirect_uri is none that the client has registered.")
        return grants.AuthorizationCodeGrant.validate_authorization_redirect_uri(request, client)

    def validate_requested_scope(self) -> None:
        """Done by `Client.get_allowed_scope`."""

    def query_authorization_code(self, code: str, client: Client) -> _Code | None:
        """The code, if it is this client's and may be redeemed."""
        found = find_code(self.server.tx, code, api_client_id=client.row.id, now=self.server.now())
        if found is None:
            raise InvalidGrantError(_CODE_REFUSED)
        return _Code(found)

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Use the code up and answer with what it stands for."""
        found = self.request.authorization_code.found
        granted = redeem_code(self.server.tx, found, now=self.server.now())
        if granted is None:
            raise InvalidGrantError(_CODE_REFUSED)
        begun = Begun(found.request.signed_in_at, found.request.nonce)
        return 200, self.server.for_person(self.request.client, granted, first=begun), None


class RefreshToken(grants.RefreshTokenGrant):  # type: ignore[misc]
    """RFC 6749 section 6, with rotation (RFC 9700 section 4.14.2)."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def _validate_request_token(self, client: Client) -> FoundRefresh:
        token = self.request.form.get("refresh_token")
        if token is None:
            raise InvalidRequestError("The parameter refresh_token is missing.")
        found = find_refresh(
            self.server.tx,
            token,
            api_client_id=client.row.id,
            asked_at=self.server.asked_at,
            now=self.server.now(),
        )
        if found is None:
            raise InvalidGrantError(_REFRESH_REFUSED)
        return found

    def _validate_token_scope(self, found: FoundRefresh) -> None:
        client: Client = self.request.client
        self.scopes = narrowed_scopes(self.request.payload.scope, client.row, found.granted.scopes)

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Exchange the token for a new pair; a narrower scope is the access token's alone."""
        found: FoundRefresh = self.request.refresh_token
        server = self.server
        if not spend_refresh(server.tx, found, asked_at=server.asked_at, now=server.now()):
            raise InvalidGrantError(_REFRESH_REFUSED)
        client: Client = self.request.client
        return 200, server.for_person(client, found.granted, narrowed=self.scopes), None


class DeviceCode(grants.BaseGrant, grants.TokenEndpointMixin):  # type: ignore[misc]
    """RFC 8628 section 3.4: a program polls until a person has decided elsewhere."""

    GRANT_TYPE = DEVICE_CODE
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    REFUSALS: ClassVar[dict[str, tuple[type[OAuth2Error], str]]] = {
        "unknown": (InvalidGrantError, "The device code is unknown, used, or not yours."),
        "expired": (ExpiredTokenError, "The ten minutes of the device code are over."),
        "denied": (AccessDeniedError, "The person has said no."),
        "pending": (AuthorizationPendingError, "The person has not decided yet."),
        "early": (SlowDownError, "Wait five seconds longer between polls from now on."),
    }

    def validate_token_request(self) -> None:
        """Who asks, and whether such a client may."""
        require_grant(self)
        if "device_code" not in self.request.form:
            raise InvalidRequestError("The parameter device_code is missing.")

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """What was granted, or why there is nothing (RFC 8628 section 3.5)."""
        client, server = self.request.client, self.server
        outcome = redeem_device(
            server.tx,
            self.request.form["device_code"],
            api_client_id=client.row.id,
            asked_at=server.asked_at,
            now=server.now(),
        )
        if isinstance(outcome, str):
            kind, description = self.REFUSALS[outcome]
            raise kind(description=description)
        return 200, server.for_person(client, outcome, first=Begun()), None


class JwtBearer(grants.BaseGrant, grants.TokenEndpointMixin):  # type: ignore[misc]
    """RFC 7523 section 2.1, as the contract has it: a machine signs with its secret.

    The scope is in the assertion (the contract) or in the form (the RFC); both: the form's,
    which must lie within the other.
    """

    GRANT_TYPE = JWT_BEARER

    def validate_token_request(self) -> None:
        """The assertion is the client's authentication as well."""
        assertion = self.request.form.get("assertion", "")
        if not assertion:
            raise InvalidRequestError("The parameter assertion is missing.")
        self.request.client, self.scope = self.server.use_assertion(assertion)
        named = self.request.form.get("client_id")
        if named not in (None, self.request.client.client_id):
            raise InvalidRequestError("The form and the assertion name different clients.")

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """A token for the machine in its own name."""
        within = set(scope_to_list(self.scope))
        wanted = scope_to_list(self.request.payload.scope or "") or scope_to_list(self.scope)
        if within and not set(wanted) <= within:
            raise refused_scope(sorted(within))
        return 200, self.server.for_machine(self.request.client, " ".join(wanted)), None


class Password(grants.BaseGrant, grants.TokenEndpointMixin):  # type: ignore[misc]
    """RFC 6749 section 4.3, by setting and for MSAL's client alone (contract 1, section 4).

    The password was checked before, outside of this transaction: that takes long.
    """

    GRANT_TYPE = PASSWORD
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def validate_token_request(self) -> None:
        """Who asks, and whether the person behind the password is known."""
        require_grant(self)
        try:
            proven = self.server.person
            self.person = proven and hold_password(self.server.tx, proven)
        except Unauthenticated:  # replaced since it was checked
            self.person = None
        if self.person is None:
            raise InvalidGrantError("The user name or the password is wrong.")

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Tokens as after a code."""
        client, server = self.request.client, self.server
        scopes = open_to(self.person, asked_scopes(self.request.payload.scope, client.row))
        granted = Granted(client.row.id, self.person.id, scopes, new_family())
        begin_family(server.tx, granted, now=server.now())
        return 200, server.for_person(client, granted, first=Begun(server.now())), None


def require_grant(grant: Any) -> None:
    """Authenticate the client of a request; `unauthorized_client` where the grant is not its."""
    client = grant.authenticate_token_endpoint_client()
    if not client.check_grant_type(grant.GRANT_TYPE):
        raise UnauthorizedClientError(f"This client is not registered for {grant.GRANT_TYPE}.")
    grant.request.client = client


_ALWAYS: tuple[tuple[type[grants.BaseGrant], tuple[Any, ...]], ...] = (
    (AuthorizationCode, (S256(required=True),)),
    (ClientCredentials, ()),
    (RefreshToken, ()),
    (DeviceCode, ()),
    (JwtBearer, ()),
)


def grants_of(policy: Policy) -> tuple[tuple[type[grants.BaseGrant], tuple[Any, ...]], ...]:
    """The grants that this hub offers, with their extensions."""
    return (*_ALWAYS, (Password, ())) if policy.password_grant else _ALWAYS


GRANT_TYPES = tuple(grant.GRANT_TYPE for grant, _ in _ALWAYS)
