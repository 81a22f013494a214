"""One file from a link to a verified file in place.

The link is fetched without a token, through redirects if need be. A cut, a stall or an answer
that means "not now" is tried again from where it stopped (Range with If-Range); a link that died
is replaced by a new one; several connections share a large file where that pays (transfer.py).
What has come is kept when the command is stopped, fails or is killed, and the next run goes on
with it (kept_partial.py). The digest of the whole is checked before the last step, an atomic
rename, which is the only one that touches the target.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from entrepot.client.at_once import fetch_at_once, fits_at_once
from entrepot.client.conditions import Conditions, Watcher
from entrepot.client.errors import Corrupt, Unreachable
from entrepot.client.folders import Folders
from entrepot.client.kept_partial import Busy, KeptPartial, mark_of
from entrepot.client.links import LinkDied, Links, parse_link
from entrepot.client.partial import Partial, check_room, make_folder
from entrepot.client.repair import bad_chunks, check_chunks
from entrepot.client.transfer import Transfer
from entrepot.client.verification import Expected, is_complete

__all__ = ["Conditions", "Downloaded", "Watcher", "download", "parse_link"]

# How often bad chunks are fetched again before it is told.
REPAIRS_MAX = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A complete, verified file: `verified` is sha256, md5 or size; `skipped` when it was there.

    `sha256` is that of the file, in hex; empty where it had to be compared by something else.
    """

    path: Path
    size: int
    verified: str
    skipped: bool
    seconds: float
    sha256: str = ""


def download(
    mint_link: Callable[[], str],
    target: Path,
    expected: Expected,
    conditions: Conditions,
    watcher: Watcher | None = None,
    check: Callable[[Path], None] | None = None,
    mark: str = "",
) -> Downloaded:
    """Bring the file that `mint_link` gives a link to into `target`.

    A target that already has the announced digest is left alone and no link is asked for.
    `check` looks at the whole file before it is put in place, and raises Corrupt. `mark` names
    what is fetched where no digest is announced; with either, a part is kept when the transfer
    fails or is stopped.
    Raises Corrupt (after one more try from the start, or, where the digests of chunks are known,
    after fetching the bad ones again), Unreachable, Denied, LicenceNeeded, NotFound,
    LocalFileError, DiskFull, Cancelled; in each case the target is as it was.
    """
    started = monotonic()
    check_chunks(expected)
    make_folder(target.parent)
    own_mark = mark or mark_of(expected)
    folders = conditions.folders or Folders()
    if is_complete(target, expected, conditions.stop):
        folders.old_parts.sweep(target)
        size = target.stat().st_size
        spent, digest = monotonic() - started, _sha256(expected, expected.digest)
        return Downloaded(target, size, expected.strength, True, spent, digest)
    if not own_mark:
        check_room(target.parent, expected.size or 0)
    with _open_partial(target, own_mark, expected, alone=bool(mark)) as partial:
        folders.old_parts.sweep(target, keep=partial.mark)
        check_room(target.parent, max(0, (expected.size or 0) - partial.size))
        watcher = watcher or Watcher()
        watcher.started(target.name, expected.size)
        links, pool = Links(mint_link, target.name), conditions.pool
        digest, met = "", None
        if check is None and pool is not None and fits_at_once(partial, expected, conditions):
            try:
                digest = fetch_at_once(links, partial, expected, conditions, pool)
            except (LinkDied, Unreachable, Corrupt) as error:
                met = error
        if not digest:
            transfer = Transfer(links, partial, expected, conditions, watcher, met)
            try:
                _bring(transfer, partial, expected, conditions, check)
            finally:
                transfer.close()
            digest = transfer.digest
        partial.commit()
        size = partial.size
    watcher.at(target.name, size)
    folders.changed(target.parent)
    spent = monotonic() - started
    return Downloaded(target, size, expected.strength, False, spent, _sha256(expected, digest))


def _sha256(expected: Expected, digest: str) -> str:
    """The digest, where it is one of SHA-256, which is also made where none was announced."""
    return digest if expected.algorithm in ("", "sha256") else ""


def _open_partial(target: Path, mark: str, expected: Expected, *, alone: bool) -> Partial:
    """The partial to write to: one that is kept, where something tells what it is of."""
    if not mark:
        return Partial(target)
    content = f"{expected.algorithm}:{expected.digest}" if expected.digest else ""
    try:
        return KeptPartial(target, mark, content)
    except Busy:
        if alone:
            raise
        # Fetched twice at the same time, then: each ends well, and the last name wins.
        return Partial(target)


def _bring(
    transfer: Transfer,
    partial: Partial,
    expected: Expected,
    conditions: Conditions,
    check: Callable[[Path], None] | None,
) -> None:
    """Run the transfer until what it brought is right."""

    def run() -> None:
        transfer.run()
        if check is not None:
            check(partial.path)

    if expected.chunks:
        for _ in range(REPAIRS_MAX):
            try:
                return run()
            except Corrupt as error:
                if partial.gaps(expected.size or 0):
                    raise
                _forget_bad_chunks(partial, expected, conditions, error)
                transfer.rehash()
        return run()
    try:
        return run()
    except Corrupt as error:
        _log.warning("%s: %s Starting over once.", partial.target.name, error.message)
        transfer.start_with_new_link()
        return run()


def _forget_bad_chunks(
    partial: Partial, expected: Expected, conditions: Conditions, error: Corrupt
) -> None:
    bad = list(bad_chunks(partial, expected, conditions.stop))
    if not bad:
        raise Corrupt(
            f"{error.message} Yet each of its chunks is right.",
            remedy="The announced digests contradict each other; tell the publisher.",
        ) from error
    _log.warning("%s: %d chunks came damaged", partial.target.name, len(bad))
    for begin, end in bad:
        partial.forget(begin, end)
