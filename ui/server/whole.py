"""An answer as a whole, for as long as somebody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from rag.answer import Answer
from rag.events import Done, Event, Failed
from ui.server.sse import close


async def whole_answer(events: AsyncIterator[Event], request: Request) -> Answer | None:
    """The answer at the end of `events`; None where the client has gone, for whom no model goes on.

    Raises:
        Exception: What `Failed` told.
    """
    answering = asyncio.ensure_future(answer_of(events))
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        answering.cancel()
        leaving.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def answer_of(events: AsyncIterator[Event]) -> Answer:
    """The answer at the end of `events`, which are closed however that ends.

    Raises:
        Exception: What `Failed` told.
    """
    try:
        async for event in events:
            if isinstance(event, Done):
                return event.answer
            if isinstance(event, Failed):
                raise event.error
        raise AssertionError("a stream ends with Done or Failed")  # pragma: no cover
    finally:
        await close(events)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
