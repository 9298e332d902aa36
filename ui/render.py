"""An answer and its passages as others read them: JSON, text for a terminal, Markdown, and cards."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from index.search import ScoredPassage, SearchResult
from index.store.base import StoredPassage
from index.text.names import written
from index.text.terms import BEGINNING, indexed_terms
from rag.answer import Answer, Citation, passage_json
from rag.phrases import phrase

_WIDTH = 100  # columns of a terminal
_CONTEXT_CHARS = 300  # of a passage, before and after its cited sentence
_EXCERPT_CHARS = 400  # of a passage that is not cited


def search_json(found: SearchResult, *, explain: bool = False) -> dict[str, Any]:
    """`search --json`; with `explain`, each result has an `explanation`: the signals that brought it to its place."""
    results = [passage_json(item) for item in found.passages]
    if explain:
        results = [
            one | {"explanation": _explanation(found, item)} for one, item in zip(results, found.passages, strict=True)
        ]
    about = {"question": found.question, "language": found.language}
    return {**about, "results": results, "warnings": list(found.warnings)}


def _explanation(found: SearchResult, item: ScoredPassage) -> dict[str, Any]:
    held = f" {' '.join(indexed_terms(f'{item.passage.text} {item.passage.title}'))} "
    terms = [term for term in dict.fromkeys(found.query_terms) if f" {term} " in held and term[0] != BEGINNING]
    forms = [
        {"name": form.name, "form": written(form.form, item.passage.text) or form.form, "by": str(form.origin)}
        | {"confidence": round(form.confidence, 3)}
        for form in item.evidence.forms
    ]
    return {
        "dense": {"rank": item.evidence.dense_rank, "score": round(item.evidence.dense, 4)},
        "lexical": {"rank": item.evidence.lexical_rank, "score": round(item.evidence.words, 4), "terms": terms},
        "names": {"score": round(item.evidence.names + item.evidence.phonetic, 4), "forms": forms},
        "quoted": item.evidence.quoted,
        "reranked": item.reranked,
        "level": round(item.evidence.baseline, 4),  # of its language
    }


def passage_lines(rank: int, item: ScoredPassage) -> Iterator[str]:
    """One found passage."""
    passage = item.passage
    yield f"{rank}. {_titled(passage.title or passage.source, passage.language, passage.date)}  score {item.score:.3f}"
    yield f"   {passage.source}, characters {passage.start}-{passage.end}"
    text = " ".join(passage.text.split())
    yield from (f"   {line}" for line in _wrapped(_beginning(text, _EXCERPT_CHARS)))


def explanation_lines(found: SearchResult, item: ScoredPassage) -> Iterator[str]:
    """The signals that brought a passage to its place."""
    for signal, value in _explanation(found, item).items():
        if value:
            yield f"   {signal}: {json.dumps(value, ensure_ascii=False)}"


def citation_lines(answer: Answer) -> Iterator[str]:
    """The citations of an answer: where each is, and its exact words; below an abstention the closest sentence."""
    for citation in answer.citations:
        yield from _citation_lines(f"[{citation.n}] ", citation)
    if answer.closest:
        yield phrase("closest", answer.language)
        yield from _citation_lines("", answer.closest)


def _citation_lines(number: str, citation: Citation) -> Iterator[str]:
    yield f"{number}{_titled(citation.title or citation.source, citation.language, citation.date)}"
    yield f"    {citation.url or citation.source}, characters {citation.start}-{citation.end}"
    yield from (f"    {line}" for line in _wrapped(f"“{' '.join(citation.quote.split())}”"))


def _titled(title: str, language: str, date: str) -> str:
    return f"{title} ({', '.join(filter(None, (language, date)))})"


def _wrapped(text: str) -> list[str]:
    """Lines of `text`; wide characters take two columns, and scripts without spaces break anywhere."""
    wide = sum("\u1100" <= char <= "\uffdc" for char in text) > len(text) / 4
    return textwrap.wrap(text, (_WIDTH - 4) // (2 if wide else 1)) or [""]


# --- Markdown: the text of articles stays text ------------------------------------------------------------------------

# Backslashes would do that too, but many programs show plain text, and many read `\[` as mathematics. An invisible
# sign between two signs that together are markup is right in all of them.
WORD_JOINER = "\u2060"
_LONGEST = 3  # signs before the last one of a markup
# Before what completes a link or its definition, a tag, an entity, an address, an escape or command, a code block.
_COMPLETION = re.compile(
    r"(?<=\])(?=[(\[:])|(?<=<)(?=\S)|(?<=&)(?=[#A-Za-z])|(?<=:/)(?=/)|(?<=[Ww]{3})(?=\.)|(?<=\S)(?=@)|(?<=\\)(?=[!-~])"
    r"|(?<=``)(?=`)|(?<=~~)(?=~)"
)
_LOGIN = re.compile(r"(?<=:)//[^/?#]*@")  # the user and the password of an address
# Nothing in it ends a link or begins a tag.
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"\[\]\\`]+", re.IGNORECASE)


def inert(text: str, before: str = "") -> str:
    """`text`, behind `before`, in which no image, link, tag or code block begins; it looks the same."""
    whole = before[-_LONGEST:] + text
    start = len(whole) - len(text)
    places = [match.start() for match in _COMPLETION.finditer(whole, start)]
    return WORD_JOINER.join(whole[a:b] for a, b in zip([start, *places], [*places, len(whole)], strict=True))


def as_written(text: str) -> str:
    """The text that `inert` was given."""
    return text.replace(WORD_JOINER, "")


def is_web_address(url: str) -> bool:
    """Whether an article's address may be shown as a link; one with a user or a password may not."""
    return _WEB_ADDRESS.fullmatch(url) is not None and not _LOGIN.search(url)


