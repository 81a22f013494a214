"""Where the time of a request goes: its stages one by one, in this process, without a network.

Of a listing, of a page of product downloads, and of tokens.

CPU of this process, the best of many short batches: a busy machine only ever adds. What the web
process costs beyond these is receiving and sending (`baseline`), and going to a worker thread.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text

from bench import products, tokens
from bench._authlib import basic
from bench._databases import postgresql_url
from bench._figures import Figure, Report
from bench._hub import open_hub
from bench._world import CUSTOMERS, ENTITLEMENTS_EACH, Customer, add_bulk, add_customer
from bench.listing import QUERY, ROOT, spellings
from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import _jose as jose
from entrepot.core.catalogue import DownloadFilter, list_product_downloads
from entrepot.core.entitlements import (
    EntitlementFilter,
    list_entitlements,
    list_permitted_downloads,
)
from entrepot.kit.paging import Page
from entrepot.web.entitlement_api._wire import Writer
from entrepot.web.oauth._endpoints import introspect
from entrepot.web.oauth._server import Asked, answer_token_request
from entrepot.web.products_api._wire import Writer as PageWriter
from entrepot.web.server import build_app

BATCHES, CALLS = 60, 25
SHAPE = (
    f"Listing: {CUSTOMERS * ENTITLEMENTS_EACH:,} entitlements, {ENTITLEMENTS_EACH} of them the "
    "caller's; a page of 20 with the total, read anew. Product downloads: as in the section of "
    "that name, pages 1 to 10 in turn; *in memory*: each row was shown before and is unchanged. "
    f"Tokens: SQLite. One thread, no network; the best of {BATCHES} batches of {CALLS} calls. The "
    "request through the application contains the stages above it."
)


def measure() -> Report:
    """On SQLite, then on PostgreSQL."""
    with postgresql_url() as url:
        figures = [*_measure("SQLite", None), *_measure("PostgreSQL", url)]
    with postgresql_url() as url:
        figures += [*_measure_page("SQLite", None), *_measure_page("PostgreSQL", url)]
    return Report(SHAPE, [*figures, *_measure_tokens()])


def _measure(database: str, url: str | None) -> list[Figure]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="entrepot-bench-"))
        hub = stack.enter_context(open_hub(Path(folder), url))
        customer = add_customer(hub)
        add_bulk(hub, customer)
        figures = [_figure(database, what, call) for what, call in _stages(hub, customer).items()]
        headers = customer.headers["Authorization"]
        return [
            *figures,
            _figure(
                database, *_request("the request", hub, ROOT, spellings(QUERY), headers, stack)
            ),
        ]


def _measure_page(database: str, url: str | None) -> list[Figure]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="entrepot-bench-"))
        hub = stack.enter_context(open_hub(Path(folder), url))
        shelf = products.seed(hub)
        who, every, pages = shelf.customer.who, DownloadFilter(), cycle(range(1, 11))

        def verb() -> Any:
            page = Page(next(pages), products.PAGE_SIZE)
            with hub.database.glance() as tx:
                return list_permitted_downloads(tx, who, shelf.code, every, page)

        def rows() -> Any:
            page = Page(next(pages), products.PAGE_SIZE)
            with hub.database.glance() as tx:
                return list_product_downloads(tx, shelf.product_id, every, page)

        writer, encode = PageWriter(hub.policy.public_url), msgspec.json.Encoder().encode
        shown, _ = rows()
        stages: dict[str, Callable[[], object]] = {
            "page of 100 downloads: its rows read and found in memory": rows,
            "... by their names alone, with the product and the decision": verb,
            "page of 100 downloads as JSON": lambda: encode(writer.page(shown)),
        }
        for _ in range(10):
            rows()
        found = [_figure(database, what, call) for what, call in stages.items()]
        path = f"/api/v2/products/{shelf.code}/downloads.json"
        queries = (f"limit={products.PAGE_SIZE}&page={page}" for page in pages)
        headers = shelf.customer.headers["Authorization"]
        return [
            *found,
            _figure(
                database, *_request("page of 100 downloads", hub, path, queries, headers, stack)
            ),
        ]


def _measure_tokens() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="entrepot-bench-") as folder,
        open_hub(Path(folder)) as hub,
    ):
        client_id, secret = tokens.seed(hub)
        form = {"grant_type": "client_credentials", "scope": "entitlements"}
        asking = Asked(form, basic(client_id, secret), "127.0.0.1", hub.now())
        keyring, issuer = hub.keys.current, hub.policy.public_url

        def issue() -> Any:
            with hub.database.write() as tx:
                return answer_token_request(tx, hub, asking)

        token = str(issue().body["access_token"])
        telling = Asked({"token": token}, basic(client_id, secret), "127.0.0.1", hub.now())
        key = keyring.signing_token_key(hub.now())
        claims = {"iss": issuer, "sub": client_id, "scope": "entitlements"}

        def tell() -> Any:
            with hub.database.glance() as tx:
                return introspect(tx, hub, telling, reading=True)

        stages: dict[str, Callable[[], object]] = {
            "token issued: the signature, RSA of 2048 bits": lambda: jose.sign(
                key.kid, "at+jwt", claims, key.key
            ),
            "... with the client's secret, the grant and the record, committed alone": issue,
            "token introspected: its signature and claims": lambda: accounts.verify_token(
                keyring, token, issuer=issuer, now=hub.now()
            ),
            "... with the client's secret, and what was revoked or disabled": tell,
        }
        return [_figure("SQLite", what, call) for what, call in stages.items()]


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


def _request(
    what: str,
    hub: Hub,
    path: str,
    queries: Iterator[str],
    authorization: str,
    stack: ExitStack,
) -> tuple[str, Callable[[], object]]:
    """A request through the whole application, on a loop of its own."""
    app = build_app(hub)
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    stack.callback(app._edge.close)
    host = hub.policy.public_url.partition("://")[2]
    headers = [
        (b"host", host.encode()),
        (b"authorization", authorization.encode()),
    ]

    async def ask() -> None:
        sent: list[MutableMapping[str, Any]] = []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": next(queries).encode(),
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

    return f"{what} through the application", lambda: loop.run_until_complete(ask())


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
