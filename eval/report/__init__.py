"""A run's measures to be read by people: a page, or a table for a terminal.

The HTML page needs no other file and no network. Text of documents, answers and gold files is escaped wherever it
comes in; the page's policy allows its own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from eval.measures.abstention import trade_off
from eval.report.figures import figure, funnel, worst_first
from eval.report.render import for_html, for_terminal, template
from eval.runs.compare import Comparison
from eval.runs.folder import FinishedRun

__all__ = ["as_html", "as_table", "comparison_line", "comparison_table"]

_MAX_QUESTIONS = 2_000  # shown one by one: a page of more is slow to open
_CHARS = 240  # of a passage that holds no evidence
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
        n_chars=_CHARS,
        places={row.item.id: f"q{place}" for place, row in enumerate(rows, 1)},
        funnels=[funnel(run.rows, answerable=kind) for kind in (True, False)],
        curve=trade_off([row.relevance for row in answered], can),
        here=[_mean([not row.abstained for row in answered if row.item.answerable is one]) for one in (False, True)],
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


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))
