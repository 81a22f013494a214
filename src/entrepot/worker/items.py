"""The job `convert_item`: one stored file by one recipe, for one order.

It is idempotent: what was settled is not begun again, a result that is kept is not made again,
and settling changes only what waits.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.conversions.port import ConversionCancelled
from entrepot.core.conversions.recipes import recipe_from_document
from entrepot.core.conversions.results import Result, convert_once
from entrepot.core.orders import (
    begin_conversion,
    fail_conversion,
    give_back_conversion,
    settle_conversion,
    was_tried,
)
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
            return was_tried(tx, *item.pair)

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
