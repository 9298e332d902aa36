"""How often one client may ask, and how many questions are answered at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_MAX_BUCKETS = 20_000  # clients that are remembered


class Busy(Exception):
    """All places are taken, and the queue is full or took too long."""


class Rate:
    """Token buckets by name, each of `per_minute` tokens that come back evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full, self._per_s, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> tokens, when; oldest use first

    def take(self, name: str, cost: float = 1.0) -> int:
        """Take from a bucket; 0, or the seconds until it holds enough."""
        now = self._clock()
        tokens, then = self._buckets.pop(name, (self._full, now))
        tokens = min(self._full, tokens + (now - then) * self._per_s)
        enough = tokens >= cost
        self._buckets[name] = (tokens - cost if enough else tokens, now)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0 if enough else max(1, math.ceil((cost - tokens) / self._per_s))


class Places:
    """Room for `n` questions at once and a queue of `n_waiting`, first come, first served; of one event loop."""

    def __init__(self, n: int, n_waiting: int, max_wait_s: float) -> None:
        self._free, self._max_waiting, self._max_wait_s = asyncio.Semaphore(n), n_waiting, max_wait_s
        self._n_waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the length of the block.

        Raises:
            Busy: The queue is full, or it took too long.
        """
        if self._free.locked() and self._n_waiting >= self._max_waiting:
            raise Busy
        self._n_waiting += 1
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise Busy from None
        finally:
            self._n_waiting -= 1
        try:
            yield
        finally:
            self._free.release()
