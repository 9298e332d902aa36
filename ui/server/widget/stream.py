"""The events of an answer as the widget's page reads them: what it shows, and nothing of the server's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from index.search import ScoredPassage
from rag.answer import Answer, Citation
from rag.events import (
    CitationsResolved,
    Delta,
    Done,
    Event,
    Failed,
    PassagesFound,
    QuestionRead,
    SentenceDone,
)
from rag.phrases import phrase, phrase_language
from rag.verify import Verdict
from ui.server.sse import KEEP_ALIVE_S, close, code_of, log_failure

_CONTEXT_CHARS = 260  # of a passage, before and after its cited sentence
_CLOSEST_CHARS = 400  # of the passage that is shown where there is no answer


class AnswerStream(StreamingResponse):
    """The events of an answer as they come; they are closed where the reader goes away."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Event], keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._sent = _sent(events, keep_alive_s)
        super().__init__(self._sent, headers={"cache-control": "no-store", "x-accel-buffering": "no"})

    async def stream_response(self, send: Send) -> None:
        """Send it all, and close the events however that ends."""
        try:
            await super().stream_response(send)
        finally:
            await self._sent.aclose()


async def _sent(events: AsyncIterator[Event], keep_alive_s: float) -> AsyncGenerator[str, None]:
    found: Sequence[ScoredPassage] = ()
    coming = asyncio.ensure_future(_next(events))
    try:
        while True:
            await asyncio.wait({coming}, timeout=keep_alive_s)
            if not coming.done():
                yield ": still here\n\n"
                continue
            event = coming.result()
            if event is None:
                return
            if isinstance(event, PassagesFound):
                found = event.passages
            for name, data in shown(event, found):
                yield f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
            coming = asyncio.ensure_future(_next(events))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await close(events)


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


def shown(event: Event, found: Sequence[ScoredPassage]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of an event and what the page is told of it.

    Warnings are left out, and so is what went wrong: they name models, addresses and files, and are meant for
    who runs the server.
    """
    match event:
        case QuestionRead():
            language = phrase_language(event.language)
            marks = {str(verdict): phrase(str(verdict), language) for verdict in Verdict if verdict != "supported"}
            yield event.name, {"language": event.language, "marks": marks}
        case PassagesFound():
            yield event.name, {"n": len(event.passages)}
        case Delta():
            yield event.name, {"text": event.text}
        case SentenceDone():
            sentence = event.sentence
            yield event.name, {"verdict": str(sentence.verdict), "citations": list(sentence.citations)}
        case CitationsResolved():
            yield event.name, {"citations": [_citation(citation, found) for citation in event.citations]}
        case Done():
            yield event.name, _done(event.answer)
        case Failed():
            log_failure(event.error)
            yield event.name, {"code": code_of(event.error)}


def _done(answer: Answer) -> dict[str, Any]:
    closest = answer.retrieved[0] if answer.abstained and answer.retrieved else None
    return {
        "text": answer.text,
        "language": answer.answer_language,
        "abstained": answer.abstained,
        "reason": str(answer.reason),
        "closest": _closest(closest) if closest else None,
    }


def _citation(citation: Citation, found: Sequence[ScoredPassage]) -> dict[str, Any]:
    before, after = _context(citation, found)
    return {
        "n": citation.n,
        "doc_id": citation.doc_id,
        "start": citation.start,
        "end": citation.end,
        "title": citation.title,
        "source": _named(citation.source),
        "url": citation.url,
        "date": citation.date,
        "language": citation.language,
        "before": before,
        "quote": citation.quote,
        "after": after,
    }


def _closest(item: ScoredPassage) -> dict[str, Any]:
    """The nearest passage in the shape of a citation, quoting nothing."""
    passage = item.passage
    text = passage.text
    return {
        "n": 0,
        "doc_id": passage.doc_id,
        "start": passage.start,
        "end": passage.end,
        "title": passage.title,
        "source": _named(passage.source),
        "url": passage.url,
        "date": passage.date,
        "language": passage.language,
        "before": text[:_CLOSEST_CHARS] + ("…" if len(text) > _CLOSEST_CHARS else ""),
        "quote": "",
        "after": "",
    }


def _named(source: str) -> str:
    """A source as strangers may know it: a web address as it is, of a file its name and not where it lies."""
    is_web = source.lower().startswith(("http://", "https://"))
    return source if is_web else source.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _context(citation: Citation, found: Sequence[ScoredPassage]) -> tuple[str, str]:
    """What stands before and after the cited span in its passage, cut to a readable length."""
    for item in found:
        passage = item.passage
        if passage.doc_id == citation.doc_id and passage.start <= citation.start and citation.end <= passage.end:
            before = passage.text[: citation.start - passage.start]
            after = passage.text[citation.end - passage.start :]
            return (
                before if len(before) <= _CONTEXT_CHARS else f"…{before[-_CONTEXT_CHARS:]}",
                after if len(after) <= _CONTEXT_CHARS else f"{after[:_CONTEXT_CHARS]}…",
            )
    return "", ""
