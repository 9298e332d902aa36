"""What readers elsewhere see of an answer: everything but where the server keeps its files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from index.read import is_url
from rag.events import CitationsResolved, Delta, Done, Event, Failed, PassagesFound, QuestionRead, SentenceDone, Warned
from ui.render import answer_json, citation_json, passage_json, sentence_json, shown_source
from ui.server.errors import refusal_of, without_folders


def stored_sources(shown: str) -> tuple[str, ...]:
    """The patterns of a filter for a source, or a pattern of sources, as it was shown."""
    return (shown,) if is_url(shown) or shown.startswith(("/", "*")) else (shown, f"*/{shown}")


def public(data: Any) -> Any:
    """JSON of answers and passages in which no `source` and none of the `warnings` shows a folder of the server."""
    if isinstance(data, dict):
        return {name: _public_field(name, value) for name, value in data.items()}
    return [public(value) for value in data] if isinstance(data, list) else data


def _public_field(name: str, value: Any) -> Any:
    if name == "source":
        return shown_source(value)
    return [without_folders(warning) for warning in value] if name == "warnings" else public(value)


def event_json(event: Event) -> dict[str, Any]:
    """The data of an event, in the shapes of `ask --json`."""
    match event:
        case QuestionRead():
            return asdict(event)
        case PassagesFound():
            passages = [passage_json(item) for item in event.passages]
            data = {"passages": passages, "relevance": round(event.relevance, 6)}
        case Delta():
            return {"text": event.text}
        case SentenceDone():
            return sentence_json(event.sentence)
        case CitationsResolved():
            data = {"citations": [citation_json(citation) for citation in event.citations]}
        case Warned():
            return {"message": without_folders(event.message)}
        case Done():
            data = answer_json(event.answer)
        case Failed():
            refusal = refusal_of(event.error)
            return {"code": refusal.code, "detail": refusal.detail}
    shown: dict[str, Any] = public(data)
    return shown
