"""Publishing in one go, with real bytes, on both databases."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from sqlalchemy import func, select
from sqlalchemy.event import listen

from entrepot.blobs import Digests, LocalBlobStore
from entrepot.core import catalogue
from entrepot.core.catalogue import ArtifactSpec, ReleaseSpec, Source
from entrepot.core.catalogue.tables import blobs, releases
from entrepot.core.events.tables import events
from entrepot.db import Database
from entrepot.errors import Conflict, EntrepotError, Invalid, NotFound, Unavailable
from tests import factories
from tests.factories import NOW, OPERATOR


@pytest.fixture
def store(tmp_path: Path) -> LocalBlobStore:
    """An empty store on this disk."""
    store = LocalBlobStore(tmp_path / "blobs", reserve_bytes=1)
    store.prepare()
    return store


@pytest.fixture
def product(database: Database) -> str:
    """A product of its own."""
    with database.write() as tx:
        return factories.add_product(tx)


def source(file_name: str, data: bytes = b"bytes", **values: Any) -> Source:
    return Source(ArtifactSpec(file_name=file_name, **values), lambda: io.BytesIO(data))


def never() -> BinaryIO:
    raise AssertionError("a byte was read before everything was checked")


def publish(
    database: Database, store: LocalBlobStore, product: str, *sources: Source, name: str = "1.0"
) -> str:
    return catalogue.publish(
        database,
        store,
        product=product,
        release=ReleaseSpec(name=name),
        sources=sources,
        actor=OPERATOR,
        now=lambda: NOW,
    )


def parts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "blobs" / "incoming").iterdir())


def test_a_release_appears_whole(database: Database, store: LocalBlobStore, product: str) -> None:
    release_id = publish(database, store, product, source("a.bin", b"one"), source("b.bin", b"two"))
    with database.read() as tx:
        assert catalogue.find_release(tx, release_id).state == catalogue.AVAILABLE
        rows = catalogue.list_artifacts(tx, release_id)
    assert [(row.file_name, row.size) for row in rows] == [("a.bin", 3), ("b.bin", 3)]
    for row, data in zip(rows, (b"one", b"two"), strict=True):
        with store.open(row.sha256) as stream:
            assert stream.read() == data
        expected = factories.digests_of(data)
        assert (row.sha256, row.md5, row.crc32) == (expected.sha256, expected.md5, expected.crc32)


def test_many_files_ask_the_database_no_more_than_few(
    database: Database, store: LocalBlobStore, product: str
) -> None:
    """Others wait for the transaction that shows a release: a second, once, for 1,000 files."""
    asked: list[str] = []
    listen(database.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    counts = []
    for many in (2, 40):
        asked.clear()
        files = [source(f"{many}-{one}.bin", f"{many} {one}".encode()) for one in range(many)]
        release_id = publish(database, store, product, *files, name=str(many))
        counts.append(len(asked))
        with database.read() as tx:
            rows = catalogue.list_artifacts(tx, release_id)
        assert [row.file_name for row in rows] == [file.spec.file_name for file in files]
        assert [row.position for row in rows] == list(range(1, many + 1))
    assert counts[0] == counts[1]


def test_the_same_bytes_are_stored_once(
    database: Database, store: LocalBlobStore, product: str
) -> None:
    publish(database, store, product, source("a.bin"), source("b.bin"))
    publish(database, store, product, source("a.bin"), name="1.1")
    assert len(list(store.listing())) == 1
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(blobs)).scalar_one() == 1


@pytest.mark.parametrize(
    ("release", "specs", "field"),
    [
        (ReleaseSpec(name="1.0"), [], "files"),
        (ReleaseSpec(name="1.0", quality="?"), ["a.bin"], "quality"),
        (ReleaseSpec(name=""), ["a.bin"], "name"),
        (ReleaseSpec(name="1.0"), ["a.bin", "a.bin"], "file_name"),
        (ReleaseSpec(name="1.0"), ["a.bin", "../b.bin"], "file_name"),
        (ReleaseSpec(name="1.0"), [f"{n}.bin" for n in range(1001)], "files"),
    ],
)
def test_everything_is_checked_before_the_first_byte(
    database: Database,
    store: LocalBlobStore,
    product: str,
    release: ReleaseSpec,
    specs: list[str],
    field: str,
) -> None:
    with pytest.raises(Invalid) as caught:
        catalogue.publish(
            database,
            store,
            product=product,
            release=release,
            sources=[Source(ArtifactSpec(file_name=name), never) for name in specs],
            actor=OPERATOR,
            now=lambda: NOW,
        )
    assert caught.value.field == field


def test_names_taken_groups_and_strangers_are_refused_before_the_first_byte(
    database: Database, store: LocalBlobStore, product: str
) -> None:
    publish(database, store, product, source("a.bin"))
    with database.write() as tx:
        group = factories.add_product(tx, members=[product])
    unread = Source(ArtifactSpec(file_name="a.bin"), never)
    with pytest.raises(Conflict) as caught:
        publish(database, store, product, unread, name=" 1.0 ")
    assert caught.value.code == "name-taken"
    with pytest.raises(Invalid):
        publish(database, store, group, unread)
    with pytest.raises(NotFound):
        publish(database, store, "NOBODY", unread)


class Cut(io.BytesIO):
    """A stream that breaks after its bytes."""

    def readinto(self, buffer: object) -> int:
        count = super().readinto(buffer)  # type: ignore[arg-type]
        if not count:
            raise OSError("the disk went away")
        return count


def test_a_failure_leaves_neither_rows_nor_bytes(
    database: Database, store: LocalBlobStore, product: str, tmp_path: Path
) -> None:
    broken = Source(ArtifactSpec(file_name="b.bin"), lambda: Cut(b"half"))
    with pytest.raises(OSError, match="went away"):
        publish(database, store, product, source("a.bin", b"whole"), broken)
    assert list(store.listing()) == []
    assert parts(tmp_path) == []
    with database.read() as tx:
        for table in (releases, blobs):
            assert tx.execute(select(func.count()).select_from(table)).scalar_one() == 0
    publish(database, store, product, source("a.bin", b"whole"), source("b.bin", b"half"))
    assert len(list(store.listing())) == 2


def test_a_failure_keeps_bytes_that_another_release_has(
    database: Database, store: LocalBlobStore, product: str
) -> None:
    publish(database, store, product, source("a.bin", b"shared"))
    broken = Source(ArtifactSpec(file_name="b.bin"), lambda: Cut(b"half"))
    with pytest.raises(OSError, match="went away"):
        publish(database, store, product, source("a.bin", b"shared"), broken, name="1.1")
    assert list(store.listing()) == [factories.digests_of(b"shared").sha256]


def test_bytes_dropped_under_a_publisher_are_noticed(
    database: Database, store: LocalBlobStore, product: str
) -> None:
    class Losing(LocalBlobStore):
        """Somebody else's failure takes the bytes away right after they came."""

        def ingest(self, source: BinaryIO, *, size_max: int | None = None) -> Digests:
            digests = super().ingest(source, size_max=size_max)
            catalogue.drop_unused_bytes(database, self, [digests.sha256])
            return digests

    losing = Losing(store._root, reserve_bytes=1)
    with pytest.raises(Unavailable, match="removed while"):
        publish(database, losing, product, source("a.bin"))
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(releases)).scalar_one() == 0


