"""A run in short, as Markdown for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import regex

from eval.report.differences import direction, significant_first
from eval.report.figures import HEADLINE, Figure, Step, between, chance, figure, funnel, number, refusals, sure
from eval.report.markup import shown
from eval.report.parts import setting
from eval.report.words import MEASURES, OUTCOMES, language_label, measure_word
from eval.runs.compare import Comparison
from eval.runs.folder import FinishedRun

MAX_CHARS = 60_000  # GitHub refuses a comment of more than 65,536
_CELL_CHARS = 400  # of a cell, escaped
_MAX_LANGUAGES = 12
_MAX_QUESTIONS = 10
_MAX_ROWS = 40
_OF_LANGUAGES = ("recall@5", "ndcg@10", "answer.contains", "citation.recall")
_APART = "&#8203;"  # a space of no width: what it parts is no mention, no number of an issue, no address
_SYNTAX = frozenset("\\`*_[]<>&|~^$#")
_LINKING = regex.compile(r"[@#!~%$&](?=\w)|(?<=\bGH)-(?=\d)|:(?=//)|(?<=\bwww)\.", regex.IGNORECASE)


def as_markdown(run: FinishedRun, comparison: Comparison | None = None) -> str:
    """The headline measures, the languages, where questions were lost, and what changed; under 60,000 characters."""
    parts = [_heading(run), _headline(run)]
    if comparison is not None:
        parts += [_differences(comparison), _questions(comparison)]
    parts += [_steps("Where questions were lost", [*funnel(run.rows), *refusals(run.rows)]), _languages(run)]
    text = ""
    for part in filter(None, parts):
        if len(text) + len(part) > MAX_CHARS - 200:
            return f"{text}\nThe rest is too long for a comment; see the report.\n"
        text += ("\n" if text else "") + part
    return text


def cell(text: str, most: int = _CELL_CHARS) -> str:
    """`text` as a cell of a table or part of a line: words only, whatever they are, at most `most` characters."""
    flat = " ".join(shown(text).split())
    links = {match.start() for match in _LINKING.finditer(flat)}
    escaped: list[str] = []
    length = 0
    for place, char in enumerate(flat):
        piece = (f"&#{ord(char)};" if char in _SYNTAX else char) + (_APART if place in links else "")
        length += len(piece)
        if length > most:
            return "".join(escaped) + "…"
        escaped.append(piece)
    return "".join(escaped)


def _heading(run: FinishedRun) -> str:
    shape = run.about.get("shape", {})
    about = [f"{len(run.rows):,} questions", shape.get("gold"), shape.get("encoder"), shape.get("model")]
    about.append(run.about.get("started"))
    line = ", ".join(cell(setting(one), 120) for one in about if one)
    return f"## Evaluation: {cell(run.name, 200)}\n\n{line}\n"


def _headline(run: FinishedRun) -> str:
    rows = []
    for measure in HEADLINE:
        found, word = figure(run.summary, measure), measure_word(measure)
        if found is not None:
            rows.append(
                (f"**{word.name}** `{measure}`", number(found.value), _interval(found), f"{found.n:,}", word.meaning)
            )
    times = run.summary.get("latency_ms", {})
    if times.get("p95"):
        rows.append(
            ("**Time of an answer**", f"{times['p95']:,.0f} ms", "", "", "95 % of the questions took at most this.")
        )
    n = f"{run.summary.get('n', len(run.rows)):,}"
    rows.append(
        ("**Failed**", f"{run.summary.get('failed', 0):,}", "", n, "Errors, and evidence that is not in the index.")
    )
    return _table(("measure", "value", "95 % interval", "n", "meaning"), rows, "l r r r l")


def _interval(found: Figure) -> str:
    return between(found.interval) if found.interval else ""


def _languages(run: FinishedRun) -> str:
    found = run.summary.get("by_language", {})
    largest = sorted(found, key=lambda name: (-found[name].get("n", 0), name))[:_MAX_LANGUAGES]
    measures = [measure for measure in _OF_LANGUAGES if any(figure(found[name], measure) for name in largest)]
    if not measures:
        return ""
    rows = []
    for name in largest:
        figures = [figure(found[name], measure) for measure in measures]
        numbers = [f"{number(one.value)} ({sure(one)})" if one else "–" for one in figures]
        rows.append((cell(language_label(name), 120), f"{found[name].get('n', 0):,}", *numbers))
    heads = [f"{measure_word(measure).name} `{measure}`" for measure in measures]
    more = f"\n{len(found) - len(largest):,} more languages are not shown.\n" if len(found) > len(largest) else ""
    said = "In brackets the 95 % interval, or n where fewer than 5 questions were measured.\n\n"
    return "### By language\n\n" + said + _table(("language", "n", *heads), rows, "l r" + " r" * len(heads)) + more


def _steps(title: str, steps: Sequence[Step]) -> str:
    if not steps:
        return ""
    rows = []
    for step in steps:
        gone = ", ".join(f"{n:,} {OUTCOMES[outcome].name}" for outcome, n in step.lost)
        rows.append((step.name, f"{step.n:,}", gone or "–"))
    return f"### {title}\n\n" + _table(("step", "questions", "lost here"), rows, "l r l")


def _differences(comparison: Comparison) -> str:
    rows = []
    for one in significant_first(comparison)[:_MAX_ROWS]:
        moved = f"{direction(one.gain)} {one.change:+.3f}"
        rows.append(
            (
                _measure(one.measure),
                number(one.before),
                number(one.after),
                f"**{moved}**" if one.significant else moved,
                "**yes**" if one.significant else "no",
                chance(one.p_holm),
                f"{one.wins:,} / {one.losses:,}",
                f"{one.n:,}",
            )
        )
    columns = ("measure", "before", "now", "change", "more than chance", "p", "better / worse on", "n")
    settings = [
        (cell(name, 120), *(cell(setting(value), 200) for value in values))
        for name, values in list(comparison.settings.items())[:_MAX_ROWS]
    ]
    said = (
        f"### What changed since {cell(comparison.before, 200)}\n\nOver the {comparison.n:,} questions that both asked."
    )
    note = (
        "\nMore than chance: p under 0.05, the probability of so great a difference if the runs were alike"
        " (paired randomisation test, corrected for the number of measures).\n"
    )
    other = f"\n\n{_table(('setting that differs', 'before', 'now'), settings, 'l l l')}" if settings else ""
    same = "" if settings else " The settings are the same.\n"
    return f"{said}{same}{other}\n{_table(columns, rows, 'l r r l l r r r')}{note}"


def _measure(measure: str) -> str:
    name = cell(measure_word(measure).name, 120)
    return f"{name} `{measure}`" if measure in MEASURES else name


def _questions(comparison: Comparison) -> str:
    rows = [
        (
            f"{direction(change.gain)} {change.gain:+.3f}",
            cell(change.id, 120),
            cell(change.question),
            cell(f"{change.before} → {change.after}", 120),
        )
        for change in comparison.questions[:_MAX_QUESTIONS]
    ]
    if not rows:
        return "No question changed.\n"
    n_more = len(comparison.questions) - len(rows)
    more = f"\n{n_more:,} more questions changed less.\n" if n_more else ""
    return "### Questions that changed\n\n" + _table(("change", "id", "question", "outcome"), rows, "l l l l") + more


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> str:
    """A table; `sides` are l or r for each column. The cells are as they shall stand."""
    marks = ["---:" if side == "r" else "---" for side in sides.split()]
    return "".join(f"| {' | '.join(row)} |\n" for row in (columns, marks, *rows))
