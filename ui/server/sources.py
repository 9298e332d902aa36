"""What readers elsewhere are told of where an article comes from: not where the server keeps its files."""

from __future__ import annotations

import re
from dataclasses import replace

from index.read import is_url
from index.search import ScoredPassage, SearchResult
from rag.answer import Answer, Citation
from rag.events import CitationsResolved, Done, Event, PassagesFound, Warned
from ui.render import shown_source

_FOLDERS = re.compile(r"(?<![\w/])(?:/[^/\n;:,()'\"]+)+/(?=[^/\s])")


def stored_sources(shown: str) -> tuple[str, ...]:
    """What a filter looks for where a reader names a source as it was shown, or a pattern of such."""
    return (shown,) if is_url(shown) or shown.startswith(("/", "*")) else (shown, f"*/{shown}")


def without_folders(message: str) -> str:
    """A message that may name files of the server, with their names alone."""
    return _FOLDERS.sub("", message)


def shown_passages(passages: tuple[ScoredPassage, ...]) -> tuple[ScoredPassage, ...]:
    """Passages with their sources as they are shown."""
    return tuple(
        replace(item, passage=replace(item.passage, source=shown_source(item.passage.source))) for item in passages
    )


def shown_citations(citations: tuple[Citation, ...]) -> tuple[Citation, ...]:
    """Citations with their sources as they are shown."""
    return tuple(replace(citation, source=shown_source(citation.source)) for citation in citations)


def shown_answer(answer: Answer) -> Answer:
    """An answer with its sources as they are shown."""
    return replace(
        answer,
        citations=shown_citations(answer.citations),
        retrieved=shown_passages(answer.retrieved),
        warnings=tuple(map(without_folders, answer.warnings)),
    )


def shown_result(found: SearchResult) -> SearchResult:
    """What a search found with its sources as they are shown."""
    return replace(found, passages=shown_passages(found.passages), warnings=tuple(map(without_folders, found.warnings)))


def shown_event(event: Event) -> Event:
    """An event with its sources as they are shown."""
    match event:
        case PassagesFound():
            return replace(event, passages=shown_passages(event.passages))
        case CitationsResolved():
            return replace(event, citations=shown_citations(event.citations))
        case Warned():
            return Warned(without_folders(event.message))
        case Done():
            return Done(shown_answer(event.answer))
        case _:
            return event
