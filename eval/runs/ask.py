"""Gold questions put to a chain, and what is measured of each."""

from __future__ import annotations

import functools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from eval.gold import Evidence, GoldItem, find_evidence
from eval.measures.answer_text import contains, exact_match, f1
from eval.measures.average_precision import average_precision
from eval.measures.citation import SpanIn, citation, citation_f1, overlaps
from eval.measures.language import in_language
from eval.measures.ndcg import ndcg
from eval.measures.ngram_recall import ngram_recall
from eval.measures.precision import precision
from eval.measures.recall import recall
from eval.measures.reciprocal_rank import reciprocal_rank
from eval.measures.support import unsupported_share
from eval.runs.rows import ANSWER, CITATION, RANKING, Outcome, Row
from index.search import ScoredPassage, SearchResult
from index.store.base import Backend, StoredDocument
from rag.answer import Answer, answer_json, passage_json
from rag.chain import Chain
from rag.citations import without_markers
from rag.events import Delta, Done, Failed
from rag.verify.judges import AnswerGrader

K = 10  # passages a question that the ranking measures look at


def ask_all(
    chain: Chain,
    items: Sequence[GoldItem],
    *,
    retrieval_only: bool = False,
    n_workers: int = 1,
    grader: AnswerGrader | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """A row of each question, in order.

    Args:
        chain: Asked.
        items: The questions.
        retrieval_only: Look for passages only, and answer nothing.
        n_workers: Questions that are asked at once, each in a thread: worth it for a model that runs elsewhere.
        grader: Also grades the answers, as `judge.correct`; needs a model and is apart from what is computed.
        on_row: Given each row when it is there, in any order, one at a time.
    """
    row = functools.partial(ask_one, chain, Corpus(chain.backend), retrieval_only=retrieval_only, grader=grader)
    rows: list[Row] = []
    with ThreadPoolExecutor(max(1, n_workers)) as pool:
        for one in pool.map(row, items) if n_workers > 1 else map(row, items):
            rows.append(one)
            if on_row is not None:
                on_row(one)
    return rows


def ask_one(
    chain: Chain, corpus: Corpus, item: GoldItem, *, retrieval_only: bool = False, grader: AnswerGrader | None = None
) -> Row:
    """The row of one question; as `ask_all` has it."""
    ask = _retrieve if retrieval_only else _answer
    found = _row(item, corpus, lambda: ask(chain, item), retrieval_only=retrieval_only)
    return found if grader is None else _graded(found, grader)


def _graded(row: Row, grader: AnswerGrader) -> Row:
    """`row` with the grade of its answer, where it has one to be graded; a refusal is no answer, and graded 0."""
    if row.problem or not row.answer or not (row.item.answerable and row.item.answers):
        return row
    refused = row.abstained
    grade = 0.0 if refused else grader.grade(row.item.question, row.item.answers, row.answer["answer"])
    return row if math.isnan(grade) else replace(row, values={**row.values, "judge.correct": grade})


class Corpus:
    """The documents of an index by what a gold file calls them, and the places of evidence in them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._by_name: dict[str, list[StoredDocument]] = defaultdict(list)
        for document in backend.documents():
            self._by_name[_last(document.source)].append(document)
        self._texts: dict[str, str] = {}

    def named(self, doc: str) -> list[StoredDocument]:
        """The documents whose source is `doc` or ends so, after a slash or a number sign."""
        return [document for document in self._by_name.get(_last(doc), ()) if _ends_so(document.source, doc)]

    def places(self, evidence: Evidence) -> tuple[list[SpanIn], StoredDocument | None]:
        """Where the evidence stands, and the first document that it names."""
        documents = self.named(evidence.doc)
        places: list[SpanIn] = []
        for document in documents:
            if not evidence.text:
                places.append((document.doc_id, 0, document.n_chars))
                continue
            text = self._text(document.doc_id)
            places += [(document.doc_id, *span) for span in find_evidence(text, evidence.text)]
        return places, documents[0] if documents else None

    def _text(self, doc_id: str) -> str:
        if doc_id not in self._texts:
            self._texts[doc_id] = self._backend.text(doc_id) or ""
        return self._texts[doc_id]


def _last(source: str) -> str:
    """What stands behind the last slash and number sign of a source."""
    return PurePath(source.replace("\\", "/").rpartition("#")[2]).name


def _ends_so(source: str, doc: str) -> bool:
    return source == doc or source.endswith((f"/{doc}", f"#{doc}"))


@dataclass(frozen=True, slots=True)
class _Said:
    """What came of a question."""

    passages: Sequence[ScoredPassage]
    relevance: float
    answer: Answer | None
    timings_ms: Mapping[str, float]


def _retrieve(chain: Chain, item: GoldItem) -> _Said:
    started = time.perf_counter()
    found: SearchResult = chain.retrieve(item.question, max(K, chain.settings.k))
    return _Said(found.passages, found.relevance, None, {"total": _since(started)})


def _answer(chain: Chain, item: GoldItem) -> _Said:
    started = time.perf_counter()
    timings: dict[str, float] = {}
    for event in chain.stream(item.question):
        timings.setdefault("first_event", _since(started))
        if isinstance(event, Delta):
            timings.setdefault("first_text", _since(started))
        elif isinstance(event, Failed):
            raise event.error
        elif isinstance(event, Done):
            timings["total"] = _since(started)
            timings["retrieval"] = event.answer.timings_ms.get("retrieval", 0.0)
            return _Said(event.answer.retrieved, event.answer.relevance, event.answer, timings)
    raise AssertionError("a stream ends with Done or Failed")  # pragma: no cover


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


def _row(item: GoldItem, corpus: Corpus, ask: Callable[[], _Said], *, retrieval_only: bool) -> Row:
    places: list[tuple[SpanIn, ...]] = []
    document: StoredDocument | None = None
    problem = ""
    for evidence in item.evidence:
        found, named = corpus.places(evidence)
        document = document or named
        places.append(tuple(found))
        if not found:
            problem = _lost(evidence, named)
    try:
        said = ask()
    except Exception as error:  # noqa: BLE001 - a question that fails is a failure of the run, not its end
        return Row(
            item=item,
            outcome=Outcome.FAILED,
            document=document.source if document else "",
            document_language=document.language if document else "",
            places=tuple(places),
            values=dict.fromkeys(_applying(item, retrieval_only=retrieval_only), 0.0),
            problem=f"{type(error).__name__}: {error}",
        )
    holds = [_held(passage, places) for passage in said.passages]
    return Row(
        item=item,
        outcome=Outcome.FAILED if problem else _outcome(item, holds, said.answer, places),
        document=document.source if document else "",
        document_language=document.language if document else "",
        places=tuple(places),
        passages=tuple(
            {**passage_json(passage), "relevance": round(passage.relevance, 4), "holds": sorted(held)}
            for passage, held in zip(said.passages, holds, strict=True)
        ),
        answer=_without_passages(answer_json(said.answer)) if said.answer else {},
        relevance=round(said.relevance, 4),
        values=dict(_values(item, holds, said.answer, places, document.language if document else item.lang)),
        timings_ms=said.timings_ms,
        problem=problem,
    )


def _applying(item: GoldItem, *, retrieval_only: bool) -> Iterator[str]:
    """The measures of a question that failed: none is left out, each counts as nothing found and nothing said."""
    if item.answerable and item.evidence:
        yield from RANKING
    if item.answerable and item.evidence and not retrieval_only:
        yield from CITATION
    if item.answerable and item.answers and not retrieval_only:
        yield from ANSWER


def _lost(evidence: Evidence, named: StoredDocument | None) -> str:
    if named is None:
        return f"no document of the index is called {evidence.doc}; to mend: index it, or name it otherwise"
    return f"evidence not found in {evidence.doc}: {evidence.text[:60]}"


def _without_passages(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("retrieved", "timings_ms", "question")}


def _held(found: ScoredPassage, places: Sequence[Sequence[SpanIn]]) -> frozenset[int]:
    """Numbers of the evidence spans that a passage overlaps."""
    own = (found.passage.doc_id, found.passage.start, found.passage.end)
    return frozenset(i for i, spans in enumerate(places) if any(overlaps(own, span) for span in spans))


def _outcome(
    item: GoldItem, holds: Sequence[frozenset[int]], answer: Answer | None, places: Sequence[Sequence[SpanIn]]
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
    if item.evidence and not citation(_cited(answer), places)[1]:
        return Outcome.NOT_USED
    return Outcome.RIGHT if not item.answers or contains(_said(answer), item.answers) else Outcome.WRONG


def _cited(answer: Answer) -> list[SpanIn]:
    return [(c.doc_id, c.start, c.end) for c in answer.citations]


def _said(answer: Answer) -> str:
    return " ".join(sentence.text for sentence in answer.sentences)


def _own_words(answer: Answer) -> str:
    """The text of an answer without what it quotes word for word, which is in the language of the article."""
    text = answer.text
    for sentence in answer.sentences:
        quotes = (" ".join(citation.quote.split()) for citation in answer.citations if citation.n in sentence.citations)
        if any(sentence.text in quote for quote in quotes):
            text = text.replace(sentence.text, " ")
    return without_markers(text).strip()


def _values(
    item: GoldItem,
    holds: Sequence[frozenset[int]],
    answer: Answer | None,
    places: Sequence[Sequence[SpanIn]],
    language: str,
) -> Iterator[tuple[str, float]]:
    """The measures that apply to a question: `language` is that of the expected answers."""
    if item.answerable and item.evidence:
        yield from _ranking(holds, [evidence.grade for evidence in item.evidence])
    if answer is None:
        return
    yield "abstention.right", float(answer.abstained != item.answerable)
    if item.answerable and item.answers:
        said = "" if answer.abstained else _said(answer)
        yield "answer.f1", f1(said, item.answers, language)
        yield "answer.em", exact_match(said, item.answers, language)
        yield "answer.contains", contains(said, item.answers, language)
        yield "answer.char3", ngram_recall(said, item.answers)
    if item.answerable and item.evidence:
        cited = _cited(answer)
        precise, covered = citation(cited, places)
        yield "citation.precision", precise
        yield "citation.recall", covered
        yield "citation.f1", citation_f1(cited, places)
    if answer.sentences:
        yield "support.unsupported", unsupported_share([sentence.verdict for sentence in answer.sentences])
    right = in_language(_own_words(answer), item.lang)
    if not math.isnan(right):
        yield "language.right", right


def _ranking(holds: Sequence[frozenset[int]], grades: Sequence[int]) -> Iterator[tuple[str, float]]:
    n = len(grades)
    for k in (1, 5, 10):
        yield f"recall@{k}", recall(holds, n, k)
    yield "precision@5", precision(holds, 5)
    yield "mrr@10", reciprocal_rank([bool(held) for held in holds], 10)
    yield "map@10", average_precision(holds, n, 10)
    yield "ndcg@10", ndcg(holds, n, 10, grades)
