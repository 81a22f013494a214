"""CPU of a web process for each request of a list: the one way all modules measure it."""

from collections.abc import Sequence

from bench._cpu import cpu_of
from bench._load import Load, send_all

ROUNDS = 5


def cpu_per_request(
    pid: int, port: int, requests: Sequence[bytes], *, bytes_each: int = 0
) -> float:
    """CPU seconds of process `pid` for each of `requests`; checks the answers' number and size."""
    load = Load()

    def work() -> None:
        nonlocal load
        load = send_all(port, requests)

    spent = cpu_of(pid, work)
    if load.answers != len(requests) or (
        bytes_each and load.body_bytes != bytes_each * len(requests)
    ):
        raise RuntimeError(f"{load} for {len(requests)} requests of {bytes_each} bytes")
    return spent / len(requests)
