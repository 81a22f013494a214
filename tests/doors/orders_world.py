"""The web application in process, customers who order by its third dialect, and a clock of theirs.

What a converter would have made is stored by the verbs that a worker calls, so an order takes
the very same way; no worker and no converter is needed.
"""

import asyncio
import contextlib
import dataclasses
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import func, select

from entrepot.assembly import Hub
from entrepot.core import accounts, orders
from entrepot.core.accounts import Principal
from entrepot.core.catalogue import hold_bytes
from entrepot.core.conversions.results import remember_result
from entrepot.core.delivery.tables import leases
from entrepot.web.server import Server, build_app
from tests import factories

URL = "http://127.0.0.1:8080"
ORDERS = "/api/downloadorders"
IMAGES = "M.AssetMedia.Images"
JSON = "application/json"
PNG = {"conversions": [[{"type": "fileExtension", "value": "png"}]]}
ORIGINAL = {"renditions": ["downloadOriginal"]}
NOT_FOUND = (
    b'{"Message":"There is no such object, or it is not yours.'
    b" Your orders are listed at /api/downloadorders, the assets that you may have at"
    b' /api/entities, all addresses at /api."}'
)


class Time:
    """A clock that stands until it is moved; it begins at the next whole second.

    No earlier: the hub's first keys may have been made in this one.
    """

    def __init__(self, begin: datetime) -> None:
        self.now = begin.replace(microsecond=0) + timedelta(seconds=1)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now


@dataclass
class Shop:
    """Asks as `who`, a customer with a right to `product`, unless told otherwise."""

    hub: Hub
    app: Server
    time: Time
    loop: asyncio.AbstractEventLoop
    who: Principal
    token: str
    product: str
    entitlement: int

    def token_of(self, who: Principal, scopes: tuple[str, ...] | None = None, **more: Any) -> str:
        """A token that is good now."""
        with self.hub.database.read() as tx:
            return accounts.issue_token(
                tx,
                self.hub.keys.current,
                who,
                issuer=self.hub.policy.public_url,
                scopes=scopes,
                now=self.hub.now(),
                **more,
            ).value

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "",
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    ) -> httpx.Response:
        """The answer; `token` None: none is sent."""

        async def send() -> httpx.Response:
            async with self.client(token) as client:
                return await client.request(
                    method, path, json=json, content=content, headers=headers
                )

        return self.loop.run_until_complete(send())

    def client(self, token: str | None = "") -> httpx.AsyncClient:
        """For several requests at once, inside the loop."""
        headers = {} if token is None else {"authorization": f"Bearer {token or self.token}"}
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url=URL, headers=headers, timeout=30)

    def get(self, path: str, **more: Any) -> Any:
        """The body of a 200."""
        answer = self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == JSON
        return answer.json()

    def add_asset(self, data: bytes = b"", **values: Any) -> int:
        """A picture of the customer's product, unless told otherwise; its bytes are stored."""
        given: dict[str, Any] = {"product": self.product, "content_type": "image/jpeg"} | values
        with self.hub.database.write() as tx:
            return factories.add_asset(tx, data=data, store=self.hub.blobs, **given)

    def select(self, *ids: int, pool: str = "pool", token: str = "", query: str = "") -> int:
        """Select in a pool; how many there are then."""
        change = [{"operation": "add", "value": list(ids)}]
        answer = self.ask("PATCH", f"/api/selection/{pool}{query}", json=change, token=token)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["total_items"])

    def order(self, *ids: int, each: Mapping[str, Any] | None = None, **root: Any) -> Any:
        """The body of a 201: an order of these assets, as they are unless told otherwise."""
        individual = {str(number): dict(each or ORIGINAL) for number in ids}
        body = {"order": {"individual": individual}} | root
        answer = self.ask("POST", ORDERS, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def convert(self, order_id: int, *, failing: int = 0) -> None:
        """What workers do: make what is pending (the first `failing` fail), then complete it."""
        hub = self.hub
        with hub.database.read() as tx:
            pending = orders.list_pending(tx, order_id, take=1000)
        for at, one in enumerate(pending):
            pair = (order_id, one.source_sha256, one.recipe_key)
            with hub.database.write() as tx:
                assert orders.begin_conversion(tx, *pair, now=hub.now())
            if at < failing:
                message = "The file ends in its middle."
                with hub.database.write() as tx:
                    orders.fail_conversion(
                        tx, *pair, code="media-damaged", message=message, now=hub.now()
                    )
                continue
            made = f"{one.source_sha256} as {one.recipe.extension}".encode()
            digests = hub.blobs.ingest(io.BytesIO(made))
            with hub.database.write() as tx:
                hold_bytes(tx, hub.blobs, [digests], now=hub.now())
                result = remember_result(
                    tx, one.source_sha256, one.recipe, digests=digests, facts={}, now=hub.now()
                )
                orders.settle_conversion(tx, *pair, result, now=hub.now())
        orders.complete_order(hub.database, hub.blobs, order_id, rules=hub.media, now=hub.now)

    def leases(self) -> int:
        """How many leases were ever written."""
        with self.hub.database.read() as tx:
            return int(tx.execute(select(func.count()).select_from(leases)).scalar_one())

    def colleague(self, **values: Any) -> Principal:
        """Somebody else of the same organisation."""
        with self.hub.database.write() as tx:
            return factories.add_user(tx, self.who.organisation_id, **values)

    def stranger(self) -> Principal:
        """Somebody of another organisation, without rights."""
        with self.hub.database.write() as tx:
            return factories.add_user(tx, factories.add_organisation(tx))


@contextlib.contextmanager
def open_shop(hub: Hub, **policy: Any) -> Iterator[Shop]:
    """A shop over `hub`, with some of its policy changed."""
    time = Time(hub.now())
    changed = dataclasses.replace(hub, now=time, policy=dataclasses.replace(hub.policy, **policy))
    with hub.database.write() as tx:
        who = factories.add_user(tx, factories.add_organisation(tx))
        product = factories.add_product(tx)
        entitlement = factories.grant(tx, who.organisation_id, product)
    loop = asyncio.new_event_loop()
    app = build_app(changed)
    try:
        shop = Shop(changed, app, time, loop, who, "", product, entitlement)
        shop.token = shop.token_of(who)
        yield shop
    finally:
        app._edge.close()
        loop.close()


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The message of a refusal that is no 400: `{"Message": ...}` and nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == JSON
    assert answer.headers["x-error-code"] == code
    body = answer.json()
    assert list(body) == ["Message"]
    assert body["Message"]
    return str(body["Message"])


def invalid(answer: httpx.Response, field: str) -> str:
    """The message of a 400: `{propertyName: message}` and nothing else."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == JSON
    body = answer.json()
    assert list(body) == [field], body
    assert body[field]
    return str(body[field])


def link(path: str, title: str | None = None, *, templated: bool = False) -> dict[str, Any]:
    """A Link as the contract has it."""
    return {
        "href": f"{URL}{path}",
        "title": title,
        "templated": templated,
        "filename_properties": [],
    }
