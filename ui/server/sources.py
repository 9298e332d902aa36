"""What readers elsewhere are told of where an article comes from: not where the server keeps its files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from index.read import is_url
from index.search import ScoredPassage, SearchResult
from rag.answer import Answer, Citation
from rag.events import CitationsResolved, Done, Event, PassagesFound, Warned

_FOLDERS = re.compile(r"(?<![\w/])(?:/[^/\n;:,()'\"]+)+/(?=[^/\s])")


def shown_source(source: str) -> str:
    """A web address as it is; of a file its path as it was named from where the index was made, else its name."""
    if is_url(source):
        return source
    file, part = _split(source.replace("\\", "/"))
    path = PurePosixPath(file)
    # A path from elsewhere, or through a hidden folder, tells how the server is laid out.
    is_of_articles = not any(name.startswith(("/", ".", "~")) or name.endswith(":") for name in path.parts)
    return (str(path) if is_of_articles else path.name) + part


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


def _split(source: str) -> tuple[str, str]:
    """The file, and `#part` where the source is one of several articles in it."""
    file, sign, part = source.partition("#")
    return (file, sign + part) if PurePosixPath(file).suffix else (source, "")
