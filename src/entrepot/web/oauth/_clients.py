"""A registered program, in the shape in which Authlib asks about it."""

from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import Row

from entrepot.core.accounts import (
    AUTHORIZATION_CODE,
    Principal,
    client_secret_matches,
    enabled_client,
    load_client,
    redirect_matches,
)
from entrepot.db import Tx
from entrepot.web.oauth._scopes import asked_scopes

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
AUTH_METHODS = (*SECRET_METHODS, "none")


def query_client(tx: Tx, client_id: str) -> "Client | None":
    """The program with this client id; None where there is none or it is disabled."""
    row = enabled_client(tx, client_id)
    return None if row is None else Client(tx, row)


class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A program that is registered and enabled; `principal` once it has proved itself."""

    def __init__(self, tx: Tx, row: Row[Any]) -> None:
        self.row = row
        self.client_id: str = row.client_id
        self.principal: Principal | None = None
        self._tx = tx

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether the secret is the client's; keeps who it is."""
        if self.row.public or not client_secret_matches(self.row.secret_hash, client_secret):
            return False
        self.principal = load_client(self._tx, self.client_id, scopes=self.row.scopes)
        return True

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """A secret for those that have one; the id alone for public clients."""
        return (method == "none") is self.row.public

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client is registered for the grant."""
        return grant_type in self.row.grants

    def check_response_type(self, response_type: str) -> bool:
        """Codes only: what else there was is gone with OAuth 2.1."""
        return response_type == "code" and self.check_grant_type(AUTHORIZATION_CODE)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether people may be sent back there."""
        return redirect_matches(redirect_uri, self.row.redirect_uris)

    def get_default_redirect_uri(self) -> str | None:
        """The one address of a client that has one."""
        addresses: list[str] = self.row.redirect_uris
        return addresses[0] if len(addresses) == 1 else None

    def get_client_id(self) -> str:
        """The public name of the client."""
        return self.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        """The scopes to ask a person for; `invalid_scope` where one is not the client's."""
        return " ".join(asked_scopes(scope, self.row))
