"""The leases this process has asked the predicate about lately."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from entrepot.blobs import BlobStore
from entrepot.core.delivery import (
    Archive,
    Delivery,
    RedeemedLink,
    SignedLink,
    StoredFile,
    batch_of,
    next_of,
    redeem_following,
    redeem_link,
)
from entrepot.db import Tx
from entrepot.kit.ranges import Full, Outcome, Representation
from entrepot.web.http.bodies import Answer, Headers, SliceExtents, answer
from entrepot.web.http.disposition import attachment
from entrepot.web.http.edge import Edge
from entrepot.web.links._layouts import Layouts

# While a lease is in use the predicate is asked again at most this often (DECISIONS: leases).
RECHECK_SECONDS = 5.0
LEASES_KEPT_MAX = 20_000
# Of links that were issued together, so many more are asked about in the same transaction once a
# second one is used: whoever fetches many small files comes back for the next in a moment.
AHEAD = 32
BATCHES_KEPT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that holds, with everything a response needs made ready."""

    link: RedeemedLink
    delivery: Delivery
    stored: StoredFile | Archive
    representation: Representation
    headers: Headers
    whole_headers: Headers  # of the answer that most requests get: all of the object
    checked_at: float  # seconds of the monotonic clock

    def answer(self, outcome: Outcome, blobs: BlobStore) -> Answer:
        """The response to a request with this outcome."""
        stored = self.stored
        if isinstance(stored, StoredFile):
            slice_extents: SliceExtents = partial(blobs.extents, stored.sha256)
        else:
            slice_extents = partial(stored.extents, store=blobs)
        if isinstance(outcome, Full):
            return Answer(200, self.whole_headers, slice_extents(0, stored.size))
        made = answer(
            outcome,
            self.representation,
            content_type=self.link.content_type,
            slice_extents=slice_extents,
        )
        return Answer(made.status, [*made.headers, *self.headers], made.extents)


class Leases:
    """Lease id -> lease that held within the last 5 s, asked for once however many wait."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._layouts = Layouts(edge, self._forget)
        self._held: OrderedDict[str, Lease] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Lease]] = {}
        self._paths: OrderedDict[bytes, tuple[float, SignedLink]] = OrderedDict()
        self._batches: OrderedDict[str, float] = OrderedDict()  # when one was asked about last

    def known(self, path: bytes, now: datetime) -> Lease | None:
        """The lease of a path that was verified within the last 5 s and holds; no I/O.

        Most requests are ranges of a link in use: they cost a look-up instead of a MAC. A
        link key that is withdrawn is missed no later than a lease that is revoked.
        """
        verified = self._paths.get(path)
        if verified is None or verified[1].expires_at <= now:
            return None
        if time.monotonic() - verified[0] >= RECHECK_SECONDS:
            return None
        return self.warm(verified[1].lease_id)

    def remember(self, path: bytes, link: SignedLink) -> None:
        """Take down that the MAC of `path` is right."""
        self._paths[path] = (time.monotonic(), link)
        self._paths.move_to_end(path)
        if len(self._paths) > LEASES_KEPT_MAX:
            self._paths.popitem(last=False)

    def warm(self, lease_id: str) -> Lease | None:
        """The lease where it is known to hold; no I/O."""
        lease = self._held.get(lease_id)
        if lease is None or time.monotonic() - lease.checked_at >= RECHECK_SECONDS:
            return None
        return lease

    async def hold(self, lease_id: str) -> Lease:
        """The lease, asking the predicate where it is not warm; Denied or Gone otherwise."""
        warm = self.warm(lease_id)
        if warm is not None:
            return warm
        task = self._asked.get(lease_id)
        if task is None:
            task = asyncio.create_task(self._ask(lease_id))
            self._asked[lease_id] = task
            task.add_done_callback(lambda _: self._asked.pop(lease_id, None))
        # Shielded, so that one client that leaves does not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, lease_id: str) -> Lease:
        hub = self._edge.hub
        checked_at = time.monotonic()
        embargoed, now = hub.policy.embargoed, hub.now()
        in_use = self._is_in_use(batch_of(lease_id), checked_at)
        # Whoever takes them from the last to the first would have each asked about 32 times.
        ahead = AHEAD if in_use and self.warm(next_of(lease_id)) is None else 0

        def redeem(tx: Tx) -> tuple[RedeemedLink, list[RedeemedLink]]:
            link = redeem_link(tx, lease_id, embargoed=embargoed, now=now)
            if not ahead or link.artifact_id is None:
                return link, []
            return link, redeem_following(tx, link, take=ahead, embargoed=embargoed, now=now)

        try:
            link, following = await self._edge.read(redeem)
            content = link.content
            stored = (
                content if isinstance(content, StoredFile) else await self._layouts.hold(content)
            )
        except BaseException:
            self._held.pop(lease_id, None)
            raise
        lease = _make_ready(link, stored, checked_at)
        if isinstance(content, StoredFile) or self._layouts.keeps(content):
            self._keep(lease)
        for each in following:
            if isinstance(each.content, StoredFile):
                self._keep(_make_ready(each, each.content, checked_at))
        return lease

    def _keep(self, lease: Lease) -> None:
        held = self._held.get(lease.link.lease_id)
        if held is not None and held.checked_at > lease.checked_at:
            return
        self._held[lease.link.lease_id] = lease
        self._held.move_to_end(lease.link.lease_id)
        if len(self._held) > LEASES_KEPT_MAX:
            self._held.popitem(last=False)

    def _is_in_use(self, batch: str, now: float) -> bool:
        """Whether another link of the batch was asked about a moment ago."""
        before = self._batches.pop(batch, None)
        self._batches[batch] = now
        if len(self._batches) > BATCHES_KEPT_MAX:
            self._batches.popitem(last=False)
        return before is not None and now - before < RECHECK_SECONDS

    def _forget(self, archive: Archive) -> None:
        """Keep no lease that would keep the archive in memory."""
        for lease_id in [key for key, lease in self._held.items() if lease.stored is archive]:
            del self._held[lease_id]


def _make_ready(link: RedeemedLink, stored: StoredFile | Archive, checked_at: float) -> Lease:
    if isinstance(stored, StoredFile):
        delivery, etag = link.delivery(), f'"{stored.sha256}"'
    else:
        delivery, etag = link.delivery(stored), stored.etag
    representation = Representation(size=stored.size, etag=etag, last_modified=link.last_modified)
    headers = [
        (b"content-disposition", attachment(link.file_name)),
        (b"cache-control", b"private, no-store"),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
    ]
    whole = answer(
        Full(),
        representation,
        content_type=link.content_type,
        slice_extents=lambda _start, _length: (),
    )
    return Lease(
        link,
        delivery,
        stored,
        representation,
        headers,
        [*whole.headers, *headers],
        checked_at,
    )
