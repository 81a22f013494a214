"""What every blob store must do. A new store joins by one line in STORES."""

import hashlib
import io
import multiprocessing
import random
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.blobs import CHUNK_BYTES, BlobStore, Digests, LocalBlobStore, digest_chunks
from entrepot.errors import Invalid, Unavailable
from entrepot.kit.extents import Extent, FileExtent, MemoryExtent

MIB = 1 << 20

# Called in other processes too, hence picklable.
OpenStore = Callable[[], BlobStore]


def local_store(folder: Path) -> OpenStore:
    LocalBlobStore(folder / "blobs").prepare()
    return partial(LocalBlobStore, folder / "blobs", reserve_bytes=0, margin_bytes=0)


STORES: dict[str, Callable[[Path], OpenStore]] = {"local": local_store}


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return STORES[request.param](tmp_path)


@pytest.fixture
def store(open_store: OpenStore) -> BlobStore:
    return open_store()


def expected(content: bytes) -> Digests:
    return Digests(
        hashlib.sha256(content).hexdigest(),
        hashlib.md5(content).hexdigest(),
        zlib.crc32(content),
        len(content),
        b"".join(
            hashlib.sha256(content[start : start + CHUNK_BYTES]).digest()
            for start in range(0, len(content), CHUNK_BYTES)
        ),
    )


def read_extents(extents: list[Extent]) -> bytes:
    pieces = []
    for extent in extents:
        match extent:
            case MemoryExtent(data):
                pieces.append(data)
            case FileExtent(path, offset, length):
                with Path(path).open("rb") as file:
                    file.seek(offset)
                    pieces.append(file.read(length))
    return b"".join(pieces)


SIZES = [0, 1, 4096, MIB - 1, MIB, MIB + 1, 4 * MIB, 4 * MIB + 1, 8 * MIB, 9 * MIB + 77]


@pytest.mark.parametrize("size", SIZES)
def test_what_went_in_comes_out(store: BlobStore, size: int) -> None:
    content = random.Random(size).randbytes(size)
    digests = store.ingest(io.BytesIO(content))
    assert digests == expected(content)
    with store.open(digests.sha256) as file:
        assert file.read() == content
    with store.open(digests.sha256) as file:
        assert digest_chunks(file) == digests.chunks
    assert store.size(digests.sha256) == size
    assert store.verify(digests.sha256)
    assert list(store.listing()) == [digests.sha256]


def test_extents_cut_any_stretch(store: BlobStore) -> None:
    content = random.Random(1).randbytes(300_000)
    sha256 = store.ingest(io.BytesIO(content)).sha256
    for start, length in [(0, 300_000), (0, 1), (299_999, 1), (70_000, 131_072)]:
        assert read_extents(store.extents(sha256, start, length)) == content[start : start + length]
    assert store.extents(sha256, 5, 0) == []
    for start, length in [(-1, 5), (0, -1)]:
        with pytest.raises(ValueError, match="stretch"):
            store.extents(sha256, start, length)


def test_ingest_takes_up_where_the_source_stands(store: BlobStore) -> None:
    source = io.BytesIO(b"head:body")
    source.seek(5)
    assert store.ingest(source).sha256 == hashlib.sha256(b"body").hexdigest()
    assert not source.closed


def test_the_same_bytes_are_stored_once(store: BlobStore) -> None:
    first = store.ingest(io.BytesIO(b"same"))
    assert store.ingest(io.BytesIO(b"same")) == first
    store.ingest(io.BytesIO(b"other"))
    assert sorted(store.listing()) == sorted([first.sha256, expected(b"other").sha256])
    assert store.sweep(older_than_seconds=0) == 0


@pytest.mark.parametrize("seekable", [True, False])
def test_too_large_a_source_is_refused_and_leaves_nothing(
    store: BlobStore, tmp_path: Path, seekable: bool
) -> None:
    path = tmp_path / "source"
    path.write_bytes(bytes(2_000_001))
    with path.open("rb") as file:
        source = file if seekable else Trickle(file.read(), [70_000])
        with pytest.raises(Invalid) as refusal:
            store.ingest(cast("BinaryIO", source), size_max=2_000_000)
    assert refusal.value.code == "object-too-large"
    assert refusal.value.field == "file"
    assert "2000000" in refusal.value.message
    assert list(store.listing()) == []
    assert store.sweep(older_than_seconds=0) == 0
    with path.open("rb") as file:
        assert store.ingest(file, size_max=2_000_001).size == 2_000_001


def test_a_source_that_fails_leaves_nothing(store: BlobStore) -> None:
    class Cut(io.RawIOBase):
        left = 5

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if not self.left:
                raise ConnectionResetError("the sender hung up")
            self.left -= 1
            return min(len(buffer), 700_000)

    with pytest.raises(ConnectionResetError):
        store.ingest(cast("BinaryIO", Cut()))
    assert list(store.listing()) == []
    assert store.sweep(older_than_seconds=0) == 0


def test_a_source_that_would_block_is_refused(store: BlobStore) -> None:
    class Unready(io.RawIOBase):
        def readinto(self, buffer: memoryview) -> None:  # type: ignore[override]
            return None

    with pytest.raises(BlockingIOError, match="must block"):
        store.ingest(cast("BinaryIO", Unready()))


