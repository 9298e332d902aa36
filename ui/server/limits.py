"""Limits that requests share: rates by name, and places for computing."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ui.server.errors import Refusal

_ALL = ""  # the name under which everybody counts
_MAX_BUCKETS = 20_000  # clients that are remembered


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
    """Room for `n` things at once, of which a name may take half; of one event loop.

    Up to `n_waiting` others wait, half of them of one name; the first who finds room is the next.
    """

    def __init__(self, n: int, n_waiting: int = 0, max_wait_s: float = 0.0) -> None:
        self._n, self._n_waiting, self._max_wait_s = n, n_waiting, max_wait_s
        self._taken = Counter[str]()
        self._queue: dict[asyncio.Future[None], tuple[str, ...]] = {}  # who waits, first come first

    @asynccontextmanager
    async def place(self, *names: str) -> AsyncIterator[None]:
        """A place for the length of the block, which counts for everybody and for each name.

        Raises:
            Refusal: The queue is full, or it took too long.
        """
        turn = asyncio.get_running_loop().create_future()
        self._queue[turn] = names = (_ALL, *names)
        self._admit()
        try:
            await self._wait(turn, names)
            yield
        finally:
            if self._queue.pop(turn, None) is None:
                self._taken -= Counter(names)  # of names that reach 0 nothing is left
            self._admit()

    async def _wait(self, turn: asyncio.Future[None], names: tuple[str, ...]) -> None:
        waiting = Counter(name for others in self._queue.values() for name in others)
        if turn.done():
            return
        try:
            if any(waiting[name] > self._share(name, self._n_waiting) for name in names):
                raise TimeoutError
            async with asyncio.timeout(self._max_wait_s):
                await turn
        except TimeoutError:
            raise Refusal(503, "all places are taken; fix: ask again later", retry_after_s=5) from None

    def _admit(self) -> None:
        for turn, names in list(self._queue.items()):
            if not turn.done() and all(self._taken[name] < self._share(name, self._n) for name in names):
                del self._queue[turn]
                self._taken += Counter(names)
                turn.set_result(None)

    @staticmethod
    def _share(name: str, n: int) -> int:
        return n if name == _ALL else (n + 1) // 2
