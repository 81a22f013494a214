"""The ways to a token. Another grant is one more class here, and one more in GRANTS.

Each runs inside the one transaction of its request (see `_server.py`). `password` is refused
as unsupported, whatever the setting says, until its class is written.
"""

from authlib.oauth2.rfc6749 import InvalidScopeError, grants
from authlib.oauth2.rfc6749.util import scope_to_list

from entrepot.web.oauth._clients import AUTH_METHODS


class ClientCredentials(grants.ClientCredentialsGrant):  # type: ignore[misc]
    """RFC 6749 section 4.4: a machine in its own name. No refresh token comes of it."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def validate_requested_scope(self) -> None:
        """`invalid_scope` for a scope that does not exist or is not the client's."""
        allowed = self.client.get_allowed_scope(None).split()
        if not set(scope_to_list(self.request.payload.scope or "")) <= set(allowed):
            raise InvalidScopeError(f"This client may ask for: {' '.join(allowed) or 'nothing'}.")


GRANTS: tuple[type[grants.BaseGrant], ...] = (ClientCredentials,)
