"""Redeeming a link: signature and expiry in memory, the lease, the range, the bytes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from entrepot.core.delivery import (
    SignedLink,
    Transfer,
    find_lessee,
    invalid_link,
    key_id_of,
    verify_link,
)
from entrepot.core.events import Denial
from entrepot.errors import Denied, EntrepotError, Gone, Invalid, Unavailable
from entrepot.kit.ranges import ByteRange, Full, Outcome, Partial, conditions_of, evaluate
from entrepot.web.http import metrics
from entrepot.web.http.callers import address_of
from entrepot.web.http.denials import note_denial
from entrepot.web.http.edge import Edge
from entrepot.web.http.errors import explain, headers_of, status_of
from entrepot.web.http.problems import MEDIA_TYPE, problem_of
from entrepot.web.links._leases import Lease, Leases
from entrepot.web.links._quotas import Quotas
from entrepot.web.links._recording import Recorder
from entrepot.web.zerocopy import Sent, ShortBody, send_extents

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]

PART_HEAD_BYTES_MAX = 400  # of multipart/byteranges, with the longest content type
_PREFIX = b"/dl/"
_LEASE = "entrepot_lease"


class LinksDoor:
    """ASGI application; `start` and `stop` frame its life."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._leases = Leases(edge)
        self._recorder = Recorder(edge)
        self._quotas = Quotas(edge)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write the record of transfers, and to keep reservations alive."""
        self._tasks = [
            asyncio.create_task(chore) for chore in (self._recorder.run(), self._quotas.run())
        ]

    async def stop(self) -> None:
        """Write what is left of the record."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._recorder.flush()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            lease = await self._redeem(scope)
            metrics.count_link("redeemed")
            await self._send(scope, receive, send, lease)
        except EntrepotError as error:
            metrics.count_link("refused", error.code)
            await self._note(scope, error)
            await _refuse(scope, send, error)

    async def _redeem(self, scope: Scope) -> Lease:
        if scope["method"] not in ("GET", "HEAD"):
            raise Invalid("A link answers to GET and HEAD only.", code="method-not-allowed")
        raw: bytes = scope["raw_path"]
        known = self._leases.known(raw, self._edge.hub.now())
        if known is not None and not scope["query_string"]:
            return known
        token, slash, name = raw[len(_PREFIX) :].partition(b"/")
        if scope["query_string"] or not slash or not raw.startswith(_PREFIX):
            raise invalid_link()
        link = await self._verify(token, name)
        scope[_LEASE] = link.lease_id
        lease = await self._leases.hold(link.lease_id)
        self._leases.remember(raw, link)
        return lease

    async def _note(self, scope: Scope, error: EntrepotError) -> None:
        """Say whose link was refused, where a lease is behind it; the server records it."""
        if not isinstance(error, Denied | Gone):
            return
        lease_id, lessee = scope.get(_LEASE), None
        if lease_id is not None:
            with contextlib.suppress(EntrepotError):
                lessee = await self._edge.glance(lambda tx: find_lessee(tx, lease_id))
        if lessee is None:
            note_denial(Denial("link.denied", "", "link", error.code))
            return
        told = (lessee.principal, lessee.subject, error.code, lessee.organisation_id)
        note_denial(Denial("link.denied", *told, data={"lease": lease_id}))

    async def _verify(self, token: bytes, name: bytes) -> SignedLink:
        hub = self._edge.hub
        keys = hub.keys.current.link_keys
        kid = key_id_of(token)
        if kid is not None and kid not in keys:
            # Another process may have rotated the keys a moment ago.
            keys = (await self._edge.run(hub.keys.refresh_for_unknown)).link_keys
        return verify_link(keys, token, name, now=hub.now())

    async def _send(self, scope: Scope, receive: Receive, send: Send, lease: Lease) -> None:
        hub = self._edge.hub
        started_at = hub.now()
        conditions = conditions_of(scope["headers"])
        outcome = evaluate(scope["method"], conditions, lease.representation, started_at)
        asked = () if scope["method"] == "HEAD" else _asked(outcome, lease)
        response = lease.answer(outcome, hub.blobs)
        place = None
        if asked and lease.delivery.limited:
            scope[_LEASE] = lease.link.lease_id  # for the record, should there be no room
            place = await self._quotas.enter(
                lease.delivery, lease.link.principal, address_of(scope, hub.policy), started_at
            )
        sending = send_extents(
            scope,
            receive,
            send,
            status=response.status,
            headers=response.headers,
            extents=response.extents,
        )
        if not asked:
            await sending
            return
        metrics.download_started()
        sent = Sent(0, complete=False)
        try:
            sent = await sending
        except ShortBody as fault:
            sent = Sent(fault.sent, complete=False)
            if fault.started:
                raise
            raise _damaged() from fault
        finally:
            metrics.download_ended(complete=sent.complete)
            metrics.count_bytes(sent.bytes_sent)
            self._record(scope, lease, _sent_parts(asked, sent), started_at, whole=sent.complete)
            if place is not None:
                await self._quotas.leave(place, began=sent.bytes_sent > 0 or sent.complete)

    def _record(
        self,
        scope: Scope,
        lease: Lease,
        parts: list[ByteRange],
        started_at: datetime,
        *,
        whole: bool,
    ) -> None:
        if not parts:
            return
        hub, link = self._edge.hub, lease.link
        address, agent, ended_at = address_of(scope, hub.policy), _agent_of(scope), hub.now()
        self._recorder.note(
            [
                Transfer(
                    lease_id=link.lease_id,
                    principal=link.principal,
                    organisation_id=link.organisation_id,
                    of=lease.delivery,
                    first_byte=part.start,
                    length=part.length,
                    started_at=started_at,
                    ended_at=ended_at,
                    whole=whole,
                    address=address,
                    agent=agent,
                )
                for part in parts
            ]
        )


def _agent_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            text: str = value.decode("latin-1")
            return text
    return ""


def _damaged() -> Unavailable:
    return Unavailable(
        "The stored bytes of this file are damaged.",
        code="bytes-missing",
        remedy="The hub's operator has to restore them from a backup.",
        retry_after_seconds=60,
    )


def _asked(outcome: Outcome, lease: Lease) -> tuple[ByteRange, ...]:
    """The stretches of the object that the response sets out to send; all of an empty one."""
    if isinstance(outcome, Full):
        return (ByteRange(0, lease.representation.size),)
    return outcome.ranges if isinstance(outcome, Partial) else ()


def _sent_parts(asked: tuple[ByteRange, ...], sent: Sent) -> list[ByteRange]:
    """Which of the stretches have gone.

    Of a multipart body that broke off, the part heads count as if they were data: their
    few bytes are taken off the end, never added.
    """
    if sent.complete:
        return list(asked)
    left = sent.bytes_sent - (PART_HEAD_BYTES_MAX * len(asked) if len(asked) > 1 else 0)
    parts = []
    for part in asked:
        if left <= 0:
            break
        parts.append(ByteRange(part.start, min(part.length, left)))
        left -= part.length
    return parts


async def _refuse(scope: Scope, send: Send, error: EntrepotError) -> None:
    """Problem details, or plain words for a browser."""
    status = 405 if error.code == "method-not-allowed" else status_of(error)
    headers = {**headers_of(error), **({"allow": "GET, HEAD"} if status == 405 else {})}
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    if b"text/html" in accepted:
        body, kind = explain(error).encode() + b"\n", "text/plain; charset=utf-8"
    else:
        body, kind = msgspec.json.encode(problem_of(error)), MEDIA_TYPE
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs += [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    shown = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": shown})
