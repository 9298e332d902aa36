"""Gold questions put to a chain, and what is measured of each."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from eval.gold import Corpus, Evidence, GoldItem, Need
from eval.measures.answers import contains, contains_all, exact_match, f1
from eval.measures.citation import SpanIn, citation, overlaps, unsupported_share
from eval.measures.language import in_language
from eval.measures.ranking import RANKING, ranking
from eval.runs.rows import ANSWER, CITATION, Outcome, Row
from index.search import ScoredPassage
from rag.answer import Answer, answer_json, passage_json
from rag.chain import Chain
from rag.citations import without_markers
from rag.events import Delta, Done, Failed

K = 10  # passages a question that the ranking measures look at


def ask_all(chain: Chain, items: Sequence[GoldItem], *, retrieval_only: bool = False) -> list[Row]:
    """The row of each question, in order; with `retrieval_only` passages are looked for and nothing is answered."""
    return list(ask_each(chain, items, retrieval_only=retrieval_only))


def ask_each(
    chain: Chain, items: Sequence[GoldItem], *, retrieval_only: bool = False, n_workers: int = 1
) -> Iterator[Row]:
    """The rows as they come, in order; `n_workers` questions are asked at once, for a model that is waited for."""
    row = functools.partial(_row, Corpus(chain.backend), _retrieved if retrieval_only else _answered, chain)
    with ThreadPoolExecutor(n_workers) as pool:
        yield from pool.map(row, items) if n_workers > 1 else map(row, items)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What the chain gave for a question."""

    passages: Sequence[ScoredPassage]
    relevance: float
    answer: Answer | None
    timings_ms: Mapping[str, float]


def _retrieved(chain: Chain, question: str) -> _Reply:
    started = time.perf_counter()
    found = chain.retrieve(question, max(K, chain.settings.k))
    return _Reply(found.passages, found.relevance, None, {"total": _since(started)})


def _answered(chain: Chain, question: str) -> _Reply:
    started = time.perf_counter()
    timings: dict[str, float] = {}
    for event in chain.stream(question):
        timings.setdefault("first_event", _since(started))
        if isinstance(event, Delta):
            timings.setdefault("first_text", _since(started))
        elif isinstance(event, Failed):
            raise event.error
        elif isinstance(event, Done):
            answer = event.answer
            timings |= {"total": _since(started), "retrieval": answer.timings_ms.get("retrieval", 0.0)}
            return _Reply(answer.retrieved, answer.relevance, answer, timings)
    raise AssertionError("a stream ends with Done or Failed")  # pragma: no cover


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


def _row(corpus: Corpus, ask: Callable[[Chain, str], _Reply], chain: Chain, item: GoldItem) -> Row:
    found = [corpus.places(evidence) for evidence in item.evidence]
    missing = [evidence for evidence, places in zip(item.evidence, found, strict=True) if not places]
    row = Row(
        item=item,
        outcome=Outcome.FAILED,
        document_language=next((document.language for places in found for document, _, _ in places), ""),
        places=tuple(tuple((document.doc_id, start, end) for document, start, end in places) for places in found),
        problem=_lost(missing[0], corpus) if missing else "",
    )
    try:
        reply = ask(chain, item.question)
    except Exception as error:  # noqa: BLE001 - a question that fails is a failure of the run, not its end
        nothing = dict.fromkeys(_applying(item, answers=ask is _answered), 0.0)
        return replace(row, values=nothing, problem=f"{type(error).__name__}: {error}")
    holds = [_held(passage, row.places) for passage in reply.passages]
    values = dict(_values(row, holds, reply.answer))
    return replace(
        row,
        outcome=Outcome.FAILED if row.problem else _outcome(item, holds, reply.answer, values),
        passages=tuple(
            {**passage_json(passage), "relevance": round(passage.relevance, 4), "holds": sorted(held)}
            for passage, held in zip(reply.passages, holds, strict=True)
        ),
        answer=_answer_json(reply.answer),
        relevance=round(reply.relevance, 4),
        values=values,
        timings_ms=reply.timings_ms,
    )


def _lost(evidence: Evidence, corpus: Corpus) -> str:
    if not corpus.named(evidence.doc):
        return f"no document of the index is called {evidence.doc}; fix: index it, or correct the name"
    return f"evidence not found in {evidence.doc}: {evidence.text[:60]}"


def _applying(item: GoldItem, *, answers: bool) -> Iterator[str]:
    """The measures of a question that failed: each counts as 0, none is left out."""
    if item.answerable and item.evidence:
        yield from (*RANKING, *CITATION) if answers else RANKING
    if item.answerable and item.answers and answers:
        yield from ANSWER


def _answer_json(answer: Answer | None) -> dict[str, Any]:
    """`ask --json` without what the row holds already."""
    values = answer_json(answer) if answer else {}
    return {name: value for name, value in values.items() if name not in ("retrieved", "timings_ms", "question")}


def _held(found: ScoredPassage, places: Sequence[Sequence[SpanIn]]) -> frozenset[int]:
    """Numbers of the evidence spans that a passage overlaps."""
    own = (found.passage.doc_id, found.passage.start, found.passage.end)
    return frozenset(i for i, spans in enumerate(places) if any(overlaps(own, span) for span in spans))


def _outcome(
    item: GoldItem, holds: Sequence[frozenset[int]], answer: Answer | None, values: Mapping[str, float]
) -> Outcome:
    if not item.answerable:
        if answer is None:
            return Outcome.UNJUDGED
        return Outcome.ABSTAINED if answer.abstained else Outcome.ANSWERED
    if item.evidence and not any(holds):
        return Outcome.NOT_RETRIEVED
    if answer is None:
        return Outcome.RETRIEVED if item.evidence else Outcome.UNJUDGED
    if answer.abstained:
        return Outcome.REFUSED
    if item.evidence and not values["citation.recall"]:
        return Outcome.NOT_USED
    return Outcome.RIGHT if values.get("answer.contains", 1.0) else Outcome.WRONG


def _values(row: Row, holds: Sequence[frozenset[int]], answer: Answer | None) -> Iterator[tuple[str, float]]:
    """The measures that apply to a question."""
    item = row.item
    if item.answerable and item.evidence:
        yield from ranking(holds[:K], [evidence.grade for evidence in item.evidence]).items()
    if answer is None:
        return
    yield "abstention.right", float(answer.abstained != item.answerable)
    if item.answerable and item.answers:
        said = "" if answer.abstained else " ".join(sentence.text for sentence in answer.sentences)
        language = row.document_language or item.lang  # the expected answers are in that of the documents
        yield "answer.f1", f1(said, item.answers, language)
        yield "answer.em", exact_match(said, item.answers, language)
        are_in = contains_all if item.need is Need.ALL else contains
        yield "answer.contains", are_in(said, item.answers, language)
    if item.answerable and item.evidence:
        cited = [(c.doc_id, c.start, c.end) for c in answer.citations]
        yield from zip(CITATION, citation(cited, row.places), strict=True)
    if answer.sentences:
        yield "support.unsupported", unsupported_share([sentence.verdict for sentence in answer.sentences])
    right = in_language(_own_words(answer), item.lang)
    if not math.isnan(right):
        yield "language.right", right


def _own_words(answer: Answer) -> str:
    """The text of an answer without what it quotes word for word, which is in the language of the article."""
    text = answer.text
    for sentence in answer.sentences:
        quotes = (" ".join(citation.quote.split()) for citation in answer.citations if citation.n in sentence.citations)
        if any(sentence.text in quote for quote in quotes):
            text = text.replace(sentence.text, " ")
    return without_markers(text).strip()
