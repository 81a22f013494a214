"""Where the time of a listing goes: its stages one by one, in this process, without a network.

CPU of this process, the best of many short batches: a busy machine only ever adds. What the web
process costs beyond these is receiving and sending (`baseline`), and going to a worker thread.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text

from bench._databases import postgresql_url
from bench._figures import Figure, Report
from bench._hub import open_hub
from bench._world import CUSTOMERS, ENTITLEMENTS_EACH, Customer, add_bulk, add_customer
from bench.listing import QUERY, ROOT, spellings
from entrepot.assembly import Hub
from entrepot.core.entitlements import EntitlementFilter, list_entitlements
from entrepot.kit.paging import Page
from entrepot.web.entitlement_api._wire import Writer
from entrepot.web.server import build_app

BATCHES, CALLS = 60, 25
SHAPE = (
    f"{CUSTOMERS * ENTITLEMENTS_EACH:,} entitlements, {ENTITLEMENTS_EACH} of them the caller's; a "
    f"page of 20 with the total, read anew; one thread, no network; the best of {BATCHES} batches "
    f"of {CALLS} calls. The request through the application contains the stages above it."
)


def measure() -> Report:
    """On SQLite, then on PostgreSQL."""
    with postgresql_url() as url:
        return Report(SHAPE, [*_measure("SQLite", None), *_measure("PostgreSQL", url)])


def _measure(database: str, url: str | None) -> list[Figure]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="entrepot-bench-"))
        hub = stack.enter_context(open_hub(Path(folder), url))
        customer = add_customer(hub)
        add_bulk(hub, customer)
        figures = [_figure(database, what, call) for what, call in _stages(hub, customer).items()]
        return [*figures, _figure(database, *_request(hub, customer, stack))]


def _stages(hub: Hub, customer: Customer) -> Mapping[str, Callable[[], object]]:
    writer, encode = Writer(hub.policy.public_url), msgspec.json.Encoder().encode
    wanted, page = EntitlementFilter(), Page(1, 20)
    one = text("SELECT 1")

    def nothing() -> None:
        with hub.database.glance():
            pass

    def statement() -> None:
        with hub.database.glance() as tx:
            tx.connection.driver_connection.execute(str(one)).fetchall()  # type: ignore[union-attr]

    def verb() -> Any:
        with hub.database.glance() as tx:
            return list_entitlements(tx, customer.who, wanted, page, now=hub.now())

    found = verb()
    return {
        "a transaction with nothing in it": nothing,
        "... with a statement of one cell": statement,
        "... with the page's statements, as objects": verb,
        "the page as JSON": lambda: encode(writer.entitlement_page(*found)),
    }


def _request(hub: Hub, customer: Customer, stack: ExitStack) -> tuple[str, Callable[[], object]]:
    """A request through the whole application, on a loop of its own."""
    app = build_app(hub)
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    stack.callback(app._edge.close)
    host = hub.policy.public_url.partition("://")[2]
    headers = [
        (b"host", host.encode()),
        (b"authorization", customer.headers["Authorization"].encode()),
    ]
    ways = spellings(QUERY)

    async def ask() -> None:
        sent: list[MutableMapping[str, Any]] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": ROOT,
            "raw_path": ROOT.encode(),
            "root_path": "",
            "query_string": next(ways).encode(),
            "headers": headers,
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 8080),
        }

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        asked: Awaitable[None] = app(scope, receive, send)  # type: ignore[arg-type]
        await asked
        if sent[0]["status"] != 200:
            raise RuntimeError(f"the answer was {sent[0]['status']}")

    return "the request through the application", lambda: loop.run_until_complete(ask())


def _figure(database: str, what: str, call: Callable[[], object]) -> Figure:
    for _ in range(CALLS):
        call()
    costs = []
    for _ in range(BATCHES):
        before = time.process_time()
        for _ in range(CALLS):
            call()
        costs.append(1e6 * (time.process_time() - before) / CALLS)
    return Figure(f"{database}: {what}", min(costs), "us CPU")
