"""The events of an answer as the widget's page reads them: what it shows, and nothing of the server's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from index.search import ScoredPassage
from rag.answer import Answer
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
from ui.render import citation_card, passage_card
from ui.server.sse import code_of, framed


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
            return {"citations": [asdict(citation_card(citation, found)) for citation in event.citations]}
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
        "closest": asdict(passage_card(closest)) if closest else None,
    }
