"""The events of an answer as the widget's page reads them: what it shows, and nothing of the server's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
from rag.phrases import phrase
from rag.verify import Verdict
from ui.server.sources import shown_source
from ui.server.sse import code_of, framed

_CONTEXT_CHARS = 260  # of a passage, before and after its cited sentence
_CLOSEST_CHARS = 400  # of the passage that is shown where there is no answer


def frames() -> Callable[[Event], bytes]:
    """How each event of one answer is sent to the page; empty where it is not."""
    found: Sequence[ScoredPassage] = ()

    def frame(event: Event) -> bytes:
        nonlocal found
        if isinstance(event, PassagesFound):
            found = event.passages
        data = shown(event, found)
        return b"" if data is None else framed(event.name, data)

    return frame


def shown(event: Event, found: Sequence[ScoredPassage]) -> dict[str, Any] | None:
    """What the page is told of an event, nothing of some.

    Warnings are left out, and so is what went wrong: they name models, addresses and files, and are meant for
    who runs the server.
    """
    match event:
        case QuestionRead():
            marks = {
                str(verdict): phrase(str(verdict), event.language) for verdict in Verdict if verdict != "supported"
            }
            return {"language": event.language, "marks": marks}
        case PassagesFound():
            return {"n": len(event.passages)}
        case Delta():
            return {"text": event.text}
        case SentenceDone():
            sentence = event.sentence
            return {"verdict": str(sentence.verdict), "citations": list(sentence.citations)}
        case CitationsResolved():
            return {"citations": [_citation(citation, found) for citation in event.citations]}
        case Done():
            return _done(event.answer)
        case Failed():
            return {"code": code_of(event.error)}
        case _:
            return None


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
        "source": shown_source(citation.source),
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
        "source": shown_source(passage.source),
        "url": passage.url,
        "date": passage.date,
        "language": passage.language,
        "before": text[:_CLOSEST_CHARS] + ("…" if len(text) > _CLOSEST_CHARS else ""),
        "quote": "",
        "after": "",
    }


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
