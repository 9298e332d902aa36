"""Any system's rankings against judgements, both in TREC's form; and a kept run in that form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.confidence import bootstrap_intervals
from eval.gold.importers.trec import Ranked, write_qrels, write_run
from eval.measures.average_precision import average_precision
from eval.measures.ndcg import ndcg
from eval.measures.precision import precision
from eval.measures.recall import recall
from eval.measures.reciprocal_rank import reciprocal_rank
from eval.runs.rows import RANKING, Row

_DEPTH = 1_000  # of average precision, as trec_eval's `map` of a run that deep


def measure_rankings(
    qrels: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[Ranked]]
) -> dict[str, dict[str, Any]]:
    """Mean, 95 % interval and n of each ranking measure, over the queries with a relevant document.

    A query that is not in the rankings counts as nothing found, unlike in trec_eval without its option -c.
    """
    rows = [_of_query(judged, rankings.get(query, ())) for query, judged in qrels.items() if max(judged.values()) > 0]
    names = list(rows[0]) if rows else []
    table = np.array([[row[name] for name in names] for row in rows]).reshape(len(rows), len(names))
    return {
        name: {"mean": round(one.value, 4), "interval": [round(one.low, 4), round(one.high, 4)], "n": one.n}
        for name, one in zip(names, bootstrap_intervals(table), strict=True)
    }


def _of_query(judged: Mapping[str, int], ranking: Sequence[Ranked]) -> dict[str, float]:
    relevant = [doc for doc, grade in judged.items() if grade > 0]
    number = {doc: i for i, doc in enumerate(relevant)}
    found = [frozenset({number[one.doc]}) if one.doc in number else frozenset[int]() for one in ranking]
    n, grades = len(relevant), [judged[doc] for doc in relevant]
    values = {f"recall@{k}": recall(found, n, k) for k in (1, 5, 10, 100)}
    return values | {
        "precision@5": precision(found, 5),
        "mrr@10": reciprocal_rank([bool(held) for held in found], 10),
        "map": average_precision(found, n, _DEPTH),
        "ndcg@10": ndcg(found, n, 10, grades),
    }


def write_trec(rows: Sequence[Row], folder: Path, tag: str) -> tuple[Path, Path]:
    """Write `qrels.txt` and `run.txt` of a run's rows; a "document" is an evidence span, or a passage that holds none.

    TREC judges documents, a gold file spans: a passage that holds evidence stands under the name of the first span
    that no passage before it holds. So the measures of what is written are those of the run wherever no
    passage holds two spans.

    Raises:
        GoldError: An id has white space in it, or a file cannot be written.
    """
    qrels, rankings = {}, {}
    for row in rows:
        if not any(name in row.values for name in RANKING):
            continue
        qrels[row.item.id] = {f"evidence-{i}": evidence.grade for i, evidence in enumerate(row.item.evidence)}
        rankings[row.item.id] = _named(row)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "qrels.txt", folder / "run.txt"
    write_qrels(qrels, written[0])
    write_run(rankings, written[1], tag)
    return written


def _named(row: Row) -> list[Ranked]:
    taken: set[int] = set()
    ranked = []
    for rank, passage in enumerate(row.passages):
        new = [i for i in passage["holds"] if i not in taken]
        taken.update(new[:1])
        name = f"evidence-{new[0]}" if new else f"{passage['doc_id']}:{passage['start']}-{passage['end']}"
        ranked.append(Ranked(name, float(len(row.passages) - rank)))
    return ranked
