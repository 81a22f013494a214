"""A registered machine, in the shape in which Authlib asks about it."""

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.util import scope_to_list
from sqlalchemy import Row

from entrepot.core.accounts import SCOPES, Principal, check_client, find_client
from entrepot.db import Tx
from entrepot.errors import NotFound

AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """One client id, whether registered or not: only the right secret makes a difference."""

    def __init__(self, tx: Tx, client_id: str) -> None:
        self.client_id = client_id
        self.principal: Principal | None = None
        self._tx = tx

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether the secret is the client's; keeps who it is."""
        self.principal = check_client(self._tx, client_id=self.client_id, secret=client_secret)
        return self.principal is not None

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Secrets in the header or in the form, at the token endpoint."""
        return endpoint == "token" and method in AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client is registered for the grant."""
        row = self._row()
        return row is not None and grant_type in row.grants

    def get_client_id(self) -> str:
        """The public name of the client."""
        return self.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        """The scopes asked for; none asked for means all that the client has."""
        held = self.principal.scopes if self.principal else frozenset()
        wanted = scope_to_list(scope or "") or [name for name in SCOPES if name in held]
        return " ".join(dict.fromkeys(name for name in wanted if name in held))

    def _row(self) -> Row[tuple[object, ...]] | None:
        try:
            return find_client(self._tx, self.client_id)
        except NotFound:
            return None
