"""Files that products show: their sequence under concurrency, their bytes, their events."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.blobs import LocalBlobStore
from entrepot.core import catalogue
from entrepot.core.catalogue import (
    DownloadFile,
    DownloadFilter,
    Place,
    Placement,
    ShownDownload,
    StoredFile,
    add_product_download,
    change_product_download,
    find_product_download,
    list_product_downloads,
    product_downloads,
    remove_product_download,
    sweep_bytes,
)
from entrepot.core.entitlements import list_permitted_downloads
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, EntrepotError, Invalid, NotFound
from entrepot.kit.paging import Page
from tests import factories
from tests.core.test_sweep import grow_old
from tests.factories import DAY, NOW, OPERATOR

ALL = DownloadFilter()
Placed = list[tuple[int, int]]


def placed(tx: Tx, product_id: int) -> Placed:
    rows, total = list_product_downloads(tx, product_id, ALL, Page(1, 500))
    assert total >= len(rows)
    return [(row.sequence, row.id) for row in rows]


def product(tx: Tx) -> int:
    number: int = catalogue.find_product(tx, factories.add_product(tx)).id
    return number


def file(data: bytes = b"x", name: str = "a.txt", **more: Any) -> DownloadFile:
    return DownloadFile(StoredFile(factories.digests_of(data), "text/plain"), name, **more)


def test_who_added_and_changed_it_and_when(tx: Tx) -> None:
    organisation = factories.add_organisation(tx)
    ada = factories.add_user(tx, organisation)
    home = product(tx)
    number = add_product_download(
        tx,
        home,
        {"title": " Read me ", "description": ""},
        file(directory="/a/b/", source_url="https://example.com/a.txt"),
        actor=ada.label,
        user_id=ada.id,
        now=NOW,
    )
    row = find_product_download(tx, number)
    assert (row.title, row.description, row.visibility) == ("Read me", None, "public")
    assert (row.directory, row.source_url, row.size) == ("a/b", "https://example.com/a.txt", 1)
    assert (row.created_by, row.changed_by, row.created_at, row.changed_at) == (
        ada.id,
        ada.id,
        NOW,
        NOW,
    )
    later = NOW + DAY
    change_product_download(tx, home, number, {"visibility": "contact"}, actor="x", now=later)
    row = find_product_download(tx, number, product_id=home)
    assert (row.title, row.visibility, row.file_name) == ("Read me", "contact", "a.txt")
    assert (row.created_by, row.changed_by, row.changed_at) == (ada.id, None, later)
    remove_product_download(tx, home, number, actor="x", now=later)
    with pytest.raises(NotFound):
        find_product_download(tx, number)
    query = select(events).where(events.c.subject == f"product-download:{number}")
    found = list(tx.execute(query.order_by(events.c.id)))
    assert [row.type for row in found] == [
        "product-download.added",
        "product-download.changed",
        "product-download.removed",
    ]
    assert all(row.data["product"] == home for row in found)
    assert found[1].data["changed"] == ["visibility"]


def test_a_download_is_found_under_its_own_product_only(tx: Tx) -> None:
    home, other = product(tx), product(tx)
    number = add_product_download(tx, home, {}, file(), actor="x", now=NOW)
    for refused in (
        lambda: find_product_download(tx, number, product_id=other),
        lambda: change_product_download(tx, other, number, {}, actor="x", now=NOW),
        lambda: remove_product_download(tx, other, number, actor="x", now=NOW),
        lambda: find_product_download(tx, 2**63 - 1),
    ):
        with pytest.raises(NotFound):
            refused()
    beside = Placement("after", number)
    with pytest.raises(Invalid) as caught:
        add_product_download(tx, other, {}, file(), place=beside, actor="x", now=NOW)
    assert caught.value.code == "placement-invalid"
    with pytest.raises(Invalid, match="no other download"):
        change_product_download(tx, home, number, {}, place=beside, actor="x", now=NOW)


def test_a_product_takes_so_many_and_no_more(tx: Tx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_downloads, "PRODUCT_DOWNLOADS_MAX", 2)
    home = product(tx)
    for _ in range(2):
        add_product_download(tx, home, {}, file(), actor="x", now=NOW)
    with pytest.raises(Conflict) as caught:
        add_product_download(tx, home, {}, file(), actor="x", now=NOW)
    assert caught.value.code == "downloads-full"


def test_the_sequence_has_no_gaps_whoever_changes_it_at_once(database: Database) -> None:
    """Eight at a time add, move and remove downloads of two products."""
    with database.write() as tx:
        homes = [product(tx), product(tx)]
        for home in homes * 3:
            add_product_download(tx, home, {}, file(), actor="x", now=NOW)

    def work(seed: int) -> int:
        rng = random.Random(seed)
        done = 0
        for _ in range(6):
            home = rng.choice(homes)
            with database.read() as tx:
                numbers = [number for _, number in placed(tx, home)]
            chosen = rng.choice(numbers)
            beside = Placement("before", chosen)
            places: list[Place] = [1, 2, 99, Placement("first"), Placement("last"), beside]
            place = rng.choice(places)
            act = rng.choice(["add", "add", "move", "move", "remove"])
            try:
                with database.write() as tx:
                    if act == "add":
                        add_product_download(tx, home, {}, file(), place=place, actor="x", now=NOW)
                    elif act == "move":
                        other = rng.choice(numbers)
                        change_product_download(
                            tx, home, other, {}, place=place, actor="x", now=NOW
                        )
                    else:
                        remove_product_download(tx, home, chosen, actor="x", now=NOW)
                done += 1
            except EntrepotError as error:  # somebody else removed it meanwhile
                assert error.code in ("not-found", "placement-invalid")
        return done

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(work, range(8))) > 20
    with database.read() as tx:
        for home in homes:
            found = placed(tx, home)
            assert [sequence for sequence, _ in found] == list(range(1, len(found) + 1))
            assert len({number for _, number in found}) == len(found)


def test_sweeping_leaves_what_a_product_shows(database: Database, tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path / "blobs", reserve_bytes=1)
    store.prepare()
    with database.write() as tx:
        code = factories.add_product(tx)
        home = catalogue.find_product(tx, code).id
        kept = factories.add_product_download(tx, code, data=b"kept", store=store)
        gone = factories.add_product_download(tx, code, data=b"gone", store=store)
    with database.write() as tx:
        remove_product_download(tx, home, gone, actor=OPERATOR, now=NOW)
        digest = find_product_download(tx, kept).sha256
    grow_old(store, tmp_path)
    swept = sweep_bytes(database, store, now=lambda: NOW + timedelta(days=10))
    assert (swept.files, swept.bytes) == (1, 4)
    assert list(store.listing()) == [digest]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pages_follow_the_sequence(tx: Tx, size: int) -> None:
    home, other = product(tx), product(tx)
    first = [add_product_download(tx, home, {}, file(), actor="x", now=NOW) for _ in range(7)]
    add_product_download(tx, other, {}, file(), actor="x", now=NOW)
    change_product_download(tx, home, first[-1], {}, place=1, actor="x", now=NOW)
    expected = [first[-1], *first[:-1]]
    found: list[int] = []
    for page in range(1, 9):
        rows, total = list_product_downloads(tx, home, ALL, Page(page, size))
        assert total == 7
        found += [row.id for row in rows]
    assert found == expected


def test_a_page_kept_in_memory_tells_every_change_at_once(tx: Tx) -> None:
    home = product(tx)
    who = factories.add_user(tx, factories.add_organisation(tx), roles=["publisher"])

    def ask(number: int, size: int) -> tuple[list[ShownDownload], int]:
        page = Page(number, size)
        found = list_permitted_downloads(tx, who, str(home), ALL, page)
        rows, total = list_product_downloads(tx, home, ALL, page)
        assert (list(found[0]), found[1]) == (rows, total)
        return rows, total

    numbers = [
        add_product_download(tx, home, {}, file(name=f"{n}.txt"), actor="x", now=NOW)
        for n in range(4)
    ]

    def shown() -> list[tuple[int, int, str | None, str]]:
        rows, total = ask(1, 500)
        again, _ = ask(1, 500)
        assert total == len(rows)
        assert all(one is two for one, two in zip(rows, again, strict=True))  # found, not made
        return [(row.sequence, row.id, row.title, row.file_name) for row in rows]

    a, b, c, d = numbers
    assert [row[:2] for row in shown()] == [(1, a), (2, b), (3, c), (4, d)]
    # Within the same millisecond each time: no clock tells that something is another.
    change_product_download(tx, home, b, {"title": "B"}, actor="x", now=NOW)
    assert shown()[1][2] == "B"
    change_product_download(tx, home, b, {"title": "Bee"}, actor="x", now=NOW)
    assert shown()[1][2] == "Bee"
    change_product_download(tx, home, d, {}, place=1, actor="x", now=NOW)
    assert [row[:2] for row in shown()] == [(1, d), (2, a), (3, b), (4, c)]
    remove_product_download(tx, home, a, actor="x", now=NOW)
    assert [row[:2] for row in shown()] == [(1, d), (2, b), (3, c)]
    rows, total = ask(2, 2)
    assert ([row.id for row in rows], total) == ([c], 3)
    assert ask(9, 2) == ([], 3)
