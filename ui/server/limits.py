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
    """Room for `n` things at once, of which a name may take half; of one event loop."""

    def __init__(self, n: int, max_wait_s: float = 0.0) -> None:
        self._n, self._max_wait_s = n, max_wait_s
        self._taken, self._changed = Counter[str](), asyncio.Condition()

    @asynccontextmanager
    async def place(self, *names: str) -> AsyncIterator[None]:
        """A place for the length of the block, which counts for everybody and for each name.

        Raises:
            Refusal: It took too long.
        """
        counted = Counter((_ALL, *names))
        try:
            async with asyncio.timeout(self._max_wait_s), self._changed:
                await self._changed.wait_for(lambda: self._has_room(counted))
                self._taken += counted
        except TimeoutError:
            raise Refusal(503, "all places are taken; fix: ask again later", retry_after_s=5) from None
        try:
            yield
        finally:
            self._taken -= counted  # of names that reach 0 nothing is left
            async with self._changed:
                self._changed.notify_all()

    def _has_room(self, names: Counter[str]) -> bool:
        return all(self._taken[name] < (self._n if name == _ALL else (self._n + 1) // 2) for name in names)