def test_unused_bytes_are_dropped_with_their_row(
    database: Database, store: LocalBlobStore, product: str
) -> None:
    with database.write() as tx:
        kept = factories.add_release(tx, product, files=[("a.bin", b"kept")], store=store)
        gone = factories.add_release(
            tx, product, files=[("a.bin", b"gone"), ("b.bin", b"kept")], store=store, draft=True
        )
    with database.write() as tx:
        identities = catalogue.discard_release(tx, gone.id, actor=OPERATOR, now=NOW)
    catalogue.drop_unused_bytes(database, store, identities)
    assert list(store.listing()) == [factories.digests_of(b"kept").sha256]
    with database.read() as tx:
        assert tx.execute(select(blobs.c.sha256)).scalars().all() == list(store.listing())
        assert len(catalogue.list_artifacts(tx, kept.id)) == 1


def test_of_two_publishers_of_one_name_one_wins_and_the_other_leaves_nothing(
    database: Database, store: LocalBlobStore, product: str, tmp_path: Path
) -> None:
    both_checked = threading.Barrier(2)

    def opening(data: bytes) -> Callable[[], BinaryIO]:
        def open_when_both_are_here() -> BinaryIO:
            both_checked.wait(timeout=20)
            return io.BytesIO(data)

        return open_when_both_are_here

    def run(data: bytes) -> str:
        own = Source(ArtifactSpec(file_name="a.bin"), opening(data))
        try:
            publish(database, store, product, own, source("shared.bin", b"shared"))
        except EntrepotError as error:
            return error.code
        return "published"

    with ThreadPoolExecutor(2) as threads:
        ended = sorted(threads.map(run, (b"one", b"two")))
    assert ended == ["name-taken", "published"]
    assert len(list(store.listing())) == 2, "the loser's own bytes are gone, the shared ones stay"
    assert parts(tmp_path) == []
    with database.read() as tx:
        found = catalogue.find_product(tx, product)
        [row] = catalogue.list_releases(tx, found.id)
        assert len(catalogue.list_artifacts(tx, row.id)) == 2
        available = select(func.count()).where(events.c.type == "release.available")
        assert tx.execute(available).scalar_one() == 1


def test_publishers_of_the_same_files_do_not_block_each_other(
    database: Database, store: LocalBlobStore, product: str
) -> None:
    names = [f"{number}.bin" for number in range(6)]

    def run(number: int) -> str:
        ordered = names if number % 2 else names[::-1]
        mine = [source(name, name.encode()) for name in ordered]
        return publish(database, store, product, *mine, name=f"1.{number}")

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(run, range(8)))) == 8
    assert len(list(store.listing())) == len(names)
