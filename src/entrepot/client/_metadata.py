"""python-tuf's client workflow over the client's own connections, one folder per product."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from entrepot.client.api import Api
from entrepot.client.client import Client
from entrepot.client.connections import unreachable
from entrepot.client.errors import (
    ClientError,
    Denied,
    LocalFileError,
    NotFound,
    Unreachable,
    Untrusted,
)
from entrepot.client.private_files import read_plain
from entrepot.client.proofs import Proof, fingerprint
from entrepot.client.retries import Backoff
from entrepot.client.trust import (
    FIRST_USE,
    METADATA_PATH,
    ROOT_BYTES_MAX,
    Pin,
    Trust,
    check_root,
)

ROOTS_MAX = 64  # that the client follows in one go
_LIMITS = UpdaterConfig(
    max_root_rotations=ROOTS_MAX,
    max_delegations=0,  # a product's releases are all named by its own targets
    root_max_length=ROOT_BYTES_MAX,
    timestamp_max_length=16 << 10,
    snapshot_max_length=64 << 10,
    targets_max_length=32 << 20,
)
_FRESH_SECONDS = 300.0  # how long this process takes what it refreshed for current
_READ_BYTES = 64 << 10
_log = logging.getLogger(__name__)


class _Fetcher(FetcherInterface):
    """Fetches from the hub only: what follows the first slash of a URL is made of plain names."""

    def __init__(self, api: Api, product: str) -> None:
        self._api = api
        self._product = product
        self._answer = ExitStack()
        self.refusal: ClientError | None = None

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = (*METADATA_PATH, self._product, *url.split("/"))
        self.close()
        try:
            answer = self._api.stream(path, {"Accept": "application/json"})
            response = self._answer.enter_context(answer)
        except (NotFound, Denied) as error:
            self.refusal = error
            status = 404 if isinstance(error, NotFound) else 403
            raise exceptions.DownloadHTTPError(error.message, status) from error
        return self._read(response)

    def _read(self, response: HTTPResponse) -> Iterator[bytes]:
        origin = self._api.base.origin
        deadline = monotonic() + self._api.times.call_seconds
        try:
            while piece := response.read1(_READ_BYTES):
                yield piece
                if monotonic() > deadline:
                    raise Unreachable(f"{origin} is too slow to answer.")
            if response.length:
                raise Unreachable(f"The connection to {origin} was cut.")
        except (OSError, HTTPException) as error:
            raise unreachable(error, origin) from error

    def close(self) -> None:
        """Let go of an answer that was not read to its end, or was."""
        self._answer.close()


@dataclass(slots=True)
class _Opened:
    """What this process has verified of a product, and until when it asks no more."""

    updater: Updater
    fetcher: _Fetcher
    proof: Proof
    until: float
    lock: threading.Lock = field(default_factory=threading.Lock)


def fetch(
    client: Client, trust: Trust, product: str, target: str, bytes_max: int
) -> tuple[bytes, Proof] | None:
    """The target and what proves it; None where the product never had signed manifests."""
    failures, backoff = 0, Backoff()
    while True:
        try:
            with trust.locked(product) as folder:
                opened = _open(client, trust, product, folder)
                if opened is None:
                    return None
                return _target(opened, folder, product, target, bytes_max), opened.proof
        except Unreachable as error:
            failures += 1
            asked = error.retry_after_seconds
            if not (error.worth_retrying and backoff.allows(failures, asked)):
                raise
            client.stop.wait(backoff.seconds(failures, asked))


def _open(client: Client, trust: Trust, product: str, folder: Path) -> _Opened | None:
    opened: _Opened | None = trust.opened.get(product)
    if opened is not None and monotonic() < opened.until:
        return opened
    with closing(_Fetcher(client.api, product)) as fetcher:
        return _open_anew(fetcher, trust, product, folder)


def _open_anew(fetcher: _Fetcher, trust: Trust, product: str, folder: Path) -> _Opened | None:
    pin = trust.pin_of(product)
    root = pin.root if pin is not None else b""
    if not root:
        found = _first_root(fetcher, trust, pin, product)
        if found is None:
            return None
        root = found
    made = not folder.joinpath("timestamp.json").exists()
    try:
        updater = _refreshed(fetcher, folder, root, product)
    except ClientError:
        if made and pin is None:
            # Nothing is trusted that did not verify as a whole.
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if pin is None or not pin.root:
        source, since = (FIRST_USE, datetime.now(UTC)) if pin is None else (pin.source, pin.since)
        trust.write(Pin(trust.hub, product, fingerprint(root), since, source, root))
    proof = _proof(folder, root)
    opened = _Opened(updater, fetcher, proof, monotonic() + _FRESH_SECONDS)
    trust.opened[product] = opened
    return opened


def _refreshed(fetcher: _Fetcher, folder: Path, root: bytes, product: str) -> Updater:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        updater = Updater(
            str(folder), "metadata", str(folder), "targets", fetcher, _LIMITS, bootstrap=root
        )
        updater.refresh()
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        raise _in_words(error, fetcher, product) from error
    except OSError as error:
        raise _cannot_keep(folder, error) from error
    return updater


def _cannot_keep(folder: Path, error: OSError) -> LocalFileError:
    return LocalFileError(
        f"Cannot keep signed metadata in {folder}: {error.strerror}.",
        remedy="Make the folder writable or set ENTREPOT_ROOT to another one.",
    )


def _first_root(fetcher: _Fetcher, trust: Trust, pin: Pin | None, product: str) -> bytes | None:
    """The root to begin with: the newest that the hub has, or the one of the pinned fingerprint."""
    try:
        root = fetcher.download_bytes("metadata/root.json", ROOT_BYTES_MAX)
    except exceptions.DownloadHTTPError as error:
        if pin is None and error.status_code == 404:
            return None
        raise _in_words(error, fetcher, product) from error
    except exceptions.DownloadError as error:
        raise _in_words(error, fetcher, product) from error
    check_root(root, product)
    if pin is not None:
        return _of_fingerprint(fetcher, root, pin.fingerprint, product)
    if not trust.first_use:
        raise Untrusted(
            f"No key of {product} is trusted yet. The fingerprint of the root that {trust.hub} "
            f"offers is {fingerprint(root)}.",
            remedy="Compare it with what the publisher says, then: "
            f"entrepot trust add {product} --fingerprint HEX",
            reason="manifest-root-unknown",
        )
    return root


def _of_fingerprint(fetcher: _Fetcher, newest: bytes, wanted: str, product: str) -> bytes:
    if fingerprint(newest) == wanted:
        return newest
    metadata: Metadata[Root] = Metadata.from_bytes(newest)
    version = metadata.signed.version
    try:
        for older in range(version - 1, max(0, version - 1 - ROOTS_MAX), -1):
            root = fetcher.download_bytes(f"metadata/{older}.root.json", ROOT_BYTES_MAX)
            if fingerprint(root) == wanted:
                return root
    except exceptions.DownloadError as error:
        raise _in_words(error, fetcher, product) from error
    raise Untrusted(
        f"The hub has no root of {product} with the fingerprint that is trusted here; the one of "
        f"its newest is {fingerprint(newest)}.",
        remedy="Ask the publisher which is right, then: "
        f"entrepot trust add {product} --fingerprint HEX",
        reason="manifest-root-unknown",
    )


def _proof(folder: Path, root: bytes) -> Proof:
    """The files that the workflow has just verified and kept."""
    history = folder / "root_history"
    first: Metadata[Root] = Metadata.from_bytes(root)
    newest: Metadata[Root] = Metadata.from_bytes(read_plain(folder / "root.json", ROOT_BYTES_MAX))
    versions = range(first.signed.version, newest.signed.version + 1)
    roots = tuple(read_plain(history / f"{each}.root.json", ROOT_BYTES_MAX) for each in versions)
    return Proof(
        roots,
        read_plain(folder / "timestamp.json", _LIMITS.timestamp_max_length),
        read_plain(folder / "snapshot.json", _LIMITS.snapshot_max_length),
        read_plain(folder / "targets.json", _LIMITS.targets_max_length),
    )


def _target(opened: _Opened, folder: Path, product: str, name: str, bytes_max: int) -> bytes:
    info = opened.updater.get_targetinfo(name)
    if info is None:
        raise Untrusted(
            f"The publisher of {product} signs its releases, and this one is not signed, or was "
            "withdrawn.",
            remedy="Tell the publisher: `entrepotd sign` signs what was published since.",
            reason="manifest-missing",
        )
    if info.length > bytes_max:
        raise Untrusted(
            f"The manifest is larger than {bytes_max} bytes, the most that is read.",
            reason="manifest-too-large",
        )
    path = folder / "manifests" / name
    try:
        with opened.lock, closing(opened.fetcher):
            if opened.updater.find_cached_target(info, str(path)) is None:
                opened.updater.download_target(info, str(path))
            return read_plain(path, bytes_max)
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        raise _in_words(error, opened.fetcher, product) from error
    except OSError as error:
        raise _cannot_keep(folder, error) from error


_REMEDY = (
    "Do not use files of this product from this hub until its publisher has said what happened."
)
_LATER = "Try again later; if it stays so, tell the publisher."


def _in_words(error: Exception, fetcher: _Fetcher, product: str) -> ClientError:
    """What python-tuf found, said for the person who reads it."""
    _log.info("the metadata of %s is refused: %s: %s", product, type(error).__name__, error)
    if isinstance(error, exceptions.DownloadHTTPError):
        if fetcher.refusal is not None and error.status_code != 404:
            return fetcher.refusal
        return Untrusted(
            f"The hub does not give the signed metadata of {product} that it should have: it is "
            "missing, or you have no right to the product any more.",
            remedy=_LATER,
            reason="manifest-missing",
        )
    if isinstance(error.__cause__, ClientError):
        return error.__cause__
    for kind, reason, message, remedy in _WORDS:
        if isinstance(error, kind):
            return Untrusted(f"{product}: {message} ({error}).", remedy=remedy, reason=reason)
    return Untrusted(
        f"{product}: the signed metadata cannot be used ({error}).",
        remedy=_REMEDY,
        reason="manifest-invalid",
    )


_WORDS: tuple[tuple[type[Exception], str, str, str], ...] = (
    (
        exceptions.ExpiredMetadataError,
        "manifest-expired",
        "the signed metadata has expired: the hub does not renew it, or withholds the newer one",
        _LATER,
    ),
    (
        exceptions.BadVersionNumberError,
        "manifest-rollback",
        "the signed metadata is older than what was seen before, or not of the version it must be",
        _REMEDY,
    ),
    (
        exceptions.UnsignedMetadataError,
        "manifest-signature",
        "the metadata is not signed by the keys that are trusted",
        _REMEDY,
    ),
    (
        exceptions.LengthOrHashMismatchError,
        "manifest-mismatch",
        "a part of the signed metadata is not the one that the others name",
        _REMEDY,
    ),
    (
        exceptions.DownloadLengthMismatchError,
        "manifest-too-large",
        "the hub sends more than it may",
        _REMEDY,
    ),
)
