"""What a server is doing, and the end of it when its time to stop is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, TypeVar

from rag.errors import AnswerProblem

_T = TypeVar("_T")


class ServerStopping(AnswerProblem):
    """The server stops, and did not wait for the end of this answer."""

    def __init__(self) -> None:
        super().__init__("the server is stopping, and the answer was not finished in time", remedy="ask again")


class Running:
    """The work of one server: requests that change or ask something, and questions, by whichever face they came."""

    def __init__(self) -> None:
        self._n, self._lock = 0, Lock()
        self._is_over = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def n(self) -> int:
        """How much is being done; a question counts besides its request."""
        return self._n

    @property
    def is_over(self) -> bool:
        """Whether what still runs is to end."""
        return self._is_over

    @contextmanager
    def one(self) -> Iterator[None]:
        """Counts for the length of the block, in any thread."""
        with self._lock:
            self._n += 1
        try:
            yield
        finally:
            with self._lock:
                self._n -= 1

    def end(self) -> None:
        """Have all that runs end; called in the server's event loop."""
        self._is_over = True
        for over in self._waiting:
            if not over.done():
                over.set_result(None)

    async def before_the_end(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` gives.

        Raises:
            ServerStopping: The end came first; `work` was cancelled.
        """
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(over)
        task: asyncio.Future[_T] = asyncio.ensure_future(work)
        try:
            if not self._is_over:
                await asyncio.wait((task, over), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise ServerStopping
        finally:
            self._waiting.discard(over)
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
