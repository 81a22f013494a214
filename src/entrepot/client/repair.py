"""Which parts of a file are wrong, by the digests of its chunks."""

import hashlib
from collections.abc import Iterator

from entrepot.client.errors import BadAnswer
from entrepot.client.partial import Partial
from entrepot.client.stop import Stop
from entrepot.client.verification import BUFFER_BYTES, Expected


def check_chunks(expected: Expected) -> None:
    """Raises BadAnswer where the list of chunk digests cannot be of a file of that size."""
    if not expected.chunks:
        return
    size, each = expected.size, expected.chunk_bytes
    if size is None or each < 1 or len(expected.chunks) != -(-size // each):
        raise BadAnswer("The chunk digests do not fit the size of the file.")


def bad_chunks(partial: Partial, expected: Expected, stop: Stop) -> Iterator[tuple[int, int]]:
    """[begin, end) of each chunk whose SHA-256 is not the announced one. The file must be whole."""
    size = expected.size or 0
    buffer = memoryview(bytearray(BUFFER_BYTES))
    for number, digest in enumerate(expected.chunks):
        begin = number * expected.chunk_bytes
        end = min(begin + expected.chunk_bytes, size)
        hasher, at = hashlib.sha256(), begin
        while at < end:
            stop.check()
            count = partial.read(at, buffer[: min(len(buffer), end - at)])
            if count == 0:
                break
            hasher.update(buffer[:count])
            at += count
        if hasher.digest() != digest:
            yield begin, end
