"""The ZIPs that this process has laid out lately."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from entrepot.core.delivery import Archive, Package, lay_out_package
from entrepot.web.http.edge import Edge

# An entry costs about 250 bytes: 100 MB in all, however the entries are shared out.
ENTRIES_KEPT_MAX = 400_000
# While it is laid out, an archive costs three times that, and all of a thread: others wait.
LAID_OUT_AT_ONCE_MAX = 1
# What an archive costs besides its entries, counted in entries.
_ARCHIVE_ENTRIES = 4


class Layouts:
    """Package -> archive, laid out once on a worker thread however many wait.

    The least recently used go first, and `dropped` is told, so that nothing else keeps them in
    memory; the newest stays, however large it is.
    """

    def __init__(self, edge: Edge, dropped: Callable[[Archive], None]) -> None:
        self._edge = edge
        self._dropped = dropped
        self._kept: OrderedDict[Package, Archive] = OrderedDict()
        self._making: dict[Package, asyncio.Task[Archive]] = {}
        self._weight = 0
        self._turns = asyncio.Semaphore(LAID_OUT_AT_ONCE_MAX)

    async def hold(self, package: Package) -> Archive:
        """The archive of `package`; Unavailable where its list of entries cannot be read."""
        kept = self._kept.get(package)
        if kept is not None:
            self._kept.move_to_end(package)
            return kept
        task = self._making.get(package)
        if task is None:
            task = asyncio.create_task(self._make(package))
            self._making[package] = task
            task.add_done_callback(lambda _: self._making.pop(package, None))
        # Shielded, so that one client that leaves does not take the answer from the others.
        return await asyncio.shield(task)

    async def _make(self, package: Package) -> Archive:
        async with self._turns:
            archive = await self._edge.run(partial(lay_out_package, package, self._edge.hub.blobs))
        self._kept[package] = archive
        self._weight += len(archive) + _ARCHIVE_ENTRIES
        while self._weight > ENTRIES_KEPT_MAX and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._weight -= len(oldest) + _ARCHIVE_ENTRIES
            self._dropped(oldest)
        return archive

    def keeps(self, package: Package) -> bool:
        """Whether the archive of `package` is here."""
        return package in self._kept
