"""The same done twice at the same moment: once, and no error of ours."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select

from entrepot.core import catalogue
from entrepot.core.catalogue.bundles import Sha256, Uuid
from entrepot.core.catalogue.tables import releases
from entrepot.core.entitlements import accept_licence
from entrepot.core.entitlements.tables import client_acceptances
from entrepot.core.events.tables import events
from entrepot.db import Database
from tests import factories
from tests.core.bundling_world import Made, licence, open_store, take_in
from tests.factories import NOW, OPERATOR


def _at_once(do: Callable[[], object], times: int = 4) -> list[BaseException]:
    """What was raised by so many threads that do it at the same moment."""
    raised: list[BaseException] = []
    ready = threading.Barrier(times)

    def run() -> None:
        ready.wait()
        try:
            do()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_one_bundle_is_imported_by_several_at_once(database: Database, tmp_path: Path) -> None:
    store = open_store(tmp_path / "blobs")
    for number in range(3):
        data = Made(code=f"AIR{number}", licence=licence()).bytes()
        assert _at_once(partial(take_in, database, store, data)) == []
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(releases)).scalar_one() == 3


def test_jobs_of_one_client_accept_a_licence_at_once(database: Database) -> None:
    codes = ("A", "B", "C")
    with database.write() as tx:
        organisation = factories.add_organisation(tx)
        who, _ = factories.add_client(tx, organisation)
        for code in codes:
            catalogue.add_licence(tx, code=code, name="T", text="text", actor=OPERATOR, now=NOW)
            factories.grant(tx, organisation, factories.add_product(tx, licence_code=code))

    def accept(code: str) -> None:
        with database.write() as tx:
            accept_licence(tx, who, code=code, revision=1, by_token=True, now=NOW)

    for code in codes:
        assert _at_once(partial(accept, code)) == []
    with database.read() as tx:
        count = tx.execute(select(func.count()).select_from(client_acceptances)).scalar_one()
        told = select(func.count()).where(events.c.type == "licence.accepted")
        assert (count, tx.execute(told).scalar_one()) == (3, 3)


def test_an_id_has_no_line_break_behind_it() -> None:
    name = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    assert msgspec.convert(name, Uuid) == name
    for told, kind in ((name, Uuid), ("a" * 64, Sha256)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(f"{told}\n", kind)
