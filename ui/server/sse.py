"""Events of the chain as JSON, and as Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from index.errors import IndexProblem
from rag.errors import AnswerProblem
from rag.events import CitationsResolved, Delta, Done, Event, Failed, PassagesFound, QuestionRead, SentenceDone, Warned
from ui.render import answer_json, citation_json, passage_json, sentence_json
from ui.server.sources import shown_event, without_folders

KEEP_ALIVE_S = 15.0  # proxies close what is silent for longer, nginx after 60
UNKNOWN = "the answer failed here; the server's log says why"
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
# JSON may hold these as they are, but many readers of event streams end a line at them.
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x7f\x85\u2028\u2029"}
_log = logging.getLogger(__name__)


def event_json(event: Event) -> dict[str, Any]:
    """The data of an event, in the shapes of `ask --json`."""
    match event := shown_event(event):
        case QuestionRead():
            return asdict(event)
        case PassagesFound():
            passages = [passage_json(item) for item in event.passages]
            return {"passages": passages, "relevance": round(event.relevance, 6)}
        case Delta():
            return {"text": event.text}
        case SentenceDone():
            return sentence_json(event.sentence)
        case CitationsResolved():
            return {"citations": [citation_json(citation) for citation in event.citations]}
        case Warned():
            return {"message": event.message}
        case Done():
            return answer_json(event.answer)
        case Failed():
            return {"code": code_of(event.error), "detail": detail_of(event.error)}


def code_of(error: Exception) -> str:
    """A failure's kind for a program: a known problem's name, as `model_failed`, else `internal`."""
    known = isinstance(error, IndexProblem | AnswerProblem)
    return _WORDS.sub("_", type(error).__name__).lower() if known else "internal"


def detail_of(error: Exception) -> str:
    """A failure for a reader: a known problem's own words; of another none, it may hold anything."""
    return without_folders(str(error)) if isinstance(error, IndexProblem | AnswerProblem) else UNKNOWN


def framed(name: str, data: Any) -> bytes:
    """An event of this name as it is sent; one without a name is a message."""
    head = f"event: {name}\n" if name else ""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
    return f"{head}data: {text}\n\n".encode("utf-8", "replace")


def frame(event: Event) -> bytes:
    """An event of the chain as the API sends it."""
    return framed(event.name, event_json(event))


class EventStream(StreamingResponse):
    """The events of a question as they come, and a comment where none comes for a while.

    When the client goes away, `events` is closed, which frees the model that writes the answer.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[Event],
        frame: Callable[[Event], bytes] = frame,
        *,
        opening: bytes = b"",
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        """A stream of `events`.

        Args:
            events: What is sent, closed in the end.
            frame: An event as it is sent; empty where it is not.
            opening: Sent at once.
            keep_alive_s: How long nothing may be sent.
        """
        self._events, self._frames = events, _frames(events, frame, opening, keep_alive_s)
        # nginx would hold back what it has of a stream until there is more.
        super().__init__(self._frames, headers={"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, and close the events however that ends, also before it has begun."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._frames.aclose()
            await close(self._events)


async def _frames(
    events: AsyncIterator[Event], frame: Callable[[Event], bytes], opening: bytes, keep_alive_s: float
) -> AsyncGenerator[bytes, None]:
    coming: asyncio.Task[Event | None] | None = None
    try:
        if opening:
            yield opening
        while True:
            coming = coming or asyncio.ensure_future(_next(events))
            done, _ = await asyncio.wait({coming}, timeout=keep_alive_s)
            if not done:
                yield b": still here\n\n"
                continue
            event, coming = coming.result(), None
            if event is None:
                return
            if isinstance(event, Failed):
                log_failure(event.error)
            if sent := frame(event):
                yield sent
    finally:
        if coming is not None:
            coming.cancel()  # the events end their own work when they are cancelled
            with suppress(asyncio.CancelledError):
                await coming


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


async def close(events: AsyncIterator[Event]) -> None:
    """End a stream of events that nobody reads any more."""
    if isinstance(events, AsyncGenerator):
        await events.aclose()


def log_failure(error: Exception) -> None:
    """Where a failure that nobody foresaw came from: its frames and kind. Its words may be the asker's."""
    if not isinstance(error, IndexProblem | AnswerProblem):
        _log.error("%s", without_words(error))


def without_words(error: BaseException) -> str:
    """A traceback without messages: an error's own text often quotes what was sent."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(lines))
