"""Comparisons and sweeps as tables for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eval.runs.compare import Comparison, Difference, differences
from eval.runs.rows import Row
from eval.runs.summary import flat, summarise

_N_QUESTIONS = 10  # changed questions that a terminal is shown of each kind
_OF_SWEEP = ("recall@1", "recall@5", "ndcg@10", "answer.contains", "citation.precision", "abstention.f1")
_HEADLINES = ("recall@5", "ndcg@10", "answer.contains", "citation.precision", "abstention.right")


def comparison_table(comparison: Comparison) -> str:
    """The measures, the surest change first, and the questions that won and lost most."""
    lines = [f"{comparison.before} -> {comparison.after}, {comparison.n} questions"]
    lines += [f"{name}: {before} -> {after}" for name, (before, after) in comparison.settings.items()]
    if comparison.only_before or comparison.only_after:
        lines.append(f"in one of them only: {len(comparison.only_before)} before, {len(comparison.only_after)} after")
    lines += ["", f"{'':20}{'n':>6}{'before':>9}{'after':>9}{'change':>9}{'p':>8}{'wins':>6}{'losses':>8}"]
    lines += [_difference(one) for one in comparison.differences]
    lines += ["", "* by more than chance: p < 0.05, paired randomisation, corrected for the number of measures (Holm)"]
    for title, better in (("better", True), ("worse", False)):
        changed = [change for change in comparison.questions if (change.gain > 0) is better and change.gain]
        if changed:
            lines += ["", f"{title}: {len(changed)} questions"]
            lines += [
                f"  {change.gain:+.2f}  {change.id}  {change.before} -> {change.after}  {_cut(change.question)}"
                for change in changed[:_N_QUESTIONS]
            ]
    return "\n".join(lines)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as one JSON object."""
    found = asdict(comparison)
    for values, one in zip(found["differences"], comparison.differences, strict=True):
        values |= {"change": one.change, "significant": one.significant}
    return found


def _difference(one: Difference) -> str:
    return (
        f"{'*' if one.significant else ' '} {one.measure:18}{one.n:>6}{one.before:>9.3f}{one.after:>9.3f}"
        f"{one.change:>+9.3f}{one.p_holm:>8.3f}{one.wins:>6}{one.losses:>8}"
    )


def _cut(text: str) -> str:
    flat_text = " ".join(text.split())
    return flat_text if len(flat_text) <= 60 else f"{flat_text[:59]}…"


def changes(comparison: Comparison) -> Iterator[str]:
    """What a run changed against an earlier one, in a line or a few."""
    by_name = {one.measure: one for one in comparison.differences}
    moved = [by_name[name] for name in _HEADLINES if name in by_name and abs(by_name[name].change) >= 0.0005]
    shown = ", ".join(f"{one.measure} {one.change:+.3f}{'*' if one.significant else ''}" for one in moved)
    yield f"against {comparison.before}: {shown or 'no headline measure changed'}"
    better = sum(change.gain > 0 for change in comparison.questions)
    worse = sum(change.gain < 0 for change in comparison.questions)
    if better or worse:
        yield f"  {better} questions better, {worse} worse (* by more than chance)"


def sweep_json(found: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """The measures of each variant, and its differences to the first."""
    variants = list(found.items())
    first = variants[0][1]
    return {
        "variants": [
            {
                "name": name,
                "measures": flat(summarise(rows)),
                "p": {one.measure: one.p_holm for one in differences(first, rows)} if rows is not first else {},
            }
            for name, rows in variants
        ]
    }


def sweep_table(found: Mapping[str, Sequence[Row]]) -> str:
    """A row a variant; a star where it differs from the first by more than chance."""
    variants = sweep_json(found)["variants"]
    shown = [name for name in _OF_SWEEP if any(name in variant["measures"] for variant in variants)]
    width = max(20, *(len(variant["name"]) + 2 for variant in variants))
    lines = [f"{'':{width}}" + "".join(f"{name:>20}" for name in shown)]
    for variant in variants:
        cells = (
            f"{variant['measures'].get(name, float('nan')):.3f}{'*' if variant['p'].get(name, 1.0) < 0.05 else ' '}"
            for name in shown
        )
        lines.append(f"{variant['name']:{width}}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join([*lines, "", "* differs from the first row by more than chance (p < 0.05, corrected)"])
