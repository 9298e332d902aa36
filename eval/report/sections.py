"""The parts of a report that show numbers over all questions: tiles, what was run, where questions were lost, plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eval.report.figures import (
    HEADLINE,
    Figure,
    Step,
    between,
    figure,
    funnel,
    number,
    operating_point,
    refusals,
)
from eval.report.markup import Markup, el, joined
from eval.report.parts import cell, filtered, section, table, values_table
from eval.report.plots import interval_svg, latency_svg, share_svg, trade_off_svg
from eval.report.words import MEASURES, OUTCOMES, Word, measure_word
from eval.runs.folder import FinishedRun
from eval.runs.rows import Row

_TIMES = {"latency_ms": "whole answer", "first_event_ms": "first sign of life", "first_text_ms": "first words"}


def headline(run: FinishedRun) -> Markup:
    """A tile for each of the measures that matter most."""
    summary = run.summary
    found = [(measure, figure(summary, measure)) for measure in HEADLINE]
    tiles = [_tile(measure, one) for measure, one in found if one is not None]
    times = summary.get("latency_ms", {})
    if times.get("p95"):
        sure = f"95 % of questions within this, half within {times['p50']:,.0f} ms"
        tiles.append(_plain_tile("Time of an answer", f"{times['p95']:,.0f} ms", sure, "From the question to its end."))
    meaning = "Errors, and questions whose evidence is not in the index; they count as nothing found."
    n = f"of {summary.get('n', len(run.rows)):,} questions"
    tiles.append(_plain_tile("Failed", f"{summary.get('failed', 0):,}", n, meaning))
    said = (
        "Measures are between 0 and 1, and n questions were measured. Within the 95 % interval the number could as well"
        " lie if other questions of the kind had been asked. Where all came out alike it has no width, which is no"
        " certainty."
    )
    return section("summary", "In short", said, el("ul", *tiles, class_="tiles"))


def _tile(measure: str, found: Figure) -> Markup:
    word = measure_word(measure)
    sure = [el("span", f"95 % interval {between(found.interval)},"), " "] if found.interval else []
    return el(
        "li",
        el("h3", word.name),
        el("p", number(found.value), class_="value", data_measure=measure),
        interval_svg(found.value, found.interval) if found.interval else "",
        el("p", *sure, el("span", f"n = {found.n:,}"), class_="sure"),
        el("p", word.meaning, " ", el("code", measure), class_="soft"),
    )


def _plain_tile(name: str, value: str, sure: str, meaning: str) -> Markup:
    return el(
        "li",
        el("h3", name),
        el("p", value, class_="value"),
        el("p", sure, class_="sure"),
        el("p", meaning, class_="soft"),
    )


def setup(run: FinishedRun) -> Markup:
    """What was run, with what, and when."""
    rows = [("run", run.name), ("started", run.about.get("started", "")), *_flat(run.about.get("shape", {}))]
    usage = {name.replace("_", " "): value for name, value in run.summary.get("usage", {}).items() if value}
    tables = [
        values_table("What was run, and with which settings", rows),
        values_table("Versions", list(_flat(run.about.get("versions", {})))),
        values_table("What the models read, wrote and cost", [(name, f"{value:,}") for name, value in usage.items()]),
    ]
    return section("setup", "What was run", "", el("div", *tables, class_="beside"))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def lost(rows: Sequence[Row]) -> Markup:
    """Where questions were lost on the way to a right answer."""
    parts = [_steps("Questions that have an answer", funnel(rows)), _steps("Questions that have none", refusals(rows))]
    said = "How many questions came as far as each step. Those lost at a step can be looked at: choose their number."
    return section("funnel", "Where questions were lost", said, *parts) if any(parts) else Markup()


def _steps(caption: str, steps: Sequence[Step]) -> Markup:
    if not steps:
        return Markup()
    whole = steps[0].n
    body = []
    for step in steps:
        gone = sum(n for _, n in step.lost)
        links = [
            filtered(f"{n:,} {OUTCOMES[outcome].name}", OUTCOMES[outcome].meaning, outcome=str(outcome))
            for outcome, n in step.lost
        ]
        body.append(
            el(
                "tr",
                el("th", step.name, scope="row"),
                cell(f"{step.n:,}"),
                cell(f"{step.n / whole:.0%}"),
                el("td", share_svg(step.n / whole, gone / whole), class_="wide"),
                el("td", joined(links, ", ") if links else "–"),
            )
        )
    return table(caption, ("step", "questions", "share", el("td"), "lost here"), body, "steps")


def refusing(run: FinishedRun) -> Markup:
    """How well answerable questions are told from others."""
    own = run.summary.get("abstention") or {}
    curve = own.get("curve") or ()
    here = operating_point(run.rows)
    if not curve or here is None:  # with questions of one kind only there is nothing to trade
        return Markup()
    names = [f"abstention.{name}" for name in ("precision", "recall", "f1", "roc_auc") if name in own]
    rows = [
        el("tr", el("th", measure_word(name).name, scope="row"), cell(number(own[name.split(".")[1]])), _meaning(name))
        for name in names
    ]
    said = (
        "Who answers more questions also answers more that have no answer. The curve shows what the relevance of what"
        " was found leaves to choose between, the mark what this run chose."
    )
    own_table = table("Refusals of this run", ("measure", "value", "meaning"), rows)
    plot = el("figure", trade_off_svg(curve, here))
    return section("abstention", "Answering or refusing", said, el("div", plot, own_table, class_="beside"))


def _meaning(measure: str) -> Markup:
    return el("td", measure_word(measure).meaning, class_="soft")


def latency(run: FinishedRun) -> Markup:
    """How long questions took."""
    times = [row.timings_ms["total"] for row in run.rows if "total" in row.timings_ms and not row.problem]
    found = run.summary.get("latency_ms", {})
    if not times or not found:
        return Markup()
    rows = [(name, run.summary[kind]) for kind, name in _TIMES.items() if run.summary.get(kind)]
    columns = list(dict.fromkeys(key for _, own in rows for key in own))
    body = [
        el("tr", el("th", name, scope="row"), *(cell(f"{own.get(key, 0):,.0f} ms") for key in columns))
        for name, own in rows
    ]
    heads = [el("th", f"{key[1:]} % within", scope="col", title=key) for key in columns]
    plot = el("figure", latency_svg(times, found["p50"], found["p95"]))
    own_table = table("Times of this run", ("until", *heads), body)
    return section("latency", "How long it took", "", el("div", plot, own_table, class_="beside"))


def words() -> Markup:
    """What every measure and outcome means."""
    measures = [_entry(word, el("code", measure)) for measure, word in MEASURES.items()]
    outcomes = [_entry(word, "") for word in OUTCOMES.values()]
    said = "Evidence is the stretch of an article that the gold file expects an answer to rest on."
    lists = el("div", el("dl", *measures), el("dl", *outcomes), class_="beside")
    return section("words", "What the words mean", said, lists)


def _entry(word: Word, code: str) -> Markup:
    return joined([el("dt", f"{word.sign} {word.name} ".lstrip(), code), el("dd", word.meaning)])
