"""A bare Authlib authorization server to compare with: one client in memory, and no more.

    python -m bench._authlib PORT

Client credentials and introspection as Authlib ships them, RS256 tokens (RFC 9068) by a key
that is imported once. No database, no record of what was issued, no limits, no revocation.
"""

import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator, JWTIntrospectionEndpoint
from joserfc.jwk import RSAKey

from bench._cpu import SERVER_CORE

CLIENT_ID, SECRET = "bench", "s" * 43
ISSUER = "http://127.0.0.1"
METHODS = ["client_secret_basic", "client_secret_post"]
_KEY = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"})


class _Client(ClientMixin):  # type: ignore[misc]
    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or "entitlements"

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return True

    def check_grant_type(self, grant_type: str) -> bool:
        return True


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, form: Mapping[str, str], authorization: str) -> None:
        super().__init__("POST", "https://token/", headers={"Authorization": authorization})
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> Any:
        return self.payload.data


class _Server(AuthorizationServer):  # type: ignore[misc]
    def query_client(self, client_id: str) -> _Client | None:
        return _Client() if client_id == CLIENT_ID else None

    def save_token(self, token: object, request: object) -> None:
        return None

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        return None

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: object) -> tuple[int, bytes]:
        return status, json.dumps(body).encode()


class _Grant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS


class _Generator(JWTBearerTokenGenerator):  # type: ignore[misc]
    def get_jwks(self) -> RSAKey:
        return _KEY


class _Introspection(JWTIntrospectionEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = METHODS

    def get_jwks(self) -> RSAKey:
        return _KEY

    def check_permission(self, token: object, client: object, request: object) -> bool:
        return True


def _make_server() -> _Server:
    server = _Server()
    server.register_token_generator("default", _Generator(issuer=ISSUER, alg="RS256"))
    server.register_grant(_Grant)
    server.register_endpoint(_Introspection(issuer=ISSUER))
    return server


def basic(client_id: str, secret: str) -> str:
    """The Authorization header of a client."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def _serve(port: int) -> None:
    import uvicorn

    server = _make_server()

    async def answer(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        body = (await receive()).get("body", b"")
        headers = dict(scope["headers"])
        form = dict(parse_qsl(body.decode()))
        request = _Request(form, headers.get(b"authorization", b"").decode())
        if scope["path"] == "/oauth/token":
            status, content = server.create_token_response(request)
        else:
            status, content = server.create_endpoint_response("introspection", request)
        length = str(len(content)).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    os.sched_setaffinity(0, {SERVER_CORE})
    uvicorn.run(
        answer,
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
