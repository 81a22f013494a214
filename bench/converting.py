"""Converting: thumbnails a second of a whole order, from POST to Completed, and a second order."""

import secrets
import tempfile
import time
from io import BytesIO
from pathlib import Path

from bench._figures import Figure, Report
from bench._hub import running_hub
from bench._orders import OrdersClient
from bench._world import ACTOR, Customer, add_customer, select_assets
from bench.thumbnails import make_pictures
from entrepot.assembly import Hub
from entrepot.core import catalogue

PICTURES = 60
SECONDS_MAX = 300.0
ORDER = {"global": {"M.AssetMedia.Images": {"renditions": ["preview"]}}}
SHAPE = (
    f"{PICTURES} JPEGs of 12 to 24 megapixels, all different, as previews of 1024 px; SQLite; the "
    "web process on the first core, the worker on both. Wall time from POST to Completed, polled "
    "every 50 ms, the start of the sandboxed converters included; the same order once more; and "
    "with two conversions at once instead of one, on a hub that has converted nothing yet."
)


def measure() -> Report:
    """With one conversion at a time, then with two."""
    return Report(SHAPE, [figure for slots in (1, 2) for figure in _measure(slots)])


def _measure(slots: int) -> list[Figure]:
    with running_hub(_seed) as hub, hub.worker(slots):
        client = OrdersClient(hub.port, hub.seeded)
        first = _order(client)
        again = _order(client)
        _require_done_at_once(client)
    rate = PICTURES / first
    what = f"previews, {slots} at a time"
    return [
        Figure(what, rate, "conversions a second", (rate,), "", f"{first:.1f} s for the order"),
        Figure(f"{what}: the same order again", 1e3 * again, "ms", (1e3 * again,), ""),
    ]


def _seed(hub: Hub) -> Customer:
    customer = add_customer(hub)
    with tempfile.TemporaryDirectory() as folder:
        batch = []
        for number, path in enumerate(make_pictures(Path(folder), PICTURES)):
            # What follows the end of a JPEG is no part of the picture, but of the file.
            data = path.read_bytes() + secrets.token_bytes(16)
            spec = catalogue.AssetSpec(file_name=f"{number}.jpg", visibility=catalogue.PUBLIC)
            batch.append(
                (spec, catalogue.StoredFile(hub.blobs.ingest(BytesIO(data)), "image/jpeg"))
            )
    with hub.database.write() as tx:
        numbers = catalogue.add_assets(tx, batch, actor=ACTOR, now=hub.now())
    select_assets(hub, customer, numbers, "pictures")
    return customer


def _order(client: OrdersClient) -> float:
    begun = time.monotonic()
    order = client.place("pictures", ORDER)
    while order["status"] in ("Pending", "InProgress"):
        if time.monotonic() - begun > SECONDS_MAX:
            raise RuntimeError(f"not completed: {order}")
        time.sleep(0.05)
        order = client.get(f"/api/downloadorders/{order['order_id']}")
    spent = time.monotonic() - begun
    if order["status"] != "Completed":
        raise RuntimeError(f"not completed: {order}")
    return spent


def _require_done_at_once(client: OrdersClient) -> None:
    """A further identical order has nothing to convert: it is done when it is answered."""
    order = client.place("pictures", ORDER)
    if order["status"] != "Completed" or order["progress"]["files_completed"] != PICTURES:
        raise RuntimeError(f"something was converted again: {order}")
