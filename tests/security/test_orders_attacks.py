"""Download orders against hostile publishers and customers, and against bad luck."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from entrepot.assembly import Hub
from entrepot.core import entitlements, orders
from entrepot.core.delivery import Package, lay_out
from entrepot.core.orders import tables
from entrepot.core.orders.naming import RESERVED, mend_folders, mend_name, number_duplicates
from entrepot.core.orders.packages import PackageEntry
from entrepot.kit.file_names import is_device_name
from entrepot.web.links._layouts import Layouts
from entrepot.worker.schedule import Schedule
from tests import factories
from tests.doors.orders_world import ORDERS, ORIGINAL, Shop, invalid, open_shop

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def laid_out(*paths: str) -> None:
    """The ZIP of these files beside an order's own papers; Invalid where none can be made."""
    names = [*RESERVED, *paths]
    lay_out([PackageEntry(name, 1, 1, "0" * 64) for name in names], modified=NOON)


def test_a_folder_named_like_a_paper_of_the_order_does_not_sink_the_zip() -> None:
    for folder in ("order.json", "Manifest.JSON", "REPORT.txt"):
        paths = number_duplicates([((folder,), "a.jpg"), ((folder, "order.json"), "b.jpg")])
        assert paths == [f"_{folder}/a.jpg", f"_{folder}/order.json/b.jpg"]
        laid_out(*paths)


def test_no_name_is_cut_down_to_a_device_of_windows() -> None:
    name = mend_name("CON" + " " * 250 + "x.jpg", "jpg")
    assert name == "_CON.jpg"
    assert not is_device_name(name)
    assert mend_folders("NUL" + " " * 250 + "x/a") == ("_NUL", "a")


def test_twenty_thousand_long_names_alike_but_for_their_ends_are_numbered_soon() -> None:
    names = [((), "x" * 188 + f"{number:08d}.jpg") for number in range(20_000)]
    begun = time.process_time()
    paths = number_duplicates([*names, *names])
    assert time.process_time() - begun < 20  # an hour where each counts by itself
    assert len({path.lower() for path in paths}) == 40_000
    assert max(len(path.encode()) for path in paths) <= 200


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


def test_a_watermark_that_may_not_be_had_any_more_is_delivered_no_longer(shop: Shop) -> None:
    picture = shop.add_asset(b"a picture")
    with shop.hub.database.write() as tx:
        other = factories.add_product(tx)
        lent = factories.grant(tx, shop.who.organisation_id, other)
    mark = shop.add_asset(b"a mark", product=other)
    steps = [{"type": "watermark", "value": {"asset": str(mark), "scale": 1, "opacity": 1}}]
    with shop.hub.database.write() as tx:
        request = orders.parse_order_request(
            {"order": {"individual": {str(picture): {"conversions": [steps]}}}}
        )
        placed = orders.place_order(tx, shop.who, request, rules=shop.hub.media, now=shop.hub.now())
    shop.convert(placed.order_id)
    path = f"{ORDERS}/{placed.order_id}"
    assert shop.get(path)["download_location"] is not None
    with shop.hub.database.write() as tx:
        entitlements.revoke(tx, lent, actor="operator", now=shop.time.pass_by(seconds=1))
    shop.time.pass_by(minutes=6)
    assert shop.get(path)["download_location"] is None


def test_json_nested_too_deep_to_be_kept_is_no_defect(shop: Shop) -> None:
    individual = b'"individual":{"%d":{"renditions":["downloadOriginal"]}}' % shop.add_asset(b"a")
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        for depth in (63, 500, *range(930, 1001, 2)):
            nested = opening * depth + b"1" + closing * depth
            body = b'{"order":{"more":%b,%b}}' % (nested, individual)
            invalid(shop.ask("POST", ORDERS, content=body), "request")


def test_an_order_of_too_many_different_conversions_is_refused_soon(shop: Shop) -> None:
    ids = [shop.add_asset(b"same") for _ in range(110)]
    individual = {
        str(number): {
            "conversions": [[{"type": "width", "value": 20 * at + n + 1}] for n in range(20)]
        }
        for at, number in enumerate(ids)
    }
    begun = time.process_time()
    answer = shop.ask("POST", ORDERS, json={"order": {"individual": individual}})
    assert time.process_time() - begun < 10
    assert "2000" in invalid(answer, "order.individual")


def test_an_order_that_cannot_be_completed_keeps_no_other_from_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = []
    for data in (b"one", b"two"):
        request = orders.parse_order_request(
            {"order": {"individual": {str(shop.add_asset(data)): ORIGINAL}}}
        )
        with shop.hub.database.write() as tx:
            placed.append(
                orders.place_order(
                    tx, shop.who, request, rules=shop.hub.media, now=shop.hub.now()
                ).order_id
            )
    with shop.hub.database.write() as tx:  # no plan: what is read of it does not fit
        tx.execute(update(tables.orders).where(tables.orders.c.id == placed[0]).values(plan={}))
    shop.time.pass_by(minutes=2)
    Schedule(shop.hub, eldest=lambda: True, pause=lambda _: None).complete_stranded()
    assert shop.get(f"{ORDERS}/{placed[1]}")["status"] == "Completed"


def test_few_zips_are_laid_out_at_once(shop: Shop) -> None:
    at_work, most = 0, 0

    async def run(_: object) -> object:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        at_work -= 1
        return lay_out([], modified=NOON)

    async def ask() -> None:
        edge = SimpleNamespace(run=run, hub=shop.hub)
        layouts = Layouts(edge, lambda _: None)  # type: ignore[arg-type]
        await asyncio.gather(*(layouts.hold(Package(f"{n:064x}", NOON)) for n in range(10)))

    shop.loop.run_until_complete(ask())
    assert most == 1
