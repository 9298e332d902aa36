"""A run's measures to be read by people: a page, or a table for a terminal.

The HTML page needs no other file and no network. Text of documents, answers and gold files is escaped wherever it
comes in; the page's policy allows its own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from eval.measures.abstention import trade_off
from eval.report.figures import figure, funnel, worst_first
from eval.report.render import for_html, for_terminal, template
from eval.runs.compare import Comparison
from eval.runs.folder import FinishedRun
from eval.runs.summary import percentiles

__all__ = ["as_html", "as_table", "comparison_line", "comparison_table"]

_MAX_QUESTIONS = 2_000  # shown one by one: a page of more is slow to open
_MANY, _CHARS, _CHARS_OF_MANY = 200, 600, 240  # questions, and characters of a passage that holds no evidence
_N_BINS = 24
_COLUMNS = {name: name for name in ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")} | {
    "answer": "answer.contains",
    "cited": "citation.recall",
}
_HEADLINES = ("recall@5", "ndcg@10", "answer.contains", "citation.precision", "abstention.right")


def as_html(run: FinishedRun, comparison: Comparison | None = None) -> str:
    """The report of a run, and of what changed since another, as one HTML page; the same run gives the same page."""
    rows = worst_first(run.rows)[:_MAX_QUESTIONS]
    answered = [row for row in run.rows if row.answer]
    can = [row.item.answerable for row in answered]
    return template("page.html", for_html).render(
        run=run,
        summary=run.summary,
        comparison=comparison,
        rows=rows,
        n_chars=_CHARS if len(rows) <= _MANY else _CHARS_OF_MANY,
        places={row.item.id: f"q{place}" for place, row in enumerate(rows, 1)},
        funnels=[funnel(run.rows, answerable=kind) for kind in (True, False)],
        curve=trade_off([row.relevance for row in answered], can),
        here=[_mean([not row.abstained for row in answered if row.item.answerable is one]) for one in (False, True)],
        times=_histogram([row.timings_ms["total"] for row in run.rows if "total" in row.timings_ms]),
        style=files("eval.report").joinpath("page.css").read_text("utf-8"),
        script=files("eval.report").joinpath("page.js").read_text("utf-8"),
    )


def as_table(summary: Mapping[str, Any]) -> str:
    """The measures with their 95 % intervals and by group, times and failures, for a terminal of 100 columns."""
    columns = {name: measure for name, measure in _COLUMNS.items() if figure(summary, measure)}
    lines = template("table.txt", for_terminal).render(summary=summary, columns=columns).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def comparison_table(comparison: Comparison) -> str:
    """The measures, the surest change first, and the questions that changed most, for a terminal."""
    return template("comparison.txt", for_terminal).render(comparison=comparison)


def comparison_line(comparison: Comparison) -> str:
    """The headline measures that changed, in a line."""
    moved = [one for one in comparison.differences if one.measure in _HEADLINES and abs(one.change) >= 0.0005]
    shown = ", ".join(f"{one.measure} {one.change:+.3f}{'*' if one.significant else ''}" for one in moved)
    return f"against {comparison.before}: {shown or 'no headline measure changed'} (* by more than chance)"


def _histogram(times: Sequence[float]) -> dict[str, Any]:
    """How many questions took how long, in bars of equal width up to `top`; the last holds all beyond it."""
    if not times:
        return {}
    found = percentiles(times)
    top = max(0.001, max(times) if max(times) <= 2.5 * found["p95"] else 2 * found["p95"])
    step = 10.0 ** math.floor(math.log10(top))
    top = step * math.ceil(top / step)
    counts = Counter(min(_N_BINS - 1, int(time / top * _N_BINS)) for time in times)
    return {"top": top, "n": len(times), "bars": [counts[place] for place in range(_N_BINS)], **found}


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))
