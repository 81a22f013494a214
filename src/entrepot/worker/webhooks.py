"""Telling receivers: plans deliveries and sends what is due, in this process, until it ends.

Every worker does it; no one of them is needed. None waits for another: a delivery is planned once
however many plan it, and claimed by one.
"""

import heapq
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from entrepot.assembly import Hub
from entrepot.core.webhooks import (
    ATTEMPT_SECONDS_MAX,
    Attempted,
    Due,
    Outgoing,
    Planner,
    claim_deliveries,
    hand_back,
    list_due,
    settle,
)
from entrepot.errors import EntrepotError, Unavailable
from entrepot.jobs import Halted
from entrepot.kit.outbound import fetch

_log = logging.getLogger(__name__)
LOOK_SECONDS = 0.25
# At once: in all, to one receiver, and to one whose last attempt failed. A receiver that takes
# its fifteen seconds each time holds up one of the threads.
AT_ONCE_MAX, AT_ONCE_OF_ONE, AT_ONCE_OF_FAILING = 32, 4, 1
ANSWER_BYTES_MAX = 16 * 1024
SETTLE_TRIES = 5
STOP_SECONDS_MAX = 2.0


class Courier:
    """Call `run` on a thread of its own, `stop` once it has been told to end."""

    def __init__(self, hub: Hub, *, pause: Callable[[float], None]) -> None:
        self._hub = hub
        self._pause = pause
        self._planner = Planner(hub.database, hub.now)
        self._under_way: dict[str, Due] = {}  # delivery -> webhook
        self._lock = threading.Lock()
        self._stopping = False

    def run(self) -> None:
        """Go on until the worker ends."""
        complained = False
        try:
            while True:
                try:
                    busy = self.look()
                    complained = False
                except EntrepotError as error:
                    busy = False
                    if not complained:
                        _log.warning("webhooks wait", extra={"reason": error.message})
                    complained = True
                except Halted:
                    raise
                except Exception:
                    busy = False
                    _log.exception("webhooks stumbled")
                self._pause(LOOK_SECONDS / 10 if busy else LOOK_SECONDS)
        except Halted:
            return

    def look(self) -> bool:
        """Plan, and begin to send what is due; whether there was anything to send."""
        self._planner.plan()
        hub = self._hub
        with hub.database.read() as tx:
            due = list_due(tx, now=hub.now())
        wanted = self._shares(due)
        if not wanted or self._stopping:
            return False
        with hub.database.write() as tx:
            claimed = [
                (of, each)
                for of, take in wanted.items()
                for each in claim_deliveries(tx, of.id, take=take, now=hub.now())
            ]
        for of, each in claimed:
            with self._lock:
                self._under_way[each.id] = of
            # Not of a pool: the end of the process would wait for its threads.
            threading.Thread(target=self._send, args=(each,), name="webhook", daemon=True).start()
        return bool(claimed)

    def _shares(self, due: Sequence[Due]) -> dict[Due, int]:
        """How many more each webhook may have under way: healthy ones first, then one by one those
        of whose organisation there is least, so that nobody's slow receivers take all places.
        """
        with self._lock:
            busy = list(self._under_way.values())
        of_organisation = Counter(each.organisation_id for each in busy)
        of_webhook = Counter(each.id for each in busy)

        def place(index: int) -> tuple[bool, int, int, int]:
            each = due[index]
            counts = of_organisation[each.organisation_id], of_webhook[each.id]
            return each.failing, *counts, index

        line = [place(index) for index in range(len(due))]
        heapq.heapify(line)
        free, shares = AT_ONCE_MAX - len(busy), Counter[Due]()
        while line and free > 0:
            index = line[0][-1]
            each = due[index]
            if of_webhook[each.id] >= (AT_ONCE_OF_FAILING if each.failing else AT_ONCE_OF_ONE):
                heapq.heappop(line)
            elif line[0] != place(index):  # others of its organisation were given places
                heapq.heapreplace(line, place(index))
            else:
                of_organisation[each.organisation_id] += 1
                of_webhook[each.id] += 1
                shares[each] += 1
                free -= 1
        return shares

    def _send(self, sent: Outgoing) -> None:
        try:
            attempted = self._attempt(sent)
            if not attempted.succeeded:
                told = {"webhook": sent.webhook_id, "delivery": sent.id, "why": attempted.reason}
                _log.info("a delivery failed", extra=told)
            self._settle(sent, attempted)
        except Exception:
            _log.exception("a delivery could not be tried", extra={"delivery": sent.id})
        finally:
            with self._lock:
                self._under_way.pop(sent.id, None)

    def _attempt(self, sent: Outgoing) -> Attempted:
        hub = self._hub
        at, began = hub.now(), time.monotonic()
        status, reason = None, ""
        try:
            reply = fetch(
                sent.url,
                method="POST",
                headers=sent.headers(hub.keys.box, now=at),
                body=sent.body,
                bytes_max=ANSWER_BYTES_MAX,
                seconds_max=ATTEMPT_SECONDS_MAX,
                private=hub.policy.outbound_private,
                truncate=True,
            )
            status = reply.status
            if not 200 <= status < 300:
                reason = f"The receiver answered {status}."
        except EntrepotError as error:
            reason = f"{error.code}: {error.message}"
        except Exception:
            # It counts, like any other failure: what is never settled is sent again without end.
            _log.exception("a delivery could not be tried", extra={"delivery": sent.id})
            reason = "The hub could not send it."
        return Attempted(status, reason, int((time.monotonic() - began) * 1000), at)

    def _settle(self, sent: Outgoing, attempted: Attempted) -> None:
        """What cannot be written now is sent again: at least once."""
        hub = self._hub
        for count in range(SETTLE_TRIES):
            try:
                with hub.database.write() as tx:
                    settle(tx, sent, attempted, now=hub.now())
            except Unavailable as error:
                _log.warning("an attempt is not noted yet", extra={"reason": error.message})
                time.sleep(0.1 * 2**count)
            else:
                return

    def stop(self) -> None:
        """Wait a little for what is under way, and leave the rest to other workers."""
        self._stopping = True
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while self._under_way and time.monotonic() < deadline:
            time.sleep(0.02)
        with self._lock:
            left = list(self._under_way)
        if left:
            try:
                with self._hub.database.write() as tx:
                    hand_back(tx, left, now=self._hub.now())
            except EntrepotError as error:
                _log.warning("deliveries are left", extra={"reason": error.message})
