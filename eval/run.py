"""A run of gold questions through the chain, and its measures."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from eval.gold import GoldItem, find_evidence
from eval.measures.abstention import abstention
from eval.measures.answer_text import contains, exact_match, f1
from eval.measures.citation import SpanIn, citation, overlaps
from eval.measures.ndcg import ndcg
from eval.measures.recall import recall
from eval.measures.reciprocal_rank import reciprocal_rank
from rag.answer import Answer
from rag.chain import Chain

_K = 10


@dataclass(frozen=True, slots=True)
class Row:
    """What one question measured; `problem` says why it counts as failed."""

    item: GoldItem
    document_language: str
    values: dict[str, float]
    latency_ms: float
    abstained: bool = False
    problem: str = ""
    answer: dict[str, float] = field(default_factory=dict)


def evaluate(
    chain: Chain, items: Sequence[GoldItem], *, retrieval_only: bool = False, on_item: Callable[[], None] | None = None
) -> dict[str, Any]:
    """The measures of a gold set, in the fixed shape of `eval --json`."""
    documents = {document.source: document for document in chain.backend.documents()}
    texts = {source: chain.backend.text(document.doc_id) or "" for source, document in documents.items()}
    rows = []
    for item in items:
        rows.append(_row(chain, item, documents, texts, retrieval_only))
        if on_item is not None:
            on_item()
    return _summary(rows, retrieval_only)


def _row(chain: Chain, item: GoldItem, documents: dict[str, Any], texts: dict[str, str], retrieval_only: bool) -> Row:
    evidence: list[list[SpanIn]] = []
    language, problem = "", ""
    for wanted in item.evidence:
        places: list[SpanIn] = []
        for source, document in documents.items():
            if source == wanted.doc or source.endswith("/" + wanted.doc):
                language = language or document.language
                places += [(document.doc_id, *span) for span in find_evidence(texts[source], wanted.text)]
        if not places:
            problem = f"evidence not found in {wanted.doc}: {wanted.text[:60]}"
        evidence.append(places)
    started = time.perf_counter()
    try:
        answer = None if retrieval_only else chain.invoke(item.question)
        passages = chain.retrieve(item.question, _K).passages if answer is None else answer.retrieved[:_K]
    except Exception as error:  # noqa: BLE001 - a question that fails is a failure of the run, not its end
        return Row(
            item,
            language,
            _retrieval([], evidence) if evidence else {},
            0.0,
            problem=f"{type(error).__name__}: {error}",
        )
    latency = (time.perf_counter() - started) * 1000
    found = [
        frozenset(
            i
            for i, places in enumerate(evidence)
            if any(overlaps((p.passage.doc_id, p.passage.start, p.passage.end), place) for place in places)
        )
        for p in passages
    ]
    return Row(
        item,
        language,
        _retrieval(found, evidence) if item.answerable else {},
        latency,
        answer.abstained if answer else False,
        problem,
        _answer_values(answer, item, evidence) if answer and item.answerable else {},
    )


def _retrieval(found: list[frozenset[int]], evidence: list[list[SpanIn]]) -> dict[str, float]:
    n = len(evidence)
    return {
        **{f"recall@{k}": recall(found, n, k) for k in (1, 5, 10)},
        "mrr@10": reciprocal_rank([bool(hits) for hits in found], 10),
        "ndcg@10": ndcg(found, n, 10),
    }


def _answer_values(answer: Answer, item: GoldItem, evidence: list[list[SpanIn]]) -> dict[str, float]:
    said = " ".join(sentence.text for sentence in answer.sentences)
    cited: list[SpanIn] = [(c.doc_id, c.start, c.end) for c in answer.citations]
    precision, covered = citation(cited, evidence)
    return {
        "f1": f1(said, item.answers),
        "em": exact_match(said, item.answers),
        "contains": contains(said, item.answers),
        "citation_precision": precision,
        "citation_recall": covered,
    }


def _summary(rows: Sequence[Row], retrieval_only: bool) -> dict[str, Any]:
    by_language: dict[str, list[Row]] = defaultdict(list)
    by_pair: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_language[row.item.lang].append(row)
        if row.item.answerable:
            by_pair[f"{row.item.lang}->{row.document_language or '?'}"].append(row)
    latencies = [row.latency_ms for row in rows if not row.problem]
    summary: dict[str, Any] = {
        "n": len(rows),
        "n_answerable": sum(row.item.answerable for row in rows),
        **_means(rows),
        "by_language": {
            tag: {"n": len(part), "n_answerable": sum(row.item.answerable for row in part), **_means(part)}
            for tag, part in sorted(by_language.items())
        },
        "by_language_pair": {
            pair: {"n": len(part), "n_answerable": len(part), **_means(part)} for pair, part in sorted(by_pair.items())
        },
        "latency_ms": {
            "p50": round(float(np.percentile(latencies, 50)), 2) if latencies else 0.0,
            "p95": round(float(np.percentile(latencies, 95)), 2) if latencies else 0.0,
        },
        "failed": sum(bool(row.problem) for row in rows),
        "failures": [{"id": row.item.id, "why": row.problem} for row in rows if row.problem],
    }
    if not retrieval_only:
        answered = [row for row in rows if row.item.answerable]
        summary["answer"] = {
            name: _mean(row.answer.get(name, 0.0) for row in answered) for name in ("f1", "em", "contains")
        }
        summary["citation"] = {
            name: _mean(row.answer.get(f"citation_{name}", 0.0) for row in answered) for name in ("precision", "recall")
        }
        verdict = abstention([row.abstained for row in rows], [row.item.answerable for row in rows])
        summary["abstention"] = {name: round(value, 4) for name, value in verdict.items()}
    return summary


def _means(rows: Sequence[Row]) -> dict[str, float]:
    """Means over the answerable questions; one that failed counts as nothing found."""
    measured = [row for row in rows if row.item.answerable]
    names = ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
    return {name: _mean(row.values.get(name, 0.0) for row in measured) for name in names} if measured else {}


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return round(fmean(found), 4) if found else 0.0