def test_a_missing_object_is_the_hubs_fault(store: BlobStore) -> None:
    missing = hashlib.sha256(b"never stored").hexdigest()
    for ask in (store.open, store.verify):
        with pytest.raises(Unavailable) as fault:
            ask(missing)
        assert fault.value.code == "bytes-missing"
        assert fault.value.remedy
    assert store.size(missing) is None


def test_delete_is_idempotent(store: BlobStore) -> None:
    sha256 = store.ingest(io.BytesIO(b"x")).sha256
    store.delete(sha256)
    store.delete(sha256)
    assert store.size(sha256) is None
    assert list(store.listing()) == []
    assert store.ingest(io.BytesIO(b"x")).sha256 == sha256
    assert store.verify(sha256)


GOOD = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    "identity",
    [
        "",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        GOOD.upper(),
        "../" * 21 + "x",
        "/etc/passwd",
        GOOD[:62] + "/.",
        GOOD[:63] + "\0",
        "٣" * 64,  # a digit to str.isdigit, not a hex digit
    ],
)
def test_only_a_digest_names_an_object(store: BlobStore, identity: str) -> None:
    asks: list[Callable[[], object]] = [
        lambda: store.open(identity),
        lambda: store.size(identity),
        lambda: store.extents(identity, 0, 1),
        lambda: store.delete(identity),
        lambda: store.verify(identity),
        lambda: store.presigned_url(identity, seconds=60, file_name="a", content_type="b/c"),
    ]
    for ask in asks:
        with pytest.raises(Invalid) as refusal:
            ask()
        assert refusal.value.field == "sha256"


def test_a_presigned_url_is_https_or_the_hub_sends(store: BlobStore) -> None:
    sha256 = store.ingest(io.BytesIO(b"x")).sha256
    url = store.presigned_url(sha256, seconds=60, file_name="a.zip", content_type="a/zip")
    assert url is None or url.startswith("http")


def test_a_good_store_passes_its_check(store: BlobStore) -> None:
    store.check()
    assert list(store.listing()) == []
    assert store.sweep(older_than_seconds=0) == 0
    free = store.free_bytes()
    assert free is None or free > 0


class Trickle:
    """A source such as a socket: every read gives what it likes, at least one byte."""

    def __init__(self, content: bytes, steps: list[int]) -> None:
        self._content = content
        self._steps = steps
        self._reads = 0
        self._at = 0

    def read(self, size: int) -> bytes:
        step = self._steps[self._reads % len(self._steps)]
        self._reads += 1
        piece = self._content[self._at : self._at + min(size, step)]
        self._at += len(piece)
        return piece


class TrickleInto(Trickle):
    def readinto(self, buffer: memoryview) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    size=st.one_of(
        st.integers(0, 5000),
        st.integers(MIB - 2, MIB + 2),
        st.integers(0, 3 * MIB),
    ),
    steps=st.lists(st.integers(1000, 2 * MIB), min_size=1, max_size=5),
    odd_step=st.integers(1, 2000),
    kind=st.sampled_from([Trickle, TrickleInto]),
    seed=st.integers(0, 2**32),
)
def test_digests_are_hashlibs_whatever_the_reads(
    store: BlobStore, size: int, steps: list[int], odd_step: int, kind: type[Trickle], seed: int
) -> None:
    content = random.Random(seed).randbytes(size)
    digests = store.ingest(cast("BinaryIO", kind(content, [*steps, odd_step])))
    assert digests == expected(content)
    with store.open(digests.sha256) as file:
        assert file.read() == content


def ingest_all(open_store: OpenStore, contents: list[tuple[int, int]]) -> list[Digests]:
    store = open_store()
    return [
        store.ingest(io.BytesIO(random.Random(seed).randbytes(size))) for seed, size in contents
    ]


def test_many_processes_ingest_the_same_and_other_content(open_store: OpenStore) -> None:
    shared = [(seed, 40_000 + 300_000 * (seed % 4)) for seed in range(12)]
    own = [[(1000 * worker + n, 1_500_000) for n in range(4)] for worker in range(1, 5)]
    plans = [random.Random(w).sample(shared + mine, 16) for w, mine in enumerate(own)]
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = list(pool.map(ingest_all, [open_store] * 4, plans))
    wanted = {
        plan: expected(random.Random(plan[0]).randbytes(plan[1])) for mine in plans for plan in mine
    }
    for mine, digests in zip(plans, answers, strict=True):
        assert digests == [wanted[plan] for plan in mine]
    store = open_store()
    assert sorted(store.listing()) == sorted(digests.sha256 for digests in wanted.values())
    assert all(store.verify(sha256) for sha256 in store.listing())
    assert store.sweep(older_than_seconds=0) == 0


def test_age_counts_from_the_last_ingest(store: BlobStore) -> None:
    """Bytes stored again are young again: a sweep must not take them from who comes next."""
    digests = store.ingest(io.BytesIO(b"aging"))
    time.sleep(0.3)
    began = time.time()
    before = store.age_seconds(digests.sha256)
    assert before is not None
    assert 0.25 <= before < 60
    store.ingest(io.BytesIO(b"aging"))
    after = store.age_seconds(digests.sha256)
    assert after is not None
    assert after <= time.time() - began + 0.05
    store.delete(digests.sha256)
    assert store.age_seconds(digests.sha256) is None
    with pytest.raises(Invalid):
        store.age_seconds("../x")
