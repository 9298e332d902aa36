"""Ranking measures of one question, by the library ir_measures (MacAvaney et al. 2022).

The library ranks documents; a gold file names evidence spans. So a judged "document" is the set of evidence spans
that one passage is the first to hold. Its grade is that of the best of them. A span that no passage holds is a
document of its own. A passage that repeats evidence of an earlier one is not relevant: it tells the reader nothing new.

All measures lie in [0, 1]; an empty ranking gives 0. A question without evidence has none and is left out of means.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eval.errors import PackageMissing

RANKING = ("recall@1", "recall@5", "recall@10", "mrr@10", "map@10", "ndcg@10")


def ranking(holds: Sequence[Collection[int]], grades: Sequence[int]) -> dict[str, float]:
    """The measures named in `RANKING`, of passages in rank order.

    Args:
        holds: Of each passage, the indices of the evidence spans that it overlaps.
        grades: How relevant each evidence span is, 1 or more; one for each span.

    Raises:
        PackageMissing: ir_measures is not installed.
    """
    qrels, run = qrels_and_run(holds, grades)
    names, ir_measures = _library()
    values = dict.fromkeys(RANKING, 0.0)
    for found in ir_measures.iter_calc(list(names), {"q": qrels}, {"q": run}) if run else ():
        values[names[found.measure]] = float(found.value)
    return values


def qrels_and_run(holds: Sequence[Collection[int]], grades: Sequence[int]) -> tuple[dict[str, int], dict[str, float]]:
    """The grades of the judged documents, and the scores of the ranked ones: higher is earlier."""
    qrels: dict[str, int] = {}
    run: dict[str, float] = {}
    missing = set(range(len(grades)))
    for place, held in enumerate(holds):
        new = sorted(missing.intersection(held))
        missing.difference_update(new)
        name = f"evidence {' '.join(map(str, new))}" if new else f"passage {place}"
        run[name] = float(len(holds) - place)
        if new:
            qrels[name] = max(grades[i] for i in new)
    return qrels | {f"evidence {i}": grades[i] for i in missing}, run


@functools.cache
def _library() -> tuple[Mapping[Any, str], Any]:
    """Our names by the library's measures, and the library, which loads at the first question that is measured."""
    try:
        import ir_measures
        from ir_measures import AP, RR, R, nDCG
    except ImportError as error:
        raise PackageMissing(f"ranking measures need ir_measures ({error}); fix: pip install ir-measures") from error
    measures = (R @ 1, R @ 5, R @ 10, RR @ 10, AP @ 10, nDCG @ 10)
    return dict(zip(measures, RANKING, strict=True)), ir_measures
