"""What is done from time to time, by one worker of the hub: expire, purge, sweep, mend."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from entrepot.assembly import STALE_SECONDS, Hub
from entrepot.core.accounts import purge_grants
from entrepot.core.catalogue import (
    drop_unused_bytes,
    fill_in_chunks,
    list_unchunked,
    sweep_bytes,
)
from entrepot.core.conversions.results import PURGE_MAX, purge_results
from entrepot.core.events import purge_events
from entrepot.core.manifests import list_due, list_signed_products, list_to_sign
from entrepot.core.orders import (
    BUILD_ORDER,
    OrderJob,
    complete_order,
    expire_orders,
    fail_order,
    list_jobless,
    list_stranded,
    purge_orders,
    release_former_files,
)
from entrepot.core.webhooks import disable_overfull, purge_deliveries
from entrepot.errors import EntrepotError
from entrepot.jobs import Halted
from entrepot.worker.manifests import renew_product, sign_by_kept_keys

_log = logging.getLogger(__name__)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
ORDERS_TAKE, ROWS_TAKE = 100, 1000  # in one transaction: SQLite's writers wait for it
PORTIONS_MAX = 200  # in one go; the rest comes with the next
STRANDED_AFTER = timedelta(minutes=1)
JOBLESS_AFTER = timedelta(minutes=10)
JOBS_MAX = 5  # of one generation of an order, before it fails
ENDED_JOBS_KEPT = timedelta(hours=1)
EXPIRY_TOLD = timedelta(days=30)  # before what a publisher signed expires
RESULTS_KEPT = timedelta(days=30)  # after their last use
_LOST = "The order's work was lost again and again; the operator's log says why."


class Schedule:
    """Tasks and when each is due. `eldest` says whether this worker is the one to do them."""

    def __init__(
        self, hub: Hub, *, eldest: Callable[[], bool], pause: Callable[[float], None]
    ) -> None:
        self._hub = hub
        self._eldest = eldest
        self._pause = pause
        self._tasks: dict[Callable[[], None], float] = {
            self.expire: MINUTE,
            self.complete_stranded: MINUTE,
            self.mend_jobless: MINUTE,
            self.tidy: MINUTE / 4,
            self.purge: 10 * MINUTE,
            self.sweep: DAY,
            self.fill_in_chunks: HOUR,
            self.sign_published: MINUTE,
            self.renew_manifests: 5 * MINUTE,
            self.warn_of_expiry: DAY,
            self.purge_webhooks: 10 * MINUTE,
            self.purge_audit: HOUR,
        }
        self._digested_to = ""
        self._mended_to = 0
        now = time.monotonic()
        self._due = {task: now + min(seconds, HOUR) / 6 for task, seconds in self._tasks.items()}

    def run(self) -> None:
        """Go on until the worker ends."""
        try:
            while True:
                self._pause(MINUTE / 12)
                for task, seconds in self._tasks.items():
                    if time.monotonic() >= self._due[task]:
                        self._due[task] = time.monotonic() + seconds
                        self._try(task)
        except Halted:
            return

    def _go_on_soon(self, task: Callable[[], None]) -> None:
        """There is more of it than is done in one go: at the next look, after other tasks."""
        self._due[task] = time.monotonic() + MINUTE / 12

    def _try(self, task: Callable[[], None]) -> None:
        try:
            if self._eldest():
                task()
        except EntrepotError as error:
            reason = {"task": task.__name__, "reason": error.message}
            _log.warning("not done this time", extra=reason)
        except Halted:
            raise
        except Exception:
            _log.exception("a task of the schedule failed", extra={"task": task.__name__})

    def _in_portions(self, portion: Callable[[], int], take: int) -> None:
        for _ in range(PORTIONS_MAX):
            if portion() < take:
                return
            self._pause(0.05)  # others want to write too

    def expire(self) -> None:
        """End delivered orders whose time is over."""

        def portion() -> int:
            with self._hub.database.write() as tx:
                return expire_orders(tx, take=ORDERS_TAKE, now=self._hub.now())

        self._in_portions(portion, ORDERS_TAKE)

    def complete_stranded(self) -> None:
        """Complete orders whose door died between accepting and completing them.

        One that cannot be completed now does not keep the others from it.
        """
        hub = self._hub
        with hub.database.read() as tx:
            found = list_stranded(tx, before=hub.now() - STRANDED_AFTER)
        for order_id in found:
            try:
                complete_order(hub.database, hub.blobs, order_id, rules=hub.media, now=hub.now)
            except EntrepotError as error:
                _log.warning(
                    "an order is not completed yet",
                    extra={"order_id": order_id, "reason": error.message},
                )
            except Exception:
                _log.exception("an order cannot be completed", extra={"order_id": order_id})

    def mend_jobless(self) -> None:
        """Give a new job to open orders whose job has ended without ending them.

        Some in one go, those that only wait for their turn among them; where there are more,
        soon the next ones.
        """
        with self._hub.database.read() as tx:
            before = self._hub.now() - JOBLESS_AFTER
            still = list_jobless(tx, before=before, after=self._mended_to, take=ORDERS_TAKE)
        more = len(still) == ORDERS_TAKE
        self._mended_to = still[-1].order_id if more else 0
        if more:
            self._go_on_soon(self.mend_jobless)
        for order in still:
            ids = [order.job_id, *(f"{order.job_id}-again-{n}" for n in range(1, JOBS_MAX))]
            states = self._hub.jobs.states(ids)
            if all(state.ended for state in states.values()):
                unused = next((each for each in ids[1:] if each not in states), None)
                self._begin_again(order, unused)

    def _begin_again(self, order: OrderJob, job_id: str | None) -> None:
        number, generation = order.order_id, order.generation
        with self._hub.database.write() as tx:
            if job_id is None:
                fail_order(tx, number, generation, reason=_LOST, now=self._hub.now())
                return
            self._hub.jobs.enqueue(
                tx,
                BUILD_ORDER,
                [number, generation],
                job_id=job_id,
                partition=order.partition,
                priority=order.priority,
            )
        _log.warning("an order that had lost its job goes on", extra={"order_id": number})

    def purge(self) -> None:
        """Forget orders, jobs and grants that ended, and results that nobody uses."""
        hub = self._hub

        def some_orders() -> int:
            with hub.database.write() as tx:
                return purge_orders(tx, take=ROWS_TAKE, now=hub.now())

        def some_results() -> int:
            with hub.database.write() as tx:
                gone = purge_results(tx, unused_since=hub.now() - RESULTS_KEPT)
            drop_unused_bytes(hub.database, hub.blobs, gone)
            return len(gone)

        def some_grants() -> int:
            with hub.database.write() as tx:
                return purge_grants(tx, take=ROWS_TAKE, now=hub.now())

        before = hub.now() - ENDED_JOBS_KEPT
        self._in_portions(lambda: hub.jobs.purge(before=before, take=ORDERS_TAKE), ORDERS_TAKE)
        self._in_portions(some_orders, ROWS_TAKE)
        self._in_portions(some_grants, ROWS_TAKE)
        self._in_portions(some_results, PURGE_MAX)

    def fill_in_chunks(self) -> None:
        """Digest the chunks of files that were stored before that was done at once.

        Some in one go, for other tasks wait; where there are more, soon the next ones. Those
        that cannot be read do not keep the others from it.
        """
        hub = self._hub
        with hub.database.read() as tx:
            lacking = list_unchunked(tx, after=self._digested_to)
        self._digested_to = lacking[-1] if lacking else ""
        if lacking:
            self._go_on_soon(self.fill_in_chunks)
        for sha256 in lacking:
            try:
                fill_in_chunks(hub.database, hub.blobs, [sha256])
            except EntrepotError as error:
                told = {"sha256": sha256, "reason": error.message}
                _log.warning("the chunks of a file are not digested", extra=told)
            self._pause(0.05)

    def sign_published(self) -> None:
        """Sign releases of those products whose keys the hub keeps."""
        lives, now = self._hub.policy.manifest_lives, self._hub.now()
        with self._hub.database.read() as tx:
            found = list_to_sign(tx, lives=lives, now=now)
        self._for_each_product(found, sign_by_kept_keys)

    def renew_manifests(self) -> None:
        """Say of each signed product, before the last word expires, that its state is current."""
        lives, now = self._hub.policy.manifest_lives, self._hub.now()
        with self._hub.database.read() as tx:
            found = list_due(tx, lives=lives, take=ROWS_TAKE, now=now)
        self._for_each_product(found, renew_product)

    def _for_each_product(self, found: Sequence[int], do: Callable[[Hub, int], object]) -> None:
        """One product that cannot be signed does not keep the others from it."""
        for product_id in found:
            try:
                do(self._hub, product_id)
            except EntrepotError as error:
                told = {"product_id": product_id, "reason": error.message}
                _log.warning("a product is not signed", extra=told)
            self._pause(0.01)

    def warn_of_expiry(self) -> None:
        """Tell the operator in time what only a publisher can renew."""
        soon = self._hub.now() + EXPIRY_TOLD
        with self._hub.database.read() as tx:
            found = list_signed_products(tx)
        for row in found:
            if row.expires_at < soon:
                told = {"product_id": row.product_id, "expires_at": str(row.expires_at)}
                _log.warning("%s metadata has to be signed anew", row.role, extra=told)

    def purge_webhooks(self) -> None:
        """Forget deliveries of long ago; end webhooks that far too much waits for."""
        hub = self._hub

        def some() -> int:
            with hub.database.write() as tx:
                return purge_deliveries(tx, take=ROWS_TAKE, now=hub.now())

        with hub.database.write() as tx:
            overfull = disable_overfull(tx, now=hub.now())
        if overfull:
            _log.warning("webhooks are disabled", extra={"webhooks": overfull})
        self._in_portions(some, ROWS_TAKE)

    def purge_audit(self) -> None:
        """Forget events that are older than the operator keeps them."""
        hub = self._hub
        days = hub.policy.audit_days
        if not days:
            return

        def some() -> int:
            with hub.database.write() as tx:
                before = hub.now() - timedelta(days=days)
                return purge_events(tx, before=before, take=ROWS_TAKE, now=hub.now())

        self._in_portions(some, ROWS_TAKE)

    def tidy(self) -> None:
        """Remove the temporary files of killed processes; those of living ones are locked."""
        self._hub.blobs.sweep(older_than_seconds=0)

    def sweep(self) -> None:
        """Remove bytes that nothing refers to."""
        hub = self._hub
        sweep_bytes(
            hub.database,
            hub.blobs,
            older_than_seconds=STALE_SECONDS,
            release=partial(release_former_files, hub.database, now=hub.now),
            now=hub.now,
        )
