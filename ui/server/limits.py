"""How often somebody may ask, and how many are answered at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

_MAX_BUCKETS = 20_000  # of whom it is remembered how often they asked


class Busy(Exception):
    """There is no place for a question, and none to wait in."""


class Gone(Exception):
    """Who waited for a place has left."""


class Rate:
    """Token buckets by name, each of `per_minute` tokens that come back evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full, self._per_s, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> tokens, when; oldest use first

    def take(self, name: str, cost: float = 1.0) -> int:
        """Take from a bucket; 0, or the seconds until there is enough in it."""
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
        self._free, self._n_waiting, self._max_wait_s = n, n_waiting, max_wait_s
        self._queue: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self, leaving: asyncio.Future[Any] | None = None) -> AsyncIterator[None]:
        """A place for the length of the block; `leaving` is done when nobody wants it any more.

        Raises:
            Busy: The queue is full, or it took too long.
            Gone: Who waited has left.
        """
        await self._enter(leaving)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, leaving: asyncio.Future[Any] | None = None) -> None:
        if self._free:
            self._free -= 1
            return
        if len(self._queue) >= self._n_waiting:
            raise Busy
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        first = {turn} if leaving is None else {turn, leaving}
        try:
            await asyncio.wait(first, timeout=self._max_wait_s, return_when=asyncio.FIRST_COMPLETED)
            if leaving is not None and leaving.done():
                raise Gone
            if not turn.done():
                raise Busy
        except BaseException:
            if turn.done():
                self._leave()  # it was given a place in the same moment, and will not use it
            else:
                self._queue.remove(turn)
            raise

    def _leave(self) -> None:
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self._free += 1
