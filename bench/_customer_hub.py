"""A hub as a customer meets it: `entrepotd serve` with its usual processes, and peers to fetch.

    with serving(seed) as hub: ...

Everything lies on tmpfs, where there is one.
"""

import contextlib
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from bench._hub import _await_answer, _environ, _prepared, free_port
from bench._world import ACTOR, Customer, add_customer
from entrepot.assembly import Hub
from entrepot.client import Client
from entrepot.core import catalogue, entitlements

_ROOT = Path(__file__).resolve().parent.parent
_TMPFS = Path("/dev/shm")
_STOP_SECONDS_MAX = 40
_RUN_SECONDS_MAX = 1800
EDMGR_AT = _ROOT / "tests" / "system" / "edmgr_at.py"


@dataclass(frozen=True, slots=True)
class Release:
    """A release that the customer may have: the numbers of it, and its artifacts'."""

    entitlement: str
    release: str
    artifacts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CustomerHub:
    """Where it listens, whose token it takes, and what was published."""

    url: str
    token: str
    releases: tuple[Release, ...]
    scratch: Path

    def link(self, release: Release) -> str:
        """A fresh link to the first file of a release."""
        with Client(self.url, self.token) as client:
            return client.link(release.entitlement, release.release, release.artifacts[0])

    def sha256(self, release: Release) -> str:
        """What the hub announces for the first file of a release."""
        with Client(self.url, self.token) as client:
            return str(client.artifacts(release.entitlement, release.release)[0]["sha256"])


class RandomBytes(io.RawIOBase):
    """`size` random bytes, made as they are read."""

    def __init__(self, size: int, seed: int) -> None:
        self._left = size
        self._dice = random.Random(seed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        count = min(len(buffer), self._left)
        buffer[:count] = self._dice.randbytes(count)
        self._left -= count
        return count


def add_release(
    hub: Hub, customer: Customer, code: str, files: Sequence[tuple[str, int]]
) -> Release:
    """A product with one release of files (name, size) of random bytes."""
    now = hub.now()
    stored = []
    for number, (name, size) in enumerate(files):
        source: BinaryIO = io.BufferedReader(RandomBytes(size, number))
        stored.append((name, hub.blobs.ingest(source)))
    with hub.database.write() as tx:
        spec = catalogue.ProductSpec(code=code, name=code)
        product = catalogue.add_product(tx, spec, actor=ACTOR, now=now)
        told = catalogue.ReleaseSpec(name="1.0", quality="EAC")
        release = catalogue.create_release(tx, product, told, actor=ACTOR, now=now)
        artifacts = [
            catalogue.add_artifact(
                tx, release, catalogue.ArtifactSpec(file_name=name), digests, actor=ACTOR, now=now
            )
            for name, digests in stored
        ]
        catalogue.make_available(tx, release, available_at=now, actor=ACTOR, now=now)
        given = entitlements.Grant(product=code, valid_from=now - timedelta(days=1))
        number = entitlements.grant(tx, customer.who.organisation_id, given, actor=ACTOR, now=now)
    return Release(str(number), str(release), tuple(map(str, artifacts)))


@contextlib.contextmanager
def serving(
    releases: Mapping[str, Sequence[tuple[str, int]]],
    *,
    public_url: str | None = None,
    port: int | None = None,
) -> Iterator[CustomerHub]:
    """Publish `releases` (files by product code), and serve them until the block ends."""
    root = _TMPFS if _TMPFS.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-", dir=root) as name:
        data, port = Path(name), port or free_port()
        url = public_url or f"http://127.0.0.1:{port}"
        environ = _environ(data, port, None) | {"ENTREPOT_PUBLIC_URL": url}
        del environ["PROMETHEUS_MULTIPROC_DIR"]  # the supervisor makes its own
        with _prepared(environ) as hub:
            customer = add_customer(hub)
            made = tuple(add_release(hub, customer, *each) for each in releases.items())
        log = data / "hub.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", "from entrepot.daemon import main; main()", "serve"],
                cwd=_ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_answer(process, port, log)
            (data / "got").mkdir()
            yield CustomerHub(url, customer.token, made, data / "got")
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Run:
    """Wall and CPU seconds of one program."""

    wall: float
    cpu: float


def timed(command: Sequence[str], **variables: str) -> Run:
    """Run a program to its end; it must end well."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EDM_", "ENTREPOT_")) and not name.lower().endswith("_proxy")
    }
    before, begun = os.times(), time.monotonic()
    ended = subprocess.run(
        list(command),
        env=kept | variables,
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_RUN_SECONDS_MAX,
        check=False,
    )
    wall, after = time.monotonic() - begun, os.times()
    if ended.returncode:
        raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {ended.stderr[-2000:]!r}")
    spent = after.children_user + after.children_system
    return Run(wall, spent - before.children_user - before.children_system)


def by_entrepot(hub: CustomerHub, release: Release, folder: Path, *options: str) -> Run:
    """Our command, digests verified."""
    chain = ["-e", release.entitlement, "-r", release.release]
    command = [sys.executable, "-m", "entrepot.cli", "download-artifacts", *chain]
    variables = {"ENTREPOT_URL": hub.url, "ENTREPOT_TOKEN": hub.token, "HOME": str(hub.scratch)}
    return timed([*command, "-d", str(folder), *options], **variables)


def by_edmgr(hub: CustomerHub, release: Release, folder: Path) -> Run:
    """The unmodified edmgr; it checks no digest."""
    chain = ["-e", release.entitlement, "-r", release.release]
    variables = {
        "EDMGR_AT_URL": hub.url,
        "EDMGR_AT_KEYS": f"{hub.url}/.well-known/jwks.json",
        "EDM_ACCESS_TOKEN": hub.token,
        "HOME": str(hub.scratch),
    }
    command = [sys.executable, str(EDMGR_AT), "download-artifacts", *chain]
    return timed([*command, "-d", str(folder)], **variables)


def by_curl(hub: CustomerHub, release: Release, folder: Path, *options: str) -> Run:
    """`curl -o` of a link that is there already; it checks no digest."""
    folder.mkdir()
    command = ["curl", "-sS", "--fail", *options, "-o", str(folder / "file")]
    return timed([*command, hub.link(release)])


def by_aria2c(hub: CustomerHub, release: Release, folder: Path, connections: int) -> Run:
    """aria2c of a link that is there already, with the digest to check."""
    return timed(
        [
            *("aria2c", "--quiet", "--no-conf", "--file-allocation=none", "--allow-overwrite"),
            *(f"-x{connections}", f"-s{connections}", "-k1M", f"--dir={folder}", "--out=file"),
            *(f"--checksum=sha-256={hub.sha256(release)}", hub.link(release)),
        ]
    )


def measured(hub: CustomerHub, fetch: Callable[[Path], Run]) -> Run:
    """One fetch into a fresh folder that is removed again."""
    folder = hub.scratch / "it"
    try:
        return fetch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
