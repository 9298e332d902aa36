"""Answers and passages as JSON (fixed shapes) and as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from index.names.question import OtherForm, written
from index.search import ScoredPassage, SearchResult
from index.text.terms import BEGINNING, indexed_terms
from rag.answer import Answer
from rag.as_json import passage_json
from rag.phrases import phrase


def search_json(found: SearchResult, *, explain: bool = False) -> dict[str, Any]:
    """`search --json`; with `explain`, each result tells what brought it."""
    results = [passage_json(item) for item in found.passages]
    if explain:
        for result, item in zip(results, found.passages, strict=True):
            result["explanation"] = {
                "dense": {"rank": item.dense_rank, "score": round(item.dense, 4)},
                "lexical": {
                    "rank": item.lexical_rank,
                    "score": round(item.words, 4),
                    "terms": met_terms(found, item),
                },
                "names": {"score": round(item.names, 4), "forms": [_form_json(form, item) for form in item.forms]},
                "quoted": item.quoted,
                "reranked": item.reranked,
                "level": round(item.level, 4),
            }
    return {
        "question": found.question,
        "language": found.language,
        "results": results,
        "warnings": list(found.warnings),
    }


def _form_json(form: OtherForm, item: ScoredPassage) -> dict[str, Any]:
    """A name of the question in the form that the passage has, as it writes it."""
    return {
        "name": form.name,
        "form": written(form.form, item.passage.text) or form.form,
        "confidence": round(form.confidence, 3),
        "by": str(form.origin),
    }


def met_terms(found: SearchResult, item: ScoredPassage) -> list[str]:
    """What the lexical leg looked for that the passage holds."""
    held = f" {' '.join(indexed_terms(item.passage.text))} {' '.join(indexed_terms(item.passage.title))} "
    met = [term for term in dict.fromkeys(found.query_terms) if f" {term} " in held]
    # The beginning of a word is shown where the word itself is not there.
    return [
        f"{term.removeprefix(BEGINNING)}-" if term.startswith(BEGINNING) else term
        for term in met
        if not (term.startswith(BEGINNING) and any(word.startswith(term.removeprefix(BEGINNING)) for word in met))
    ]


def explanation_lines(found: SearchResult, item: ScoredPassage) -> Iterator[str]:
    """What brought a passage to its place, for a terminal."""
    usual = f"{item.level:.3f} is usual in {item.passage.language or 'its language'} for this question"
    yield f"   {item.score:+.3f} above what is usual: {usual}"
    if item.dense_rank:
        yield f"   vectors: rank {item.dense_rank}, similarity {item.dense:.3f}"
    if item.lexical_rank:
        met = ", ".join(met_terms(found, item)) or "in a part of it"
        yield f"   words: rank {item.lexical_rank}, {item.words:.0%} of what the question says: {met}"
    for form in _surest(item.forms):
        told = _form_json(form, item)
        yield f"   names: {told['name']} is {told['form']} here, by {told['by']} (confidence {told['confidence']:.2f})"
    if item.reranked is not None:
        yield f"   reranker: {item.reranked:.3f}"
    if item.quoted:
        yield "   holds what the question quotes"


def _surest(forms: Sequence[OtherForm]) -> list[OtherForm]:
    """The first, and so surest, form of each name."""
    found: dict[str, OtherForm] = {}
    for form in forms:
        found.setdefault(form.name, form)
    return list(found.values())


def citation_lines(answer: Answer, width: int = 100) -> Iterator[str]:
    """The citations of an answer, for a terminal: where each stands and its exact words."""
    for citation in answer.citations:
        about = ", ".join(filter(None, (citation.language, citation.date)))
        yield f"[{citation.n}] {citation.title or citation.source} ({about})"
        yield f"    {citation.url or citation.source}, characters {citation.start}-{citation.end}"
        yield from (f"    {line}" for line in _wrapped(f"“{' '.join(citation.quote.split())}”", width - 4))


def nearest_lines(answer: Answer, width: int = 100) -> Iterator[str]:
    """What an abstention offers instead, for a terminal: the nearest passage, in the question's language that it is."""
    if answer.abstained and answer.retrieved:
        yield phrase("closest", answer.language)
        yield from passage_lines(1, answer.retrieved[0], width)


def passage_lines(rank: int, item: ScoredPassage, width: int = 100) -> Iterator[str]:
    """One found passage, for a terminal."""
    passage = item.passage
    about = ", ".join(filter(None, (passage.language, passage.date)))
    yield f"{rank}. {passage.title or passage.source} ({about})  score {item.score:.3f}"
    yield f"   {passage.source}, characters {passage.start}-{passage.end}"
    text = " ".join(passage.text.split())
    yield from (f"   {line}" for line in _wrapped(text[:400] + ("…" if len(text) > 400 else ""), width - 3))


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of `text`; wide characters take two columns, and scripts without spaces break anywhere."""
    wide = sum("\u1100" <= char <= "\uffdc" for char in text) > len(text) / 4
    return textwrap.wrap(text, width // 2 if wide else width) or [""]


def without_controls(text: str) -> str:
    """`text` without terminal control characters: a document must not drive the terminal."""
    return "".join(char for char in text if char in "\n\t" or (char.isprintable() or char == "\u200d"))
