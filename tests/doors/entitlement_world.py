"""The web application in process, the objects its entitlement API shows, and how to ask."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Coroutine, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import Principal
from entrepot.db import Tx
from entrepot.web.http.edge import Edge
from entrepot.web.server import build_app
from tests import factories

ROOT = "/e-product-entitlement-customer/v1/entitlements"
URL = "http://127.0.0.1:8080"
DAY = timedelta(days=1)
MISSING = "00000000-0000-4000-8000-000000000000"
NOT_FOUND = (
    b'{"errorCode":404,"errorDescription":"There is no such object, or it is not yours.'
    b' Check the id; list what your organisation is entitled to.","reason":"not-found",'
    b'"remedy":"Check the id; list what your organisation is entitled to."}'
)

T = TypeVar("T")


class Door:
    """Asks the door as one caller after the other."""

    def __init__(self, hub: Hub, edge: Edge, client: httpx.AsyncClient) -> None:
        self.hub = hub
        self.edge = edge
        self._client = client
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """Ends the loop and the threads."""
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()
        self.edge.close()

    def token(self, who: Principal, scopes: tuple[str, ...] | None = None) -> str:
        """A token that is good now."""
        with self.hub.database.read() as tx:
            return accounts.issue_token(
                tx,
                self.hub.keys.current,
                who,
                issuer=self.hub.policy.public_url,
                scopes=scopes,
                now=self.hub.now(),
            ).value

    def ask(
        self,
        path: str,
        token: str | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: str | Mapping[str, str] | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """The answer to a request below the root of the API, or to an absolute path."""
        sent = dict(headers or {})
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        request = self._client.build_request(method, path, headers=sent, params=params, json=json)
        return self._loop.run_until_complete(self._client.send(request))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done on the door's loop."""
        return self._loop.run_until_complete(work)

    def get(
        self,
        path: str,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: str | Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to GET below the root of the API."""
        return self.ask(ROOT + path, token, headers=headers, params=params)


@contextlib.contextmanager
def open_door(hub: Hub, **policy: Any) -> Iterator[Door]:
    """The doors of `hub`, with some of its policy changed."""
    changed = dataclasses.replace(hub, policy=dataclasses.replace(hub.policy, **policy))
    app = build_app(changed)
    transport = httpx.ASGITransport(app=app)
    door = Door(changed, app._edge, httpx.AsyncClient(transport=transport, base_url=URL))
    try:
        yield door
    finally:
        door.close()


def releases_path(number: int | str) -> str:
    """Endpoint 3."""
    return f"/{number}/rights/download/releases"


def release_path(number: int | str, release_id: str) -> str:
    """Endpoint 4."""
    return f"{releases_path(number)}/{release_id}"


def artifact_path(number: int | str, release_id: str, artifact_id: str) -> str:
    """Endpoint 5; with /http and /fasp 6 and 7."""
    return f"{release_path(number, release_id)}/artifact/{artifact_id}"


@dataclasses.dataclass(frozen=True)
class Offer:
    """A caller, an entitlement of the caller's organisation, and one release under it."""

    who: Principal
    number: int
    product: str
    release: factories.Published

    @property
    def artifact(self) -> str:
        """The path of the first artifact."""
        return artifact_path(self.number, self.release.id, self.release.artifact_ids[0])

    @property
    def zip(self) -> str:
        """The path at which links to the release's ZIP are issued."""
        return f"{release_path(self.number, self.release.id)}/zip"


def add_offer(
    tx: Tx,
    *,
    now: datetime,
    product: Mapping[str, Any] | None = None,
    release: Mapping[str, Any] | None = None,
    grant: Mapping[str, Any] | None = None,
) -> Offer:
    """An organisation in Germany with one person and one entitlement to one release."""
    organisation = factories.add_organisation(tx)
    who = factories.add_user(tx, organisation, roles=accounts.ROLES[:2])
    code = factories.add_product(tx, **dict(product or {}))
    made = factories.add_release(
        tx, code, **({"available_at": now - 10 * DAY} | dict(release or {}))
    )
    number = factories.grant(tx, organisation, code, **dict(grant or {}))
    return Offer(who, number, code, made)
