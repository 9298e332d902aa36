"""The events of an answer as the page and the widget are sent them: passages as cards, verdicts in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from index.search import ScoredPassage
from rag.answer import Verdict, sentence_json
from rag.events import CitationsResolved, Done, Event, Failed, PassagesFound, QuestionRead, Warned
from rag.phrases import phrase
from ui.render import citation_card, passage_card
from ui.server.errors import refusal_of
from ui.server.sse import event_json, framed


def frames(*, for_owner: bool) -> Callable[[Event], bytes]:
    """How each event of one answer is sent; empty where it is not.

    Warnings name models, addresses and files: only the page of whoever runs the server is sent them.
    """
    found: Sequence[ScoredPassage] = ()

    def frame(event: Event) -> bytes:
        nonlocal found
        if isinstance(event, PassagesFound):
            found = event.passages
        if isinstance(event, Warned) and not for_owner:
            return b""
        return framed(event.name, _data(event, found))

    return frame


def _data(event: Event, found: Sequence[ScoredPassage]) -> dict[str, Any]:
    match event:
        case QuestionRead(language=language):
            marks = {str(one): phrase(str(one), language) for one in Verdict if one not in ("quoted", "supported")}
            return {"language": language, "marks": marks}
        case PassagesFound():
            return {"passages": [passage_card(item) for item in event.passages]}
        case CitationsResolved():
            return {"citations": [citation_card(citation, found) for citation in event.citations]}
        case Done(answer=answer):
            return {
                "text": answer.text,
                "language": answer.answer_language,
                "abstained": answer.abstained,
                "reason": str(answer.reason),
                "sentences": [sentence_json(sentence) for sentence in answer.sentences],
                "closest": citation_card(answer.closest, found) if answer.closest else None,
            }
        case Failed():
            return {"code": refusal_of(event.error).code}
    return event_json(event)
