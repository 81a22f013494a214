"""Taking files in: bytes first, then the row, and nothing of it where one fails."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from entrepot.assembly import Hub
from entrepot.core.catalogue import DownloadFile, drop_unused_bytes, hold_bytes
from entrepot.db import Tx
from entrepot.errors import Invalid, Unavailable
from entrepot.web.http.edge import Edge
from entrepot.web.http.incoming import IncomingFile
from entrepot.web.http.threads import Threads
from entrepot.web.products_api._bodies import Wanted
from entrepot.web.products_api._errors import AnyRequest, Faults, data_faults, file_faults
from entrepot.web.products_api._forms import read_form
from entrepot.web.products_api._sources import Source

# Each has a thread of its own, so that slow senders never hold up the other requests.
INTAKES_MAX = 8
BUSY_SECONDS = 10

T = TypeVar("T")
Keep: TypeAlias = Callable[[Tx, Wanted, DownloadFile | None], T]
"""Writes the row; its file's bytes are stored and held."""
Still: TypeAlias = Callable[[], None]
"""Raises where the caller, who was let in when the file began to come, may not any more."""
_Gather: TypeAlias = Callable[[list[str]], tuple[Wanted, DownloadFile | None]]


class Intake:
    """Takes files in, a few at a time. One per process."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._hub = edge.hub
        # They end with the process: what another host sends late must not hold up its end.
        self._threads = Threads(INTAKES_MAX, name="entrepot-intake")
        self._running = 0

    async def from_form(
        self, request: AnyRequest, keep: Keep[T], still: Still, own: str | None = None
    ) -> T:
        """Store the file of a form while it comes in, then keep it. `own`: see `parse_data`."""
        file = IncomingFile(request.receive, _length(request, self._hub.policy.upload_bytes_max))
        content_type = request.headers.get("content-type", "")

        def gather(kept: list[str]) -> tuple[Wanted, DownloadFile | None]:
            form = read_form(self._hub, file, content_type, kept, own)
            if form.file is None and form.wanted.source is not None:
                return form.wanted, self._store(form.wanted.source, kept)
            return form.wanted, form.file

        async def run() -> T:
            filling = asyncio.create_task(file.fill())
            try:
                return await self._run(gather, keep, still)
            finally:
                # Where reading stopped early; the reader of one that is broken off fails by it.
                filling.cancel()
                await asyncio.gather(filling, return_exceptions=True)

        return await self._in_turn(run)

    async def from_source(self, wanted: Wanted, keep: Keep[T], still: Still) -> T:
        """Store the file that a body names, then keep it."""

        def gather(kept: list[str]) -> tuple[Wanted, DownloadFile | None]:
            assert wanted.source is not None
            return wanted, self._store(wanted.source, kept)

        return await self._in_turn(lambda: self._run(gather, keep, still))

    def _store(self, source: Source, kept: list[str]) -> DownloadFile:
        """The file that a text names: a Data URI or an address."""
        with file_faults():
            found = source.store(self._hub)
        kept.append(found.stored.digests.sha256)
        return found

    async def _in_turn(self, run: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._running >= INTAKES_MAX:
            raise Unavailable(
                f"{INTAKES_MAX} files are being taken in.",
                remedy="Try again when one of them has ended.",
                retry_after_seconds=BUSY_SECONDS,
            )
        self._running += 1
        try:
            return await run()
        finally:
            self._running -= 1

    async def _run(self, gather: _Gather, keep: Keep[T], still: Still) -> T:
        return await self._threads.run(lambda: _take_in(self._hub, gather, keep, still))


def _take_in(hub: Hub, gather: _Gather, keep: Keep[T], still: Still) -> T:
    """On a thread of its own."""
    kept: list[str] = []
    try:
        wanted, file = gather(kept)
        if file is not None:
            directory, name = wanted.directory, wanted.file_name or file.file_name
            file = DownloadFile(file.stored, name, directory, file.source_url)
        still()
        with hub.database.write() as tx, data_faults():
            if file is not None:
                hold_bytes(tx, hub.blobs, [file.stored.digests], now=hub.now())
            return keep(tx, wanted, file)
    except BaseException:
        drop_unused_bytes(hub.database, hub.blobs, kept)
        raise


def _length(request: AnyRequest, size_max: int | None) -> int | None:
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Invalid(
            "The file would be stored encoded.",
            field="Content-Encoding",
            remedy="Send it as it is, without Content-Encoding.",
        )
    said = request.headers.get("content-length", "")
    length = int(said) if said.isascii() and said.isdigit() and len(said) < 19 else None
    if size_max is not None and length is not None and length > size_max + 2**20:
        raise Faults(
            [
                Invalid(
                    f"The file is larger than {size_max} bytes, the most that is accepted here.",
                    field="file",
                    code="object-too-large",
                    remedy="Send a smaller file, or have the operator raise the limit.",
                )
            ]
        )
    return length