def without_login(url: str) -> str:
    """`url` without a user and a password."""
    return _LOGIN.sub("//", url)


# --- cards, for the page and the widget -------------------------------------------------------------------------------


def citation_card(citation: Citation, found: Sequence[ScoredPassage]) -> dict[str, Any]:
    """A cited span with the text around it, from the passage of `found` that holds it; all of it plain text.

    `answer` is the quote in three parts, of which the second answers; empty where it is not known.
    """
    before = after = ""
    for passage in (item.passage for item in found):
        if passage.doc_id == citation.doc_id and passage.start <= citation.start and citation.end <= passage.end:
            before = passage.text[: citation.start - passage.start]
            before = before if len(before) <= _CONTEXT_CHARS else f"…{before[-_CONTEXT_CHARS:]}"
            after = _beginning(passage.text[citation.end - passage.start :], _CONTEXT_CHARS)
            break
    a, b = citation.answer_start - citation.start, citation.answer_end - citation.start
    parts = (citation.quote[:a], citation.quote[a:b], citation.quote[b:]) if 0 <= a < b else ()
    return {**_card(citation, before), "n": citation.n, "quote": citation.quote, "after": after, "answer": parts}


def passage_card(item: ScoredPassage) -> dict[str, Any]:
    """The beginning of a passage that is not cited, in the same shape."""
    return _card(item.passage, _beginning(item.passage.text, _EXCERPT_CHARS))


def _card(place: Citation | StoredPassage, before: str) -> dict[str, Any]:
    shown = {name: getattr(place, name) for name in ("doc_id", "start", "end", "title", "date", "language")}
    url = place.url if is_web_address(place.url) else ""  # else it must not become a link
    empty = {"n": 0, "quote": "", "after": "", "answer": ()}
    return {**shown, "source": shown_source(place.source), "url": url, "before": before, **empty}


def _beginning(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[:max_chars]}…"


def shown_source(source: str) -> str:
    """A source as readers elsewhere see it: never where the server keeps its files.

    A web address without user and password; of a file its path relative to where the index was made, else its name.
    """
    if re.match(r"https?://", source, re.IGNORECASE):
        return without_login(source)
    file, sign, part = source.replace("\\", "/").partition("#")  # `#part` names one of several articles in a file
    if not PurePosixPath(file).suffix:
        file, sign, part = source.replace("\\", "/"), "", ""
    path = PurePosixPath(file)
    # An absolute path, or one through a hidden folder, shows how the server is laid out.
    is_relative = not any(name.startswith(("/", ".", "~")) or name.endswith(":") for name in path.parts)
    return (str(path) if is_relative else path.name) + sign + part
