"""The ways to a token. Another grant is one more class here, and one more in GRANTS.

Each runs inside the one transaction of its request (see `_server.py`). What counts once is
counted by a verb of the core, in one UPDATE; a refusal is an answer, so that it commits too.
"""

from typing import Any, ClassVar

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, grants
from authlib.oauth2.rfc6749.util import scope_to_list
from authlib.oauth2.rfc7636 import CodeChallenge

from entrepot.core.accounts import (
    SCOPES,
    FoundCode,
    FoundRefresh,
    find_code,
    find_refresh,
    redeem_code,
    spend_refresh,
)
from entrepot.web.oauth._clients import AUTH_METHODS, SECRET_METHODS, Client
from entrepot.web.oauth._scopes import refused_scope

_CODE_REFUSED = "The code is not valid: unknown, used, over, or another client's."
_REFRESH_REFUSED = "The refresh token is not valid: unknown, used, over, revoked, or not yours."


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
        body = self.server.for_person(self.request.client, granted, request=found.request)
        return 200, body, None


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
        held = found.granted.scopes
        if not set(scope_to_list(self.request.payload.scope or "")) <= set(held):
            raise refused_scope(held)

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Exchange the token for a new pair; a narrower scope is the access token's alone."""
        found: FoundRefresh = self.request.refresh_token
        server = self.server
        if not spend_refresh(server.tx, found, asked_at=server.asked_at, now=server.now()):
            raise InvalidGrantError(_REFRESH_REFUSED)
        scope = self.request.payload.scope
        return 200, server.for_person(self.request.client, found.granted, narrowed=scope), None


GRANTS: tuple[tuple[type[grants.BaseGrant], tuple[Any, ...]], ...] = (
    (AuthorizationCode, (S256(required=True),)),
    (ClientCredentials, ()),
    (RefreshToken, ()),
)
