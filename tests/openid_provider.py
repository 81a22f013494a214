"""A small OpenID provider for tests: it really signs people in, and lies where a test says so.

It listens on 127.0.0.1, port 0. One person is at its keyboard, `person`; whoever is sent to its
authorization endpoint with a right request comes back as that person. Client id, secret, redirect
address, PKCE and the single use of a code are checked as an honest provider checks them.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "entrepot", "p:ro%vider secret"
ADA = {
    "sub": "ada-7",
    "email": "ada@acme.example",
    "email_verified": True,
    "given_name": "Ada",
    "family_name": "Byron",
    "groups": ["staff", "entrepot-admins"],
}


@cache
def rsa_key(kid: str) -> RSAKey:
    """A key that is made once for each name."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


@cache
def ec_key(kid: str) -> ECKey:
    """The same on the curve P-256."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})


@dataclass
class OpenIdProvider:
    """The provider and its lies. What it was asked is in `asked`, by path."""

    person: dict[str, Any] = field(default_factory=lambda: dict(ADA))
    claims: dict[str, Any] = field(
        default_factory=dict
    )  # over what an ID token says; None: left out
    algorithm: str = "RS256"  # RS256 | ES256 | none | HS256
    header: dict[str, Any] = field(default_factory=dict)  # over the ID token's header
    signed_by: str = "first"  # the name of a key; only those in `published` can be looked up
    published: list[str] = field(default_factory=lambda: ["first"])
    metadata: dict[str, Any] = field(default_factory=dict)  # over what it says of itself
    response: dict[str, str | None] = field(default_factory=dict)  # over what it answers a browser
    status: int = 200  # of its own endpoints
    redirect_uris: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realm"

    def describe(self) -> dict[str, Any]:
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        } | self.metadata
        return {name: value for name, value in told.items() if value is not None}

    def keys(self) -> dict[str, Any]:
        made = [key(kid) for kid in self.published for key in (rsa_key, ec_key)]
        return {
            "keys": [{"kty": "oct", "kid": "odd"}, *(key.as_dict(private=False) for key in made)]
        }

    def authorize(self, query: dict[str, str]) -> tuple[int, str]:
        """Status and, for 302, where the browser is sent."""
        right = (
            query.get("client_id") == CLIENT_ID
            and query.get("redirect_uri") in self.redirect_uris
            and query.get("tenant") == "1"
        )
        if not right:
            return 400, "wrong client or redirect address"
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        sound = (
            query.get("response_type") == "code"
            and "openid" in query.get("scope", "").split()
            and query.get("code_challenge_method") == "S256"
            and len(query.get("code_challenge", "")) == 43
        )
        told = {"code": code} if sound else {"error": "invalid_request"}
        told |= {"state": query.get("state", ""), "iss": self.issuer}
        answered = {name: value for name, value in (told | self.response).items() if value}
        return 302, f"{query['redirect_uri']}?{urlencode(answered)}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Status and body of the token endpoint."""
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        if [unquote_plus(part) for part in given] != [CLIENT_ID, CLIENT_SECRET]:
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or asked["redirect_uri"] != form.get("redirect_uri")
            or asked["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant"}
        token = self.id_token(asked.get("nonce", ""))
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": token}

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        said = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce}
        claims = {k: v for k, v in (said | self.person | self.claims).items() if v is not None}
        header = {"alg": self.algorithm, "kid": self.signed_by, "typ": "JWT"} | self.header
        header = {k: v for k, v in header.items() if v is not None}
        if self.algorithm == "ES256":
            return jwt.encode(header, claims, ec_key(self.signed_by), algorithms=["ES256"])
        signed = ".".join(_coded(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_coded(self._signature(signed.encode()))}"

    def _signature(self, signed: bytes) -> bytes:
        """By hand, because a library would not put its name to the lies."""
        key = rsa_key(self.signed_by)
        if self.algorithm == "RS256":
            digest = SHA384() if self.header.get("alg") == "RS384" else SHA256()
            return key.private_key.sign(signed, PKCS1v15(), digest)  # type: ignore[union-attr]
        if self.algorithm == "HS256":
            # The old confusion: the public key, which everybody has, as the secret of an HMAC.
            return hmac.digest(key.as_pem(private=False), signed, "sha256")
        return b""


def _coded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: OpenIdProvider
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.provider.asked.append(parts.path.removeprefix("/realm"))
        if parts.path == "/realm/authorize":
            status, told = self.provider.authorize(dict(parse_qsl(parts.query)))
            headers = {"Location": told} if status == 302 else {}
            return self._answer(status, {"told": told}, headers)
        pages = {
            "/realm/.well-known/openid-configuration": self.provider.describe,
            "/realm/keys": self.provider.keys,
        }
        if parts.path not in pages:
            return self._answer(404, {}, {})
        return self._answer(self.provider.status, pages[parts.path](), {})

    def do_POST(self) -> None:
        self.provider.asked.append(self.path.removeprefix("/realm"))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._answer(*self.provider.exchange(form, self.headers.get("Authorization", "")), {})

    def _answer(self, status: int, told: object, headers: dict[str, str]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running_provider(redirect_uri: str) -> Iterator[OpenIdProvider]:
    """A provider that listens until the block ends."""
    provider = OpenIdProvider(redirect_uris=[redirect_uri])
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
