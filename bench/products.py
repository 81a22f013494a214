"""Product downloads: server CPU of a page of 100 of a product's 1,000, with the total."""

from dataclasses import dataclass

import msgspec
from sqlalchemy import insert

from bench._cpu import median
from bench._databases import postgresql_url
from bench._figures import Figure, Report
from bench._hub import running_hub
from bench._load import fetch, get
from bench._requests import ROUNDS, cpu_per_request
from bench._world import ACTOR, Customer, add_customer
from entrepot.assembly import Hub
from entrepot.blobs import Digests
from entrepot.core import catalogue
from entrepot.core.catalogue.tables import product_downloads

PRODUCTS = 100
DOWNLOADS_EACH = 1_000
PAGE_SIZE = 100
REQUESTS = 1_000
SHAPE = (
    f"{PRODUCTS * DOWNLOADS_EACH:,} downloads of {PRODUCTS} products, {DOWNLOADS_EACH:,} of them "
    "the product's that is asked for, all over the table; `GET .../downloads.json?limit="
    f"{PAGE_SIZE}&page=N` with N from 1 to 10 in turn (no answer is kept), token "
    f"cached, 8 keep-alive connections, {REQUESTS} requests a sample. CPU of the web process only, "
    "not of PostgreSQL."
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The caller, and the product that shows so much."""

    customer: Customer
    code: str
    product_id: int


def measure() -> Report:
    """On SQLite, then on PostgreSQL."""
    with postgresql_url() as url:
        return Report(SHAPE, [_measure("SQLite", None), _measure("PostgreSQL", url)])


def seed(hub: Hub) -> Shelf:
    """Every product's downloads; their rows by SQLAlchemy Core, for there are many."""
    customer, now = add_customer(hub), hub.now()
    digests = Digests("0" * 64, "0" * 32, 0, 1)
    with hub.database.write() as tx:
        codes = [f"PR{number:03d}" for number in range(PRODUCTS)]
        numbers = [
            catalogue.add_product(tx, catalogue.ProductSpec(code, code), actor=ACTOR, now=now)
            for code in codes
        ]
        file = catalogue.DownloadFile(catalogue.StoredFile(digests, "text/plain"), "a.txt")
        number = catalogue.add_product_download(tx, codes[0], {}, file, actor=ACTOR, now=now)
        catalogue.remove_product_download(tx, numbers[0], number, actor=ACTOR, now=now)
    # Interleaved, as a shop adds them: a product's rows lie all over the table.
    for at in range(DOWNLOADS_EACH):
        rows = [
            {
                "product_id": product_id,
                "sequence": at + 1,
                "title": f"Data sheet {at}, revision B",
                "description": "What it does, and how it is connected.",
                "visibility": catalogue.DOWNLOAD_VISIBILITIES[at % 3],
                "file_name": f"data-sheet-{at}.pdf",
                "directory": "",
                "content_type": "application/pdf",
                "sha256": digests.sha256,
                "created_at": now,
                "changed_at": now,
            }
            for product_id in numbers
        ]
        with hub.database.write() as tx:
            tx.execute(insert(product_downloads), rows)
    return Shelf(customer, codes[0], numbers[0])


def _measure(database: str, url: str | None) -> Figure:
    with running_hub(seed, database_url=url) as hub:
        shelf = hub.seeded
        path = f"/api/v2/products/{shelf.code}/downloads.json"
        headers = shelf.customer.headers
        asked = [f"{path}?limit={PAGE_SIZE}&page={page + 1}" for page in range(10)]
        bodies = [fetch(hub.port, get(each, headers=headers)) for each in asked]
        for body in bodies:
            page = msgspec.json.decode(body)
            if page["pagination"]["total"] != DOWNLOADS_EACH or len(page["data"]) != PAGE_SIZE:
                raise RuntimeError(f"not the page expected: {body[:1000]!r}")
        samples = []
        for _ in range(ROUNDS + 1):
            requests = [get(each, headers=headers) for each in asked] * (REQUESTS // 10)
            samples.append(1e6 * cpu_per_request(hub.pid, hub.port, requests))
    samples = samples[1:]  # the first warms up
    size = len(bodies[0]) / 1000
    what = f"page of {PAGE_SIZE} of {DOWNLOADS_EACH:,} with total, {size:.1f} KB, {database}"
    return Figure(what, median(samples), "us CPU a request", tuple(samples), "<= 600")
