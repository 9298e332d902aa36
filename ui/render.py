"""An answer and its passages as others read them: JSON, text for a terminal, Markdown, and the parts of a card."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from index.search import ScoredPassage, SearchResult
from index.text.names import written
from index.text.terms import BEGINNING, indexed_terms
from rag.answer import Answer, Citation, answer_json, citation_json, passage_json, sentence_json
from rag.phrases import phrase

__all__ = [
    "Card", "answer_json", "as_written", "citation_card", "citation_json", "citation_lines", "explanation_lines",
    "inert", "is_web_address", "passage_card", "passage_json", "passage_lines", "search_json",
    "sentence_json", "shown_source", "without_login",
]  # fmt: skip

_WIDTH = 100  # columns of a terminal
_CONTEXT_CHARS = 300  # of a passage, before and after its cited sentence
_EXCERPT_CHARS = 400  # of a passage that is not cited


# --- JSON -------------------------------------------------------------------------------------------------------------


def search_json(found: SearchResult, *, explain: bool = False) -> dict[str, Any]:
    """`search --json`; with `explain`, each result has an `explanation`: the signals that brought it to its place."""
    results = [passage_json(item) for item in found.passages]
    if explain:
        for result, item in zip(results, found.passages, strict=True):
            result["explanation"] = _explanation(found, item)
    return {
        "question": found.question,
        "language": found.language,
        "results": results,
        "warnings": list(found.warnings),
    }


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
        "level": round(item.evidence.baseline, 4),
    }


# --- a terminal -------------------------------------------------------------------------------------------------------


def passage_lines(rank: int, item: ScoredPassage) -> Iterator[str]:
    """One found passage."""
    passage = item.passage
    yield f"{rank}. {_titled(passage.title or passage.source, passage.language, passage.date)}  score {item.score:.3f}"
    yield f"   {passage.source}, characters {passage.start}-{passage.end}"
    text = " ".join(passage.text.split())
    yield from (f"   {line}" for line in _wrapped(_beginning(text, _EXCERPT_CHARS)))


def explanation_lines(found: SearchResult, item: ScoredPassage) -> Iterator[str]:
    """The signals that brought a passage to its place."""
    why = _explanation(found, item)
    yield f"   {item.score:+.3f} above the baseline of its language, {item.evidence.baseline:.3f}"
    if item.evidence.dense_rank:
        yield f"   vectors: rank {item.evidence.dense_rank}, similarity {item.evidence.dense:.3f}"
    if item.evidence.lexical_rank:
        terms = ", ".join(why["lexical"]["terms"])
        yield f"   words: rank {item.evidence.lexical_rank}, {item.evidence.words:.0%} of the question: {terms}"
    surest = {form["name"]: form for form in reversed(why["names"]["forms"])}
    for form in surest.values():
        yield f"   names: {form['name']} is {form['form']} here, by {form['by']} (confidence {form['confidence']:.2f})"
    if item.reranked is not None:
        yield f"   reranker: {item.reranked:.3f}"
    if item.evidence.quoted:
        yield "   has the quoted words"


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


# --- the parts of a card, for the page and the widget -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    """A cited span with its context, or the beginning of a passage (`n` is 0, `quote` empty); all of it plain text.

    `url` is empty where it must not become a link. `answer` is the quote in three parts, of which the second answers;
    empty where it is not known.
    """

    n: int
    doc_id: str
    start: int
    end: int
    title: str
    source: str
    url: str
    date: str
    language: str
    before: str
    quote: str
    after: str
    answer: tuple[str, ...] = ()


def citation_card(citation: Citation, found: Sequence[ScoredPassage]) -> Card:
    """A citation with the text around it, from the passage of `found` that holds it."""
    before = after = ""
    for passage in (item.passage for item in found):
        if passage.doc_id == citation.doc_id and passage.start <= citation.start and citation.end <= passage.end:
            before = passage.text[: citation.start - passage.start]
            before = before if len(before) <= _CONTEXT_CHARS else f"…{before[-_CONTEXT_CHARS:]}"
            after = _beginning(passage.text[citation.end - passage.start :], _CONTEXT_CHARS)
            break
    a, b = citation.answer_start - citation.start, citation.answer_end - citation.start
    parts = (citation.quote[:a], citation.quote[a:b], citation.quote[b:]) if 0 <= a < b else ()
    return replace(_card(citation, citation.n, before, citation.quote, after), answer=parts)


def passage_card(item: ScoredPassage) -> Card:
    """A passage that is not cited."""
    return _card(item.passage, 0, _beginning(item.passage.text, _EXCERPT_CHARS), "", "")


def _card(place: Any, n: int, before: str, quote: str, after: str) -> Card:
    return Card(
        n=n,
        doc_id=place.doc_id,
        start=place.start,
        end=place.end,
        title=place.title,
        source=shown_source(place.source),
        url=place.url if is_web_address(place.url) else "",
        date=place.date,
        language=place.language,
        before=before,
        quote=quote,
        after=after,
    )


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
