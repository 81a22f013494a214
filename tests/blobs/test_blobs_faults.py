"""Kill -9, a full disk and a huge source, each for real in a process of its own."""

import errno
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.blobs import LocalBlobStore
from tests.mounts import in_own_mounts

CHILD = Path(__file__).with_name("blob_child.py")
MIB = 1 << 20
KILLS = 20


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(CHILD), *arguments]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def answer(line: list[str]) -> dict[str, object]:
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert isinstance(facts, dict)
    return facts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    LocalBlobStore(tmp_path / "blobs").prepare()
    return tmp_path / "blobs"


@pytest.fixture
def store(root: Path) -> LocalBlobStore:
    return LocalBlobStore(root, reserve_bytes=0, margin_bytes=0)


def test_kill_at_any_moment_loses_nothing_acknowledged(store: LocalBlobStore, root: Path) -> None:
    chance = random.Random()
    acknowledged: set[str] = set()
    killed_while_writing = 0
    for _ in range(KILLS):
        with start("forever", str(root)) as child:
            assert child.stdout is not None
            acknowledged.add(child.stdout.readline().strip())
            time.sleep(chance.uniform(0, 0.08))
            child.kill()
            # A line that the kill cut short was still acknowledged by nobody.
            lines = child.stdout.read().splitlines()
            acknowledged.update(line for line in lines if len(line) == 64)
        killed_while_writing += any((root / "incoming").iterdir())
        assert store.sweep(older_than_seconds=3600) == 0
        store.sweep(older_than_seconds=0)
        assert list((root / "incoming").iterdir()) == []
    stored = set(store.listing())
    assert acknowledged <= stored
    assert all(store.verify(sha256) for sha256 in stored)
    assert killed_while_writing > 0


def test_sweep_spares_a_live_ingest_and_takes_it_once_dead(
    store: LocalBlobStore, root: Path
) -> None:
    with start("hold", str(root)) as alive, start("hold", str(root)) as doomed:
        for child in (alive, doomed):
            assert child.stdout is not None
            assert child.stdout.readline() == "writing\n"
        parts = list((root / "incoming").iterdir())
        assert len(parts) == 2
        for part in parts:
            os.utime(part, (0, 0))  # both look abandoned since 1970
        assert store.sweep(older_than_seconds=0) == 0
        doomed.kill()
        doomed.wait()
        assert store.sweep(older_than_seconds=60) == 1
        out, _ = alive.communicate(timeout=30)
    assert out == hashlib.sha256(b"a" * MIB).hexdigest() + "\n"
    assert store.verify(out.strip())


def test_a_full_disk_refuses_cleanly_and_heals(tmp_path: Path, store: LocalBlobStore) -> None:
    """On a tmpfs of 8 MiB in a mount namespace; where none is to be had, by a file size limit."""
    prefix = in_own_mounts()
    if prefix is None:
        file_size_limit_refuses(tmp_path / "blobs", store)
        return
    facts = answer([*prefix, *command("fill", str(tmp_path))])
    assert facts == {
        "refusals": ["StorageFull: False", "StorageFull: True"] * 2,
        "left": [],
        "listing": True,
        "ballast_fitted": False,
        # held; released when full; not to be had while full; held again after making room
        "states": ["held", "released", "released", "held"],
        "still_good": True,
        "healed": "stored",
    }


def test_a_file_size_limit_refuses_cleanly(root: Path, store: LocalBlobStore) -> None:
    file_size_limit_refuses(root, store)


def file_size_limit_refuses(root: Path, store: LocalBlobStore) -> None:
    facts = answer(command("limit", str(root), str(MIB + 5)))
    assert os.strerror(errno.EFBIG) in str(facts["message"])
    assert facts["remedy"]
    assert facts["small"] == "stored"
    assert len(list(store.listing())) == 1
    assert list((root / "incoming").iterdir()) == []


def sparse_source_is_digested_in_constant_memory(root: Path, size: int) -> None:
    facts = answer(command("grow", str(root), str(size)))
    assert facts["size"] == size
    assert int(str(facts["growth_bytes"])) < 4 * MIB
    shutil.rmtree(root)  # pytest keeps the folders of the last runs
    zeros = hashlib.sha256()
    for _ in range(size // MIB):
        zeros.update(bytes(MIB))
    assert facts["sha256"] == zeros.hexdigest()


def test_memory_stays_constant(root: Path) -> None:
    sparse_source_is_digested_in_constant_memory(root, 384 * MIB)


@pytest.mark.soak
def test_memory_stays_constant_beyond_32_bits(root: Path) -> None:
    sparse_source_is_digested_in_constant_memory(root, 6144 * MIB)


def test_a_threads_worth_of_ingests_at_once(store: LocalBlobStore) -> None:
    """Ingest holds no state between calls: the web layer calls it from many threads."""
    contents = [random.Random(seed % 6).randbytes(1_300_000) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda content: store.ingest(io.BytesIO(content)), contents))
    assert [d.sha256 for d in digests] == [hashlib.sha256(c).hexdigest() for c in contents]
    assert len(list(store.listing())) == 6
