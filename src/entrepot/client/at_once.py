"""A small file in one answer: one request, one read, one write.

The machinery of a transfer (transfer.py) would cost more than the file. What goes wrong here is
told to it: what has come is in the partial, and it goes on from there, patiently.
"""

from time import monotonic

from entrepot.client.bodies import open_body
from entrepot.client.conditions import Conditions
from entrepot.client.errors import Unreachable
from entrepot.client.links import Links
from entrepot.client.partial import Partial
from entrepot.client.pool import Pool
from entrepot.client.verification import Expected

AT_ONCE_BYTES_MAX = 512 * 1024


def fits_at_once(partial: Partial, expected: Expected, conditions: Conditions) -> bool:
    """Whether it is small, proved by a digest, not begun, and needs no care for the rate."""
    small = 0 < (expected.size or 0) <= AT_ONCE_BYTES_MAX
    return small and bool(expected.digest) and not partial.size and conditions.rate is None


def fetch_at_once(
    links: Links, partial: Partial, expected: Expected, conditions: Conditions, pool: Pool
) -> str:
    """The digest of the file, which is whole in `partial`; "" where it has to be gone on with.

    Raises LinkDied, Unreachable and Corrupt, which the transfer is told; else every ClientError.
    """
    size, stop, times = expected.size or 0, conditions.stop, conditions.times
    stop.check()
    buffer, count = memoryview(bytearray(size)), 0
    with pool.transfer():
        body = open_body(pool, links.current(), times, stop, 0, None, "")
        try:
            if body.head.status != 200:
                return ""
            expected.check_total(body.head.total)
            with stop.watching(body.connection.sock):
                until = monotonic() + times.stall_seconds
                while count < size and monotonic() < until:
                    came = body.read(buffer[count:])
                    stop.check()
                    if came == 0:
                        raise Unreachable(f"The connection to {body.connection.origin} was cut.")
                    count += came
                if body.left is None and body.read(memoryview(bytearray(1))):
                    raise expected.too_many()
        finally:
            body.close()
            if count:
                partial.note(body.head.etag)
                partial.write(0, buffer[:count])
    if count < size:
        return ""
    hasher = expected.hasher()
    hasher.update(buffer)
    expected.check(size, hasher)
    return expected.digest
