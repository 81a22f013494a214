"""What the tests run in a process of its own, in order to kill, starve or measure it.

usage: blob_child.py forever ROOT       ingest random objects; print each digest once stored
       blob_child.py hold ROOT          begin an ingest that waits for stdin; print "writing"
       blob_child.py fill FOLDER        mount a small tmpfs on FOLDER and fill it
       blob_child.py limit ROOT BYTES   ingest 3 MiB under RLIMIT_FSIZE
       blob_child.py grow ROOT BYTES    ingest a sparse file of so many bytes; print RSS growth
"""

import errno
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from entrepot.blobs import BlobStore, DiskReserve, LocalBlobStore
from entrepot.errors import EntrepotError, StorageFull

MIB = 1 << 20


def open_store(root: str) -> LocalBlobStore:
    return LocalBlobStore(Path(root), reserve_bytes=0, margin_bytes=0)


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def forever(root: str) -> None:
    store = open_store(root)
    chance = random.Random()
    while True:
        size = chance.choice([0, 10, 5_000, MIB, 3 * MIB, 8 * MIB])
        digests = store.ingest(io.BytesIO(chance.randbytes(size)))
        print(digests.sha256, flush=True)


class Held:
    """Gives one block, says so, and then nothing until stdin ends."""

    def __init__(self) -> None:
        self._reads = 0

    def read(self, size: int) -> bytes:
        self._reads += 1
        if self._reads == 1:
            return b"a" * size
        print("writing", flush=True)
        sys.stdin.read()
        return b""


def hold(root: str) -> None:
    print(open_store(root).ingest(cast("BinaryIO", Held())).sha256, flush=True)


def refusal(store: BlobStore, size: int) -> str:
    """The error of ingesting `size` bytes, and whether the file system itself refused."""
    try:
        store.ingest(io.BytesIO(random.Random(size).randbytes(size)))
    except EntrepotError as error:
        return f"{type(error).__name__}: {os.strerror(errno.ENOSPC) in error.message}"
    return "stored"


def fill(folder: str) -> None:
    """On a real file system of 8 MiB: full by bytes, refused, nothing left, healed."""
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", folder]
    subprocess.run(command, check=True)
    root = Path(folder) / "blobs"
    store = open_store(str(root))
    store.prepare()
    kept = store.ingest(io.BytesIO(b"k" * 3 * MIB))
    # A floor below zero: the look at the free space never speaks first, write(2) does.
    blunt = LocalBlobStore(root, reserve_bytes=0, margin_bytes=-(1 << 40))
    first = [refusal(store, 6 * MIB), refusal(blunt, 6 * MIB)]
    left = [path.name for path in (root / "incoming").iterdir()]
    reserve = DiskReserve(Path(folder), size_bytes=2 * MIB, margin_bytes=0)
    states = [reserve.restore().value]
    second = [refusal(store, 4 * MIB), refusal(blunt, 4 * MIB)]
    ballast = Path(folder) / "ballast"
    try:
        ballast.write_bytes(b"b" * 8 * MIB)
        wrote_all = True
    except OSError:
        wrote_all = False
    states.append(reserve.release().value)
    with (Path(folder) / "lease").open("wb") as lease:
        lease.write(b"l" * MIB)
        os.fsync(lease.fileno())
    states.append(reserve.restore().value)
    store.check()
    still_good = store.verify(kept.sha256)
    ballast.unlink()
    states.append(reserve.restore().value)
    say(
        refusals=first + second,
        left=left,
        listing=list(store.listing()) == [kept.sha256],
        ballast_fitted=wrote_all,
        states=states,
        still_good=still_good,
        healed=refusal(store, 1 * MIB),
    )


def limit(root: str, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    store = open_store(root)
    try:
        store.ingest(io.BytesIO(bytes(3 * MIB)))
    except StorageFull as error:
        say(message=error.message, remedy=error.remedy, small=refusal(store, size))


def grow(root: str, size: int) -> None:
    store = open_store(root)
    with tempfile.TemporaryFile(dir=root) as source:
        source.truncate(size)
        store.ingest(io.BytesIO(bytes(8 * MIB)))  # the buffers an ingest needs are made by now
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        digests = store.ingest(cast("BinaryIO", source))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(size=digests.size, growth_bytes=(after - before) * 1024, sha256=digests.sha256)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["forever", root]:
            forever(root)
        case ["hold", root]:
            hold(root)
        case ["fill", folder]:
            fill(folder)
        case ["limit", root, size]:
            limit(root, int(size))
        case ["grow", root, size]:
            grow(root, int(size))
        case _:
            sys.exit(__doc__)
