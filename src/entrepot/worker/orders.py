"""The job `build_order`: plan what is left to plan, have everything converted, complete.

It keeps at most WINDOW conversions of an order in the queue, so that an order of 100,000 items
neither fills it nor its own history, and adds more as they are settled. Nothing is remembered
between runs: what is left to do is read from the order's items, so it may begin anew at any
point.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from entrepot.core.conversions.recipes import recipe_to_document
from entrepot.core.orders import (
    OrderJob,
    PendingConversion,
    complete_order,
    fail_conversion,
    fail_order,
    find_job,
    is_cancelled,
    list_pending,
    plan_some,
)
from entrepot.db import Tx
from entrepot.errors import EntrepotError, StorageFull
from entrepot.jobs import Halted, JobState, Task, conversions_on
from entrepot.worker.items import Item
from entrepot.worker.work import Work

_log = logging.getLogger(__name__)
WINDOW = 32  # conversions of one order in the queue
LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 0.1, 2.0
# So long nothing of an order is settled before its jobs themselves are looked at.
STILL_SECONDS = 10.0
ROUNDS_MAX = 5  # how often a conversion whose job was lost is enqueued again
NO_ROOM = "There was no room on the hub's disk for the list of its files."
DEFECT = "The hub failed at this order; what happened is in the operator's log."


def build_order(work: Work, task: Task, order_id: int, generation: int) -> None:
    """Bring the order to its end, whatever that is."""

    def plan() -> bool:
        with work.hub.database.write() as tx:
            if is_cancelled(tx, order_id, generation):
                return False
            return plan_some(tx, order_id, now=work.hub.now())

    try:
        while work.patiently(task, plan):
            task.pause(0)
        if _Conversions(work, task, order_id, generation).finish():
            work.patiently(task, lambda: _complete(work, order_id, generation))
    except Halted:
        raise
    except StorageFull:
        _fail(work, task, order_id, generation, NO_ROOM)
    except EntrepotError as error:
        _fail(work, task, order_id, generation, error.message)
    except Exception:
        _log.exception("an order failed by a defect of the hub", extra={"order_id": order_id})
        _fail(work, task, order_id, generation, DEFECT)


def _complete(work: Work, order_id: int, generation: int) -> None:
    hub = work.hub
    with work.packing:
        complete_order(
            hub.database, hub.blobs, order_id, rules=hub.media, generation=generation, now=hub.now
        )


def _fail(work: Work, task: Task, order_id: int, generation: int, reason: str) -> None:
    def fail() -> None:
        with work.hub.database.write() as tx:
            fail_order(tx, order_id, generation, reason=reason, now=work.hub.now())

    work.patiently(task, fail)


@dataclass(slots=True)
class _Conversions:
    """The conversions of one order: which have been enqueued, and whether they get on."""

    work: Work
    task: Task
    order_id: int
    generation: int
    sent: dict[str, int] = field(default_factory=dict)  # name -> in which round
    _last: Sequence[str] = ()
    _moved_at: float = field(default_factory=time.monotonic)

    def finish(self) -> bool:
        """Return once all are settled; False: the order was cancelled."""
        wait = LOOK_SECONDS_MIN
        while True:
            found = self.work.patiently(self.task, self._look)
            if found is None:
                return False
            if not found:
                return True
            names = [self._name(each) for each in found]
            if names != self._last:
                self._last, self._moved_at, wait = names, time.monotonic(), LOOK_SECONDS_MIN
            elif time.monotonic() - self._moved_at > STILL_SECONDS:
                self._moved_at = time.monotonic()
                self.work.patiently(self.task, lambda: self._mend(found))  # noqa: B023
            new = [each for each in found if self._name(each) not in self.sent]
            if new:
                self.work.patiently(self.task, lambda: self._send(new))  # noqa: B023
            self.task.pause(wait)
            wait = min(1.5 * wait, LOOK_SECONDS_MAX)

    def _look(self) -> list[PendingConversion] | None:
        with self.work.hub.database.read() as tx:
            if is_cancelled(tx, self.order_id, self.generation):
                return None
            return list_pending(tx, self.order_id, take=WINDOW)

    def _name(self, pending: PendingConversion) -> str:
        digest = hashlib.sha256(f"{pending.source_sha256} {pending.recipe_key}".encode())
        return f"order-{self.order_id}-{self.generation}-{digest.hexdigest()[:32]}"

    def _job_id(self, name: str) -> str:
        return f"{name}-{self.sent.get(name, 1)}"

    def _send(self, new: Sequence[PendingConversion]) -> None:
        with self.work.hub.database.write() as tx:
            order = find_job(tx, self.order_id)
            for each in new:
                self._enqueue(tx, each, order)
        for each in new:
            self.sent.setdefault(self._name(each), 1)

    def _enqueue(self, tx: Tx, pending: PendingConversion, order: OrderJob) -> None:
        document = recipe_to_document(pending.recipe)
        item = Item(
            self.order_id, self.generation, pending.source_sha256, pending.recipe_key, document
        )
        self.work.hub.jobs.enqueue(
            tx,
            "convert_item",
            [self.order_id, self.generation, item.source_sha256, item.recipe_key, document],
            job_id=self._job_id(self._name(pending)),
            partition=order.partition,
            priority=order.priority,
            queue=item.queue,
        )

    def _mend(self, found: Sequence[PendingConversion]) -> None:
        """Nothing moves: enqueue again what has lost its job, and give up what nobody can do."""
        states = self.work.hub.jobs.states([self._job_id(self._name(each)) for each in found])
        with self.work.hub.database.write() as tx:
            off = not conversions_on(tx)
            order = find_job(tx, self.order_id)
            for each in found:
                name = self._name(each)
                lost = states.get(self._job_id(name), JobState.DONE).ended
                if off or (lost and self.sent.get(name, 1) >= ROUNDS_MAX):
                    self._give_up(tx, each, off=off)
                elif lost:
                    self.sent[name] = self.sent.get(name, 1) + 1
                    self._enqueue(tx, each, order)

    def _give_up(self, tx: Tx, pending: PendingConversion, *, off: bool) -> None:
        fail_conversion(
            tx,
            self.order_id,
            pending.source_sha256,
            pending.recipe_key,
            code="conversions-off" if off else "conversion-given-up",
            message="Conversions are switched off on this hub." if off else DEFECT_OF_JOB,
            now=self.work.hub.now(),
        )


DEFECT_OF_JOB = "Its job was lost again and again; what happened is in the operator's log."
