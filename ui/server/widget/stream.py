"""The events of an answer as the widget's page reads them: what it shows, and nothing of the server's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from index.search import ScoredPassage
from rag.answer import Answer
from rag.events import CitationsResolved, Delta, Done, Event, Failed, PassagesFound, QuestionRead, SentenceDone
from rag.phrases import phrase
from rag.verify import Verdict
from ui.render import citation_card, passage_card
from ui.server.errors import refusal_of
from ui.server.sse import framed


def frames() -> Callable[[Event], bytes]:
    """How each event of one answer is sent to the page; empty where it is not."""
    found: Sequence[ScoredPassage] = ()

    def frame(event: Event) -> bytes:
        nonlocal found
        if isinstance(event, PassagesFound):
            found = event.passages
        data = _shown(event, found)
        return b"" if data is None else framed(event.name, data)

    return frame


def _shown(event: Event, found: Sequence[ScoredPassage]) -> dict[str, Any] | None:
    """What the page gets of an event, None of some.

    Warnings and the words of failures are left out: they name models, addresses and files, for whoever runs the server.
    """
    match event:
        case QuestionRead():
            marks = {str(one): phrase(str(one), event.language) for one in Verdict if one != "supported"}
            return {"language": event.language, "marks": marks}
        case PassagesFound():
            return {"n": len(event.passages)}
        case Delta():
            return {"text": event.text}
        case SentenceDone():
            return {"verdict": str(event.sentence.verdict), "citations": list(event.sentence.citations)}
        case CitationsResolved():
            return {"citations": [asdict(citation_card(citation, found)) for citation in event.citations]}
        case Done():
            return _done(event.answer)
        case Failed():
            return {"code": refusal_of(event.error).code}
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
