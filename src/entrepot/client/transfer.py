"""The transfer of one file into a partial: by one connection, and by more where they pay.

The first connection is patient: it waits, tries again, asks for new links. The others help while
they bring something; what one leaves behind, another takes up. No two write the same bytes.
"""

import logging
import threading
from time import monotonic

from entrepot.client.bodies import Body, open_body
from entrepot.client.conditions import TRICKLE_BYTES, Conditions, Watcher, trickling
from entrepot.client.errors import Cancelled, Unreachable
from entrepot.client.extents import Claim, Division
from entrepot.client.growth import Growth
from entrepot.client.hashing import FrontHasher
from entrepot.client.links import LinkDied, Links
from entrepot.client.partial import Partial
from entrepot.client.pool import Pool
from entrepot.client.stop import Stop
from entrepot.client.verification import BUFFER_BYTES, Expected

_FURTHER_BUFFER_BYTES = 256 * 1024
_SHOWN_SECONDS = 0.05
_log = logging.getLogger(__name__)


class Changed(Unreachable):
    """The hub has another file under this link by now; it has to be fetched from the start."""


class _RangesIgnored(Exception):  # noqa: N818 - a signal inside this module
    """The whole file came where a part was asked for."""


class Transfer:
    """The state of one transfer: what is written, hashed, and known of the source.

    `met` is what a first request ran into; it is dealt with as if it had been made here.
    """

    def __init__(
        self,
        links: Links,
        partial: Partial,
        expected: Expected,
        conditions: Conditions,
        watcher: Watcher,
        met: Exception | None = None,
    ) -> None:
        self._links = links
        self._partial = partial
        self._expected = expected
        self._size = self._announced()
        self._times = conditions.times
        self._backoff = conditions.backoff
        self._rate = conditions.rate
        self._pool = conditions.pool or Pool()
        self._own_pool = self._pool if conditions.pool is None else None
        self._stop = conditions.stop
        self._halt = Stop(conditions.stop)  # of this transfer alone
        self._watcher = watcher
        self._name = partial.target.name
        self._shown = 0.0
        self._division = Division()
        self._growth = Growth(
            conditions.connections, self._rate.bytes_per_second if self._rate else None
        )
        self._others: set[threading.Thread] = set()
        self._adding = threading.Lock()
        self._fatal: BaseException | None = None
        self._met = met
        self.digest = ""  # of the whole file, once it is right
        self._hasher = FrontHasher(partial, expected, self._halt)

    def run(self) -> None:
        """Fetch until the file is whole and its digest is right. Raises every ClientError."""
        self._resume_at_the_end()
        if self._partial.size:
            _log.info("%s: %d bytes are here already", self._name, self._partial.size)
            self._watcher.at(self._name, self._partial.size)
        try:
            with self._pool.transfer():
                self._fill()
        except Cancelled:
            # Perhaps by another connection, which failed and stopped all.
            self._check_fatal()
            raise
        self._watcher.at(self._name, self._partial.size)
        hasher = self._hasher.finish(self._partial.size)
        self._expected.check(self._partial.size, hasher)
        self.digest = hasher.hexdigest()

    def rehash(self) -> None:
        """Bytes that had been hashed were replaced."""
        self._hasher.close()
        self._hasher = FrontHasher(self._partial, self._expected, self._halt)

    def restart(self) -> None:
        """Forget everything but the target and the link."""
        self._met = None
        self._end_others()
        self._hasher.close()
        self._partial.restart()
        self._size = self._announced()
        self._hasher = FrontHasher(self._partial, self._expected, self._halt)
        self._watcher.at(self._name, 0)

    def start_with_new_link(self) -> None:
        """Fetch from the start by another link; perhaps it leads elsewhere."""
        self.restart()
        self._links.forget()

    def close(self) -> None:
        """End what runs beside."""
        self._end_others()
        self._hasher.close()
        self._halt.close()
        if self._own_pool is not None:
            self._own_pool.close()

    def _announced(self) -> int | None:
        """The size to begin with; that of an empty file without a digest is asked for."""
        return self._expected.size if self._expected.size or self._expected.digest else None

    def _resume_at_the_end(self) -> None:
        """Where nothing else proves that it is still the same file, ask for one byte at least."""
        size = self._expected.size
        if size and not self._expected.digest and self._partial.size >= size:
            self._partial.forget(size - 1, size)
            self.rehash()

    def _fill(self) -> None:
        """What the first connection does: fetch until nothing is missing."""
        failures = 0
        self._division.reset(self._missing())
        while True:
            claim = self._division.take()
            if claim is None:
                if self._is_whole():
                    return
                continue
            before = self._partial.size
            try:
                self._fetch_claim(claim, first=True)
            except LinkDied as died:
                self._links.bury(died, moved=self._moved(before))
            except Changed as error:
                self._begin_anew()
                failures += 1
                self._pause(error, failures)
            except Unreachable as error:
                self._division.give_back(claim)
                failures = 1 if self._moved(before) else failures + 1
                self._pause(error, failures)
            finally:
                self._division.give_back(claim)

    def _is_whole(self) -> bool:
        """Wait a little for the others; when there are none left, see what is missing."""
        others = self._helping()
        for other in others:
            other.join(0.02)
        self._halt.check()
        if others:
            return False
        missing = self._missing()
        self._division.reset(missing)
        return not missing

    def _missing(self) -> list[tuple[int, int | None]]:
        if self._size is None:
            return [(self._partial.front, None)]
        return [*self._partial.gaps(self._size)]

    def _moved(self, before: int) -> bool:
        return self._partial.size - before >= TRICKLE_BYTES

    def _pause(self, error: Unreachable, failures: int) -> None:
        self._halt.check()
        asked = error.retry_after_seconds
        if not error.worth_retrying or not self._backoff.allows(failures, asked):
            raise error
        pause = self._backoff.seconds(failures, asked)
        self._watcher.trouble(self._name, error.message, pause)
        self._halt.wait(pause)

    def _begin_anew(self) -> None:
        self.restart()
        self._division.reset(self._missing())
        self._growth.restart()

    # Connections

    def _fetch_claim(self, claim: Claim, *, first: bool) -> None:
        self._halt.check()
        met, self._met = self._met, None
        if met is not None:
            raise met
        link = self._links.current()
        end = None if claim.end in (None, self._size) else claim.end
        etag = self._partial.etag
        body = open_body(self._pool, link, self._times, self._halt, claim.at, end, etag)
        try:
            with self._halt.watching(body.connection.sock):
                self._accept(body, claim, first=first)
                self._receive(body, claim, first=first)
        finally:
            body.close()

    def _accept(self, body: Body, claim: Claim, *, first: bool) -> None:
        """Check the head of the answer against what was asked for and announced."""
        head, held = body.head, self._partial
        if head.status == 416:
            raise Changed("The file changed at the hub while it was fetched.")
        if head.status == 206:
            same_size = self._size is None or head.total in (None, self._size)
            if head.begin != claim.at or not same_size or held.etag not in ("", head.etag):
                raise Changed("The file changed at the hub while it was fetched.")
            if self._size is None and head.total is not None:
                self._size = claim.end = head.total
            return
        announced = self._expected.size
        self._expected.check_total(head.total)
        if claim.at or held.size:
            if not first:
                raise _RangesIgnored
            if self._others:
                raise Changed("The file changed at the hub while it was fetched.")
            _log.info("%s: the hub sends the file from the start", self._name)
            self.restart()
            self._growth.refuse(ranges=False)
        self._size = announced if announced is not None else head.total
        claim.at, claim.end = 0, self._size
        self._division.sole(claim)
        held.note(head.etag)
        self._growth.restart()

    def _receive(self, body: Body, claim: Claim, *, first: bool) -> None:
        """Write the body; raises Unreachable when it ends early or trickles."""
        buffer = self._buffer(claim, first=first)
        window_start, window_bytes = monotonic(), 0
        while claim.end is None or claim.at < claim.end:
            count = body.read(buffer)
            self._halt.check()
            if count == 0:
                break
            if self._rate is not None:
                self._rate.take(count, self._halt)
            buffer = self._keep(claim, buffer, count)
            self._tell(count)
            window_bytes += count
            if monotonic() - window_start >= self._times.stall_seconds:
                if window_bytes < TRICKLE_BYTES:
                    raise trickling(body.connection.origin)
                window_start, window_bytes = monotonic(), 0
        if claim.end is not None and claim.at >= claim.end:
            if body.left is None and claim.end == self._expected.size and body.read(buffer):
                raise self._expected.too_many()
            return
        if body.left or claim.end is not None:
            raise Unreachable(f"The connection to {body.connection.origin} was cut.")
        # Its length was not told, and the answer has ended.
        self._size = claim.end = claim.at

    def _buffer(self, claim: Claim, *, first: bool) -> memoryview:
        size = BUFFER_BYTES if first else _FURTHER_BUFFER_BYTES
        if claim.end is not None:
            size = min(size, max(claim.end - claim.at, 1))
        if self._rate is not None:
            size = min(size, self._rate.portion_bytes)
        return memoryview(bytearray(size))

    def _keep(self, claim: Claim, buffer: memoryview, count: int) -> memoryview:
        """Write what came to its place and hash it; the buffer for what comes next."""
        at = claim.at
        count = self._division.advance(claim, count)
        self._partial.write(at, buffer[:count])
        self._partial.checkpoint()
        return self._hasher.hand_over(at, buffer, count)

    def _tell(self, count: int) -> None:
        now = monotonic()
        if now - self._shown >= _SHOWN_SECONDS:
            self._shown = now
            self._watcher.at(self._name, self._partial.size)
        if self._size is not None:
            rest = self._size - self._partial.size
            if self._growth.note(count, rest) > len(self._others) + 1 and self._can_share():
                self._add_connection()

    def _can_share(self) -> bool:
        """Only what is proved to be one file is put together from several answers."""
        return bool(self._partial.etag or self._expected.digest) and self._fatal is None

    # Further connections

    def _add_connection(self) -> None:
        with self._adding:
            if len(self._others) + 1 >= self._growth.wanted or not self._pool.enter():
                return
            claim = self._division.take()
            if claim is None:
                self._pool.leave()
                return
            further = threading.Thread(target=self._help, args=(claim,), daemon=True)
            try:
                self._others.add(further)
                further.start()
            except BaseException as error:
                # No room for another thread: it goes on with fewer. Where it was Ctrl-C it may have
                # begun all the same, and finds that nobody waits for it.
                self._others.discard(further)
                self._division.give_back(claim)
                self._pool.leave()
                if not isinstance(error, RuntimeError):
                    raise
                self._growth.refuse()

    def _help(self, given: Claim) -> None:
        """What a further connection does: fetch parts as long as that goes well."""
        if threading.current_thread() not in self._helping():
            return
        claim: Claim | None = given
        try:
            while claim is not None:
                before = claim.at
                try:
                    self._fetch_claim(claim, first=False)
                except LinkDied as died:
                    self._links.bury(died, moved=claim.at > before)
                except _RangesIgnored:
                    self._growth.refuse(ranges=False)
                    return
                except Unreachable:
                    if claim.at - before < TRICKLE_BYTES:
                        self._growth.refuse()
                        return
                finally:
                    self._division.give_back(claim)
                claim = None if self._is_one_too_many() else self._division.take()
        except BaseException as error:  # handed to the thread that waits
            self._fail(error)
        finally:
            with self._adding:
                self._pool.leave()
                self._others.discard(threading.current_thread())

    def _helping(self) -> list[threading.Thread]:
        """The others, each of which has started: to wait for one that has not is an error."""
        with self._adding:
            return list(self._others)

    def _is_one_too_many(self) -> bool:
        """After a step that did not pay. Where several end at once, one is added again."""
        return len(self._others) + 1 > self._growth.wanted

    def _fail(self, error: BaseException) -> None:
        if self._fatal is None and not self._halt.is_set:
            self._fatal = error
            self._halt.set()

    def _check_fatal(self) -> None:
        if self._fatal is not None:
            raise self._fatal

    def _end_others(self) -> None:
        others = self._helping()
        if others or self._fatal is not None:
            self._halt.set()
            while others:
                for other in others:
                    other.join()
                others = self._helping()  # one of them may have begun another before it ended
            self._fatal = None
            self._halt.clear()
