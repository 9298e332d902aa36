"""A quality suite: its parts indexed, its questions asked by the code of `dragoman eval`, and the means."""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from eval.benchmarks.sets import Part, parts
from eval.benchmarks.suites import Suite
from eval.measures.abstention import abstention, roc_auc
from eval.runs.ask import ask_all
from eval.runs.rows import Row
from index.contextual import add_contextual
from index.encoders.base import Encoder
from index.ingest import ingest
from index.store import open_backend
from index.text.language import same_language
from rag.chain import Chain

_SHOWN = (
    "recall@1", "recall@5", "recall@10", "ndcg@10", "answer.f1", "answer.contains", "citation.precision",
    "citation.recall",
)  # fmt: skip
_MIN_QUESTIONS = 10  # of a language, for a mean of its own


def run_quality(suite: Suite, encoder: Encoder, scratch: Path) -> dict[str, float]:
    """The measures of a suite by name; a measure that applies to no question is left out.

    Raises:
        SetMissing: Its data is not there.
    """
    retrieval_only = bool(suite.values.get("retrieval_only", False))
    rows: list[Row] = []
    for i, part in enumerate(parts(suite)):
        folder = scratch / str(i)
        folder.mkdir()
        rows += ask_part(part, encoder, folder, retrieval_only=retrieval_only)
        shutil.rmtree(folder)
    return measures_of(rows)


def ask_part(part: Part, encoder: Encoder, folder: Path, *, retrieval_only: bool) -> list[Row]:
    """Index a part in `folder`, and ask its questions; a row each, in order."""
    index_part(part, encoder, folder)
    backend = open_backend(folder / "index")
    try:
        return ask_all(Chain(backend, encoder), part.items, retrieval_only=retrieval_only)
    finally:
        backend.close()


def index_part(part: Part, encoder: Encoder, folder: Path) -> None:
    """Index what a part says in `folder`/index."""
    sources = [str(part.articles)] if part.articles else []
    for name, documents in part.documents.items():
        path = folder / name
        lines = ({"id": one.id, "title": one.title, "lang": one.lang, "text": one.text} for one in documents)
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
        sources.append(str(path))
    ingest(folder / "index", sources, encoder, n_workers=1)
    add_contextual(folder / "index", encoder)


def measures_of(rows: Sequence[Row]) -> dict[str, float]:
    """Means over the questions to which a measure applies, and shares of refusals, each in [0, 1]; n and failures."""
    found: dict[str, float] = {"n": len(rows), "failed": sum(bool(row.problem) for row in rows)}
    for name in _SHOWN:
        values = [row.values[name] for row in rows if name in row.values]
        if values:
            found[name] = fmean(values)
    found |= _recall_by_language(rows)
    if any(not row.item.answerable for row in rows):
        found |= _refusals(rows)
    times = [row.timings_ms["total"] for row in rows if "total" in row.timings_ms]
    return found | ({"p50_ms": median(times)} if times else {})


def _recall_by_language(rows: Sequence[Row]) -> dict[str, float]:
    """recall@5 where question and document share a language, and where not; and the lowest of a question language."""
    groups: dict[str, list[float]] = defaultdict(list)
    languages: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if "recall@5" in row.values:
            own = same_language(row.item.lang, row.document_language or row.item.lang)
            groups["own language" if own else "other language"].append(row.values["recall@5"])
            languages[row.item.lang].append(row.values["recall@5"])
    found = {f"recall@5, {name}": fmean(own) for name, own in groups.items()} if len(groups) > 1 else {}
    means = [fmean(own) for own in languages.values() if len(own) >= _MIN_QUESTIONS]
    return found | ({"recall@5, worst language": min(means)} if len(means) > 1 else {})


def _refusals(rows: Sequence[Row]) -> dict[str, float]:
    """How well refusals, and the relevance, separate questions without an answer from the others."""
    answerable = [row.item.answerable for row in rows]
    found = {f"abstention.{name}": value for name, value in abstention([r.abstained for r in rows], answerable).items()}
    found["wrongly answered"] = 1 - found["abstention.recall"]
    found["wrongly refused"] = fmean(row.abstained for row in rows if row.item.answerable) if any(answerable) else 0.0
    auc = roc_auc(
        [row.relevance for row in rows if row.item.answerable], [r.relevance for r in rows if not r.item.answerable]
    )
    return found if math.isnan(auc) else {**found, "abstention.roc_auc": auc}
