"""The events of a question as JSON and as Server-Sent Events, and the answer at their end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Any

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from rag.answer import Answer, answer_json, citation_json, passage_json, sentence_json
from rag.events import CitationsResolved, Delta, Done, Event, Failed, PassagesFound, QuestionRead, SentenceDone, Warned
from ui.render import shown_source, without_login
from ui.server.errors import log_unforeseen, refusal_of, without_folders
from ui.server.logs import note
from ui.server.metrics import QUESTIONS

KEEP_ALIVE_S = 15.0  # proxies close what is silent for longer, nginx after 60
# JSON may hold these as they are, but many readers of event streams end a line at them.
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x7f\x85\u2028\u2029"}

_PUBLIC: dict[str, Callable[[Any], Any]] = {
    "source": shown_source,
    "url": without_login,
    "warnings": lambda warnings: list(map(without_folders, warnings)),
}


def public(data: Any) -> Any:
    """JSON of answers and passages that shows no folder of the server, and no password in an address."""
    if isinstance(data, list):
        return [public(value) for value in data]
    if not isinstance(data, dict):
        return data
    shown = {name: public(value) for name, value in data.items()}
    return shown | {name: _PUBLIC[name](data[name]) for name in _PUBLIC.keys() & data.keys()}


def event_json(event: Event) -> dict[str, Any]:
    """The data of an event, in the shapes of `ask --json`."""
    match event:
        case QuestionRead():
            return asdict(event)
        case PassagesFound():
            return {"passages": [public(passage_json(item)) for item in event.passages]}
        case Delta():
            return {"text": event.text}
        case SentenceDone():
            return sentence_json(event.sentence)
        case CitationsResolved():
            return {"citations": [public(citation_json(citation)) for citation in event.citations]}
        case Warned():
            return {"message": without_folders(event.message)}
        case Done():
            return dict(public(answer_json(event.answer)))
        case Failed():
            return refusal_of(event.error).json()


def framed(name: str, data: Any) -> bytes:
    """An event as it is sent, in UTF-8; an event without a name is a message."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
    return format_sse_event(event=name or None, data_str=text.encode("utf-8", "replace").decode("utf-8"))


class EventStream(EventSourceResponse):
    """The events of a question as they come, and a comment where none comes for a while.

    `frame` gives the bytes of an event, none for an event that is not sent. However the response ends, `events` is
    closed, which frees the model that writes the answer.
    """

    def __init__(
        self, events: AsyncGenerator[Event, None], frame: Callable[[Event], bytes], keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self._frames = _frames(events, frame, keep_alive_s)
        # nginx would hold back what it has of a stream until there is more.
        super().__init__(self._frames, headers={"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""
        async with aclosing(self._frames):
            await super().__call__(scope, receive, send)


async def answer_of(events: AsyncGenerator[Event, None]) -> Answer:
    """The answer at the end of `events`, which are closed however that ends.

    Raises:
        Refusal: The question failed.
    """
    async with aclosing(events):
        async for event in events:
            _note_end(event)
            if isinstance(event, Done):
                return event.answer
            if isinstance(event, Failed):
                raise refusal_of(event.error) from None
    raise AssertionError("a stream ends with Done or Failed")  # pragma: no cover


async def _frames(
    events: AsyncGenerator[Event, None], frame: Callable[[Event], bytes], keep_alive_s: float
) -> AsyncGenerator[bytes, None]:
    coming: asyncio.Task[Event | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events, None))
            done, _ = await asyncio.wait({coming}, timeout=keep_alive_s)
            if not done:
                yield b": still here\n\n"
                continue
            event, coming = coming.result(), None
            if event is None:
                return
            _note_end(event)
            if sent := frame(event):
                yield sent
    finally:
        if coming is not None:
            coming.cancel()  # the events end their own work when they are cancelled
            with suppress(asyncio.CancelledError):
                await coming
        await events.aclose()


def _note_end(event: Event) -> None:
    """Count the end of a question, and note it in the log line of its request."""
    if isinstance(event, Done):
        answer = event.answer
        note(language=answer.language, abstained=answer.abstained)
        QUESTIONS.labels(answer.language, answer.reason or "answered").inc()
    elif isinstance(event, Failed):
        log_unforeseen(event.error)
        code = refusal_of(event.error).code
        note(failed=code)
        QUESTIONS.labels("", code).inc()
