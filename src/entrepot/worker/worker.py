"""One worker: takes jobs and converts, in this process, until it is told to stop."""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrepot.assembly import Hub
from entrepot.core.catalogue import MEASURE_ASSET
from entrepot.core.conversions.sandbox import sandbox_available
from entrepot.core.orders import BUILD_ORDER
from entrepot.jobs import CONVERSIONS, ORDERS, VIDEOS, Queue, Runner, Task
from entrepot.worker.converters import Converters
from entrepot.worker.items import Item, convert_item
from entrepot.worker.measuring import measure_asset
from entrepot.worker.orders import build_order
from entrepot.worker.schedule import Schedule
from entrepot.worker.webhooks import Courier
from entrepot.worker.work import Work

_log = logging.getLogger(__name__)
# Orders are waited for, not worked at: many at once cost little. A customer's large ones must
# not keep a small one of the same customer waiting.
ORDERS_MAX, ORDERS_OF_ONE_MAX = 128, 32
# The engine looks for new jobs so often. Some are taken ahead, to be there when a place is free.
POLL_SECONDS = 0.2
AHEAD = 3
SANDBOX_TRIES = 2


def _try_sandbox() -> tuple[bool, str]:
    """As `sandbox_available`; a machine that is only slow just now gets another chance."""
    for _ in range(SANDBOX_TRIES - 1):
        if sandbox_available()[0]:
            break
        sandbox_available.cache_clear()
        time.sleep(1)
    return sandbox_available()


class Worker:
    """Call `start` once, `stop` once, and end the process after it.

    `slots`: how many pictures and documents are converted at once, by a process each; half as
    many videos and sounds beside them. `scratch`: where results lie until they are stored.
    """

    def __init__(self, hub: Hub, *, slots: int, scratch: Path | None = None) -> None:
        self._hub = hub
        places = {CONVERSIONS: slots, VIDEOS: max(1, slots // 2)}
        self.converts, self.note = _try_sandbox()
        self._converters = Converters(hub.media, places)
        turns = {name: threading.Semaphore(count) for name, count in places.items()}
        self._work = Work(hub, self._converters, turns, scratch)
        queues = [Queue(ORDERS, ORDERS_MAX, ORDERS_OF_ONE_MAX, POLL_SECONDS)]
        if self.converts:
            queues += [
                Queue(name, count * AHEAD, count * AHEAD, POLL_SECONDS)
                for name, count in places.items()
            ]
        self._runner = Runner(
            hub.database,
            hub.jobs,
            {
                BUILD_ORDER: self._build_order,
                "convert_item": self._convert_item,
                MEASURE_ASSET: self._measure_asset,
            },
            queues,
            converts=self.converts,
            note=self.note,
        )
        self._schedule = Schedule(hub, eldest=self._runner.is_eldest, pause=self._runner.pause)
        self._courier = Courier(hub, pause=self._runner.pause)

    def start(self) -> None:
        """Begin; returns once jobs are being taken."""
        if not self.converts:
            _log.warning(
                "conversions are off: orders of stored files only", extra={"reason": self.note}
            )
        self._runner.start()
        threading.Thread(target=self._schedule.run, name="schedule", daemon=True).start()
        threading.Thread(target=self._courier.run, name="courier", daemon=True).start()

    def stop(self) -> None:
        """Leave what runs to other workers; within five seconds or so."""
        self._runner.stop()
        self._courier.stop()
        self._converters.close()

    def _build_order(self, task: Task, order_id: int, generation: int) -> None:
        build_order(self._work, task, order_id, generation)

    def _measure_asset(self, task: Task, asset_id: int, sha256: str) -> None:
        measure_asset(self._work, task, asset_id, sha256)

    def _convert_item(
        self,
        task: Task,
        order_id: int,
        generation: int,
        source_sha256: str,
        recipe_key: str,
        recipe: Mapping[str, Any],
    ) -> None:
        item = Item(order_id, generation, source_sha256, recipe_key, recipe)
        convert_item(self._work, task, item)
