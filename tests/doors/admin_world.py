"""The whole web application in process, asked by callers of every role through the admin API."""

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import Principal
from entrepot.web.server import Server, build_app
from tests import factories

API = "/api/admin/v1"
URL = "http://127.0.0.1:8080"
PROBLEM = "application/problem+json"
MISSING = "00000000-0000-4000-8000-000000000000"


def token_of(hub: Hub, who: Principal, scopes: tuple[str, ...] | None = None) -> str:
    """A token that is good now."""
    with hub.database.read() as tx:
        return accounts.issue_token(
            tx,
            hub.keys.current,
            who,
            issuer=hub.policy.public_url,
            scopes=scopes,
            now=hub.now(),
        ).value


def add_caller(hub: Hub, *roles: str) -> Principal:
    """A person with these roles, in an organisation of its own."""
    with hub.database.write() as tx:
        return factories.add_user(tx, factories.add_organisation(tx), roles=roles)


def add_machine(hub: Hub, client_id: str, roles: Sequence[str], scopes: Sequence[str]) -> Principal:
    """A machine with these roles and scopes."""
    with hub.database.write() as tx:
        accounts.add_client(
            tx,
            client_id=client_id,
            name=client_id,
            organisation_id=factories.add_organisation(tx),
            roles=roles,
            scopes=scopes,
            actor=factories.OPERATOR,
            now=factories.NOW,
        )
        return accounts.load_client(tx, client_id, scopes=scopes)


@dataclass
class Desk:
    """Asks the admin API, as an operator unless told otherwise."""

    hub: Hub
    app: Server
    loop: asyncio.AbstractEventLoop
    operator: Principal
    token: str

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "",
        json: Any = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer below the API's root, or at an absolute address; `token` None: none."""
        sent = dict(headers or {})
        if token is not None:
            sent["authorization"] = f"Bearer {token or self.token}"
        if not path.startswith(URL) and path != "/openapi.json":
            path = API + path

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                return await client.request(
                    method, path, json=json, content=content, headers=sent, timeout=30
                )

        return self.loop.run_until_complete(send())

    def made(self, path: str, json: Any) -> dict[str, Any]:
        """The body of a 201 whose Location shows the same thing."""
        answer = self.ask("POST", path, json=json)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        again = self.ask("GET", answer.headers["location"])
        assert again.status_code == 200
        if "client_secret" not in body:
            assert again.json() == body
        return body

    def done(self, method: str, path: str, json: Any = None) -> None:
        """A verb that answers 204 with no body."""
        answer = self.ask(method, path, json=json)
        assert (answer.status_code, answer.content) == (204, b""), answer.text

    def upload(self, release_id: str, data: bytes, *, file_name: str = "a.bin") -> dict[str, Any]:
        """The artifact that `data` became."""
        path = f"/releases/{release_id}/artifacts?file_name={file_name}"
        answer = self.ask("POST", path, content=data)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def draft(self, product: str = "DS1") -> str:
        """The UUID of a new draft of a new product."""
        self.made("/products", {"code": product, "name": "A product"})
        return str(self.made(f"/products/{product}/releases", {"name": "1.0"})["id"])


def refused(answer: httpx.Response, status: int, code: str, field: str = "") -> dict[str, Any]:
    """The problem document of a refusal (RFC 9457), checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"], body.get("field", "")) == (status, code, field)
    assert body["title"]
    return body


def content_digest(data: bytes) -> str:
    """The value of Content-Digest for `data`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


@contextlib.contextmanager
def open_desk(hub: Hub, **policy: Any) -> Iterator[Desk]:
    """The application over `hub`, with some of its policy changed."""
    changed = dataclasses.replace(hub, policy=dataclasses.replace(hub.policy, **policy))
    operator = add_caller(hub, "operator")
    loop = asyncio.new_event_loop()
    try:
        yield Desk(changed, build_app(changed), loop, operator, token_of(changed, operator))
    finally:
        loop.close()


def stored(hub: Hub, folder: Path) -> list[str]:
    """What lies in the store: identities of objects, then names of unfinished files."""
    unfinished = sorted(path.name for path in folder.rglob("*.part"))
    return [*sorted(hub.blobs.listing()), *unfinished]
