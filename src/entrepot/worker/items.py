"""The job `convert_item`: one stored file by one recipe, for one order.

It is idempotent: what was settled is not begun again, a result that is kept is not made again,
and settling changes only what waits.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from entrepot.core.conversions.port import ConversionCancelled
from entrepot.core.conversions.recipes import recipe_from_document
from entrepot.core.conversions.results import Result, convert_once
from entrepot.core.orders import (
    begin_conversion,
    fail_conversion,
    give_back_conversion,
    settle_conversion,
)
from entrepot.core.orders.tables import order_items
from entrepot.db import Tx
from entrepot.errors import EntrepotError, Invalid, StorageFull
from entrepot.jobs import CONVERSIONS, VIDEOS, Halted, Task
from entrepot.worker.work import Watch, Work

_log = logging.getLogger(__name__)
DEFECT = "The hub failed at this file; what happened is in the operator's log."
NO_ROOM = "There was no room on the hub's disk for the result."


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be made for which order; `recipe_key` is the one the order knows it by."""

    order_id: int
    generation: int
    source_sha256: str
    recipe_key: str
    recipe: Mapping[str, Any]

    @property
    def queue(self) -> str:
        """Long work goes to a queue of its own."""
        return VIDEOS if self.recipe["runner"] in ("video", "audio") else CONVERSIONS

    @property
    def pair(self) -> tuple[int, str, str]:
        """How the order's verbs name it."""
        return self.order_id, self.source_sha256, self.recipe_key


def convert_item(work: Work, task: Task, item: Item) -> None:
    """Convert, and give the result or the reason to the order's items that wait for it."""
    database, now = work.hub.database, work.hub.now

    def tried() -> bool:
        with database.read() as tx:
            return _was_tried(tx, item)

    def begin() -> bool:
        with database.write() as tx:
            return begin_conversion(tx, *item.pair, now=now())

    suspect = work.patiently(task, tried)
    begun = False
    try:
        with (
            work.alone_at(task, item.source_sha256, item.recipe_key),
            work.turn(task, item.queue, suspect=suspect),
        ):
            # Only here: an attempt that waits its turn when the worker dies is not one.
            begun = work.patiently(task, begin)
            if not begun:
                return
            outcome = _attempt(work, task, item)
    except Halted:
        if begun:
            _give_back(work, item)
        raise
    if outcome is not None:
        work.patiently(task, lambda: _settle(work, item, outcome))


def _was_tried(tx: Tx, item: Item) -> bool:
    """Whether a worker has begun it before, and did not come back."""
    order_id, source_sha256, recipe_key = item.pair
    attempts = select(order_items.c.attempts).where(
        order_items.c.order_id == order_id,
        order_items.c.source_sha256 == source_sha256,
        order_items.c.recipe_key == recipe_key,
        order_items.c.attempts > 0,
    )
    return tx.execute(attempts.limit(1)).first() is not None


def _attempt(work: Work, task: Task, item: Item) -> Result | EntrepotError | None:
    """The result, why there is none, or None where nobody waits for it any more."""
    watch = Watch(work, task, item.order_id, item.generation)

    def convert() -> Result:
        return convert_once(
            work.hub.database,
            work.hub.blobs,
            work.converter,
            source_sha256=item.source_sha256,
            recipe=recipe_from_document(item.recipe),
            cancelled=watch,
            scratch=work.scratch,
            now=work.hub.now,
        )

    try:
        return work.patiently(task, convert)
    except ConversionCancelled:
        task.pause(0)
        return None
    except StorageFull:
        return StorageFull(NO_ROOM)
    except EntrepotError as error:
        return error
    except Halted:
        raise
    except Exception:
        _log.exception("a conversion failed by a defect of the hub", extra={"job": task.id})
        return Invalid(DEFECT, code="internal-error")


def _settle(work: Work, item: Item, outcome: Result | EntrepotError) -> None:
    with work.hub.database.write() as tx:
        if isinstance(outcome, Result):
            settle_conversion(tx, *item.pair, outcome, now=work.hub.now())
        else:
            fail_conversion(
                tx,
                *item.pair,
                code=outcome.code,
                message=outcome.message,
                now=work.hub.now(),
            )


def _give_back(work: Work, item: Item) -> None:
    """The attempt was cut short by an orderly end of the worker: it does not count."""
    try:
        with work.hub.database.write() as tx:
            give_back_conversion(tx, *item.pair)
    except EntrepotError as error:
        _log.warning("an attempt counts though it was cut short", extra={"reason": error.message})
