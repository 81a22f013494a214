"""Listing: server CPU of a page of 20 entitlements with the total."""

from collections.abc import Iterator

import msgspec

from bench._cpu import median
from bench._databases import postgresql_url
from bench._figures import Figure, Report
from bench._hub import running_hub
from bench._load import fetch, get
from bench._requests import ROUNDS, cpu_per_request
from bench._world import CUSTOMERS, ENTITLEMENTS_EACH, Customer, add_bulk, add_customer
from entrepot.assembly import Hub

REQUESTS = 3000
ROOT = "/e-product-entitlement-customer/v1/entitlements"
QUERY = "offset=1&limit=20"
SHAPE = (
    f"{CUSTOMERS * ENTITLEMENTS_EACH:,} entitlements of {CUSTOMERS} organisations, "
    f"{ENTITLEMENTS_EACH} of them the caller's (seven of ten active, two lapsed, one expired); "
    f"`GET .../entitlements?{QUERY}`, token cached, 8 keep-alive connections, "
    f"{REQUESTS} requests a sample. *Read anew*: each request spells the query in a way not used "
    "before (`%6c` for `l`), so that no kept answer serves it; *asked again*: the same request, "
    "which on SQLite is answered from memory for a second while nothing is committed. CPU of the "
    "web process only, not of PostgreSQL."
)


def measure() -> Report:
    """On SQLite, then on PostgreSQL."""
    with postgresql_url() as url:
        return Report(SHAPE, [*_measure("SQLite", None, 250), *_measure("PostgreSQL", url, 450)])


def _seed(hub: Hub) -> Customer:
    customer = add_customer(hub)
    add_bulk(hub, customer)
    return customer


def _measure(database: str, url: str | None, most: int) -> list[Figure]:
    with running_hub(_seed, database_url=url) as hub:
        headers = hub.seeded.headers
        again = get(f"{ROOT}?{QUERY}", headers=headers)
        body = fetch(hub.port, again)
        page = msgspec.json.decode(body)
        if page["totalNumberOfItems"] != ENTITLEMENTS_EACH or len(page["items"]) != 20:
            raise RuntimeError(f"not the page expected: {body[:1000]!r}")
        cpu_per_request(hub.pid, hub.port, [again] * (REQUESTS // 3))
        ways = spellings(QUERY)
        samples: dict[str, list[float]] = {"read anew": [], "asked again": []}
        for _ in range(ROUNDS):
            anew = [get(f"{ROOT}?{next(ways)}", headers=headers) for _ in range(REQUESTS)]
            for way, requests in (("read anew", anew), ("asked again", [again] * REQUESTS)):
                spent = cpu_per_request(hub.pid, hub.port, requests, bytes_each=len(body))
                samples[way].append(1e6 * spent)
    what = f"page of 20 with total, {len(body) / 1000:.1f} KB, {database}"
    return [
        Figure(f"{what}, {way}", median(found), "us CPU a request", tuple(found), f"<= {most}")
        for way, found in samples.items()
    ]


def spellings(query: str) -> Iterator[str]:
    """The query with ever other letters percent-encoded: 8,192 and more spellings."""
    places = [place for place, character in enumerate(query) if character.isalnum()]
    for number in range(1, 1 << len(places)):
        chosen = {place for bit, place in enumerate(places) if number >> bit & 1}
        yield "".join(
            f"%{ord(character):02x}" if place in chosen else character
            for place, character in enumerate(query)
        )
