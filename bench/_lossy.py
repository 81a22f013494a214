"""A line of 50 ms and 1 % loss, as a proxy in user space: `python -m bench._lossy PORT HUB_PORT`.

What it is: a model of what delay and loss do to the throughput of each TCP connection. What it is
not: a network. No packet is dropped; bytes are held back for as long as TCP Reno would need them.

- A new connection waits one round trip for its handshake; requests take half of one to arrive.
- An answer is sent in rounds of one round trip, each of one congestion window: 10 segments of 1448
  bytes at first, twice as many after each round until the first loss, then one more a round.
- Each segment is lost with a chance of 1 in 100, independently. The window is halved; what comes
  before the first lost segment is delivered, the rest a round trip later, when the lost one was
  sent again (in the meantime the sender sends nothing new, a little less than real Reno would).
  A loss in a window of fewer than 4 segments costs a time-out of 200 ms more.
- All connections share LINK_BYTES_PER_SECOND.

That gives a connection about 0.3 MB/s, near the 0.36 MB/s of Mathis et al., "The macroscopic
behavior of the TCP congestion avoidance algorithm" (1997), for these numbers.
"""

import asyncio
import contextlib
import random
import sys
import time

ROUND_TRIP_SECONDS = 0.05
LOSS = 0.01
SEGMENT_BYTES = 1448
FIRST_WINDOW = 10
LINK_BYTES_PER_SECOND = 12.5e6  # 100 Mbit/s
_TIMEOUT_SECONDS = 0.2
_FEW_SEGMENTS = 4
_WINDOW_MAX = 4096


class Line:
    """What all connections share."""

    def __init__(self, hub_port: int) -> None:
        self._hub_port = hub_port
        self._dice = random.Random()
        self._free_at = 0.0

    async def carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection of a customer, until one side ends it."""
        await asyncio.sleep(ROUND_TRIP_SECONDS)
        far, forth = await asyncio.open_connection("127.0.0.1", self._hub_port)
        tasks = [
            asyncio.create_task(self._ask(near, forth)),
            asyncio.create_task(self._answer(far, back)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for writer in (forth, back):
                writer.close()

    async def _ask(self, near: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        """Requests are small: they are delayed, not lost."""
        with contextlib.suppress(OSError):
            while data := await near.read(65536):
                await asyncio.sleep(ROUND_TRIP_SECONDS / 2)
                forth.write(data)
                await forth.drain()

    async def _answer(self, far: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        window, threshold = FIRST_WINDOW, _WINDOW_MAX
        with contextlib.suppress(OSError):
            while data := await far.read(window * SEGMENT_BYTES):
                segments = -(-len(data) // SEGMENT_BYTES)
                lost = next((n for n in range(segments) if self._dice.random() < LOSS), None)
                await self._share(len(data))
                await asyncio.sleep(ROUND_TRIP_SECONDS)
                if lost is None:
                    back.write(data)
                    grown = 2 * window if window < threshold else window + 1
                    # A window that was not used does not grow.
                    window = min(grown, _WINDOW_MAX) if segments >= window else window
                else:
                    back.write(data[: lost * SEGMENT_BYTES])
                    late = _TIMEOUT_SECONDS if segments < _FEW_SEGMENTS else 0.0
                    await asyncio.sleep(ROUND_TRIP_SECONDS + late)
                    back.write(data[lost * SEGMENT_BYTES :])
                    window = threshold = max(2, window // 2)
                await back.drain()

    async def _share(self, count: int) -> None:
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / LINK_BYTES_PER_SECOND
        await asyncio.sleep(max(0.0, self._free_at - now - ROUND_TRIP_SECONDS))


async def _serve(port: int, hub_port: int) -> None:
    line = Line(hub_port)
    server = await asyncio.start_server(line.carry, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
