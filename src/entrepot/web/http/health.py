"""Liveness, readiness and metrics, for probes and for Prometheus."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import msgspec

from entrepot.blobs import ReserveState
from entrepot.core.accounts import OPERATOR, require_role
from entrepot.errors import EntrepotError
from entrepot.jobs import Presence, conversions_on, find_presence
from entrepot.web.http import metrics
from entrepot.web.http.callers import Caller, caller_of
from entrepot.web.http.edge import Edge

READY_SECONDS_MAX = 2.0
# A proxy on this machine looks like loopback: what it passes on comes from elsewhere.
_PASSED_ON = frozenset({"forwarded", "x-forwarded-for", "x-real-ip", "via"})


class HealthDoor:
    """ASGI for /healthz (the process answers), /readyz (it can do its work) and /metrics.

    /readyz also tells how many workers are alive and whether conversions are on.

    Metrics are given to callers on loopback, not through a proxy there, and to operators.
    """

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __call__(
        self,
        scope: Mapping[str, Any],
        _receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        path, method = scope["path"], scope["method"]
        if method not in ("GET", "HEAD"):
            await _answer(send, 405, {"status": "method not allowed"}, method)
        elif path == "/healthz":
            await _answer(send, 200, {"status": "ok"}, method)
        elif path == "/readyz":
            faults, work = await self._look()
            status = {"status": "unavailable" if faults else "ready", **faults, **work}
            await _answer(send, 503 if faults else 200, status, method)
        elif path == "/metrics":
            await self._metrics(caller_of(scope, self._edge.hub.policy), send, method)
        else:
            await _answer(send, 404, {"status": "not found"}, method)

    async def _look(self) -> tuple[dict[str, str], dict[str, str]]:
        """What keeps this process from its work, and who is at the work behind it."""
        try:
            return await asyncio.wait_for(self._edge.run(self._check), READY_SECONDS_MAX)
        except TimeoutError:
            return {"database": "did not answer in time"}, {}

    def _check(self) -> tuple[dict[str, str], dict[str, str]]:
        hub = self._edge.hub
        faults: dict[str, str] = {}
        work: dict[str, str] = {}
        try:
            with hub.database.read() as tx:
                work = _describe_work(find_presence(tx), on=conversions_on(tx))
        except EntrepotError as error:
            faults["database"] = error.message
        try:
            hub.blobs.check()
        except EntrepotError as error:
            faults["blobs"] = error.message
        if hub.reserve.state() is not ReserveState.HELD:
            faults["disk"] = "The disk reserve is used up: free some space."
        return faults, work

    async def _metrics(
        self, caller: Caller, send: Callable[[Any], Awaitable[None]], method: str
    ) -> None:
        if not await self._may_see_metrics(caller):
            await _answer(send, 403, {"status": "metrics are for loopback and operators"}, method)
            return
        body = await self._edge.run(self._render)
        await _send(send, 200, metrics.CONTENT_TYPE, body, method)

    def _render(self) -> bytes:
        with suppress(EntrepotError), self._edge.hub.database.read() as tx:
            presence = find_presence(tx)
            metrics.note_workers(presence.alive, presence.converting)
        return metrics.render()

    async def _may_see_metrics(self, caller: Caller) -> bool:
        if caller.bearer_token() is None:
            if _PASSED_ON.intersection(caller.headers):
                return False
            try:
                return ip_address(caller.address).is_loopback
            except ValueError:
                return False
        try:
            require_role(await self._edge.authenticate(caller), OPERATOR, scope="admin")
        except EntrepotError:
            return False
        return True


def _describe_work(presence: Presence, *, on: bool) -> dict[str, str]:
    """Workers may be away while pages and downloads go on: that is told, and no fault."""
    off = f"off: {presence.note}" if presence.note else "off"
    return {"workers": str(presence.alive), "conversions": "on" if on else off}


async def _answer(
    send: Callable[[Any], Awaitable[None]], status: int, body: Mapping[str, str], method: str
) -> None:
    await _send(send, status, "application/json", msgspec.json.encode(body), method)


async def _send(
    send: Callable[[Any], Awaitable[None]], status: int, kind: str, body: bytes, method: str
) -> None:
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
