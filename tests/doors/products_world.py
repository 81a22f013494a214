"""The web application in process, what its products show, and how to ask."""

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import CUSTOMER, PUBLISHER, Principal
from entrepot.web.server import build_app
from tests import factories

URL = "http://127.0.0.1:8080"
ROOT = "/api/v2/products"
BROWSER = {"accept": "text/html,application/xhtml+xml"}
FROM_HERE = {"origin": URL, "sec-fetch-site": "same-origin"}
SCOPES = ("products", "products.readonly")


class Shop:
    """Asks the door as one caller after the other; redirects are not followed."""

    def __init__(self, hub: Hub, app: Any, client: httpx.AsyncClient) -> None:
        self.hub = hub
        self.app = app
        self._client = client
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """Ends the loop and the threads."""
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()
        self.app._edge.close()

    def flush(self) -> None:
        """Writes down what has been sent."""
        self._loop.run_until_complete(self.app._links._recorder.flush())

    def token(self, who: Principal, *scopes: str) -> str:
        """A token that is good now; of a person, with all scopes unless told."""
        with self.hub.database.read() as tx:
            return accounts.issue_token(
                tx,
                self.hub.keys.current,
                who,
                issuer=self.hub.policy.public_url,
                scopes=scopes or None,
                now=self.hub.now(),
            ).value

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """The answer to one request."""
        sent = dict(headers or {}) | ({"authorization": f"Bearer {token}"} if token else {})
        if json is not None:
            options["json"] = json
        request = self._client.build_request(method, path, headers=sent, **options)
        answer = self._loop.run_until_complete(self._client.send(request))
        self._client.cookies.clear()  # a cookie counts only where a test sends it
        return answer

    def data(self, method: str, path: str, token: str, data: Any = None, status: int = 200) -> Any:
        """What an answer of that status has under `data`."""
        json = None if data is None else {"data": data}
        answer = self.ask(method, f"{ROOT}{path}", token, json=json)
        assert answer.status_code == status, answer.text
        body = answer.json()
        assert (body["success"], body["status"]) == (True, status)
        return body["data"]

    def bytes_of(self, file: str, **options: Any) -> bytes:
        """The bytes behind a stable address."""
        answer = self.ask("GET", file.removeprefix(URL), **options)
        assert answer.status_code == 302, answer.text
        link = answer.headers["location"].removeprefix(URL)
        got = self.ask("GET", link)
        assert got.status_code == 200, got.text
        return got.content


@contextlib.contextmanager
def open_shop(hub: Hub, **policy: Any) -> Iterator[Shop]:
    """The doors of `hub`, with some of its policy changed."""
    changed = dataclasses.replace(hub, policy=dataclasses.replace(hub.policy, **policy))
    app = build_app(changed)
    # Addresses are sent as they are: a proxy of the environment has no part in it.
    transport = httpx.ASGITransport(app=app)
    shop = Shop(changed, app, httpx.AsyncClient(transport=transport, base_url=URL))
    try:
        yield shop
    finally:
        shop.close()


@dataclasses.dataclass(frozen=True)
class People:
    """Tokens: of a publisher of the hub, of a customer who bought P1, of one who did not."""

    publisher: str
    buyer: str
    stranger: str
    publisher_id: int
    buyer_organisation: int


def add_people(shop: Shop) -> People:
    """Products P1 (listed, bought by one), P2 (listed) and SECRET (not listed, no buyers)."""
    with shop.hub.database.write() as tx:
        factories.add_product(tx, "P1")
        factories.add_product(tx, "P2")
        factories.add_product(tx, "SECRET", listed=False)
        house = factories.add_organisation(tx, "The publisher")
        bought = factories.add_organisation(tx, "Those who bought")
        other = factories.add_organisation(tx, "Those who did not")
        publisher = factories.add_user(tx, house, roles=(PUBLISHER,))
        buyer = factories.add_user(tx, bought, roles=(CUSTOMER,))
        stranger = factories.add_user(tx, other, roles=(CUSTOMER,))
        factories.grant(tx, bought, "P1")
    return People(
        shop.token(publisher, *SCOPES),
        shop.token(buyer, *SCOPES),
        shop.token(stranger, *SCOPES),
        publisher.id,
        bought,
    )


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The one fault that an answer names; the whole body is in the dialect's shape."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["success", "status", "context", "errors"]
    assert (body["success"], body["status"]) == (False, status)
    assert body["context"] in ("data", "parameters")
    for each in body["errors"]:
        assert list(each) == ["name", "message", "ref"]
        assert re.fullmatch(r"error\.[a-z][a-z0-9-]*", each["ref"]), each
        assert each["message"]
    fault: dict[str, Any] = body["errors"][0]
    return fault
