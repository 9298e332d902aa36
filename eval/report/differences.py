"""What changed from one run to another, as a part of a report."""

from __future__ import annotations

from collections.abc import Mapping

from eval.report.figures import chance, number
from eval.report.markup import Markup, el, foreign, joined
from eval.report.parts import cell, section, setting, table
from eval.report.words import measure_word
from eval.runs.compare import Comparison, Difference, QuestionChange

_MAX_QUESTIONS = 200
_MAX_CHARS = 300

Places = Mapping[str, tuple[str, str]]  # by id of a question: its place in the page, its language


def differences_markup(comparison: Comparison, places: Places) -> Markup:
    """The measures that differ, the surest first, and the questions that changed."""
    said = (
        f"{comparison.after} against {comparison.before}, over the {comparison.n:,} questions that both asked"
        f" ({len(comparison.only_before):,} only before, {len(comparison.only_after):,} only now)."
    )
    parts = (_settings(comparison), _differences(comparison), _questions(comparison, places))
    return section("differences", "What changed", said, *parts)


def significant_first(comparison: Comparison) -> list[Difference]:
    """The differences, those that are more than chance first, else in order."""
    return sorted(comparison.differences, key=lambda one: not one.significant)


def direction(gain: float) -> str:
    """Whether it became better, in a sign and a word."""
    if not gain:
        return "= same"
    return "▲ better" if gain > 0 else "▼ worse"


def _change(gain: float, change: float) -> Markup:
    kind = "good" if gain > 0 else "bad" if gain < 0 else None
    return cell("", el("span", f"{direction(gain)} {change:+.3f}", class_=kind))


def _settings(comparison: Comparison) -> Markup:
    if not comparison.settings:
        return el("p", "Both runs have the same settings.")
    body = [
        el("tr", el("th", name, scope="row"), *(el("td", el("bdi", setting(value))) for value in values))
        for name, values in comparison.settings.items()
    ]
    return table("Settings that differ", ("setting", "before", "now"), body, "settings")


def _differences(comparison: Comparison) -> Markup:
    note = (
        "More than chance: p is under 0.05. p is how probable so great a difference is if the runs were alike"
        " (paired randomisation test, corrected for the number of measures after Holm)."
    )
    columns = ("measure", "before", "now", "change", "more than chance", "p", "better / worse on", "n")
    body = [_difference(one) for one in significant_first(comparison)]
    return joined([table("Measures", columns, body), el("p", note, class_="soft")])


def _difference(one: Difference) -> Markup:
    word = measure_word(one.measure)
    return el(
        "tr",
        el("th", word.name, " ", el("code", one.measure), scope="row", title=word.meaning),
        cell(number(one.before)),
        cell(number(one.after)),
        _change(one.gain, one.change),
        el("td", el("strong", "yes") if one.significant else "no"),
        cell(chance(one.p_holm)),
        cell(f"{one.wins:,} / {one.losses:,}"),
        cell(f"{one.n:,}"),
    )


def _questions(comparison: Comparison, places: Places) -> Markup:
    if not comparison.questions:
        return el("p", "No question changed.")
    body = [_question(change, places) for change in comparison.questions[:_MAX_QUESTIONS]]
    n_more = len(comparison.questions) - len(body)
    more = el("p", f"{n_more:,} more questions changed less.", class_="soft") if n_more else ""
    columns = ("id", "question", "before", "now", "change")
    return joined([table(f"Questions that changed ({len(comparison.questions):,})", columns, body), more])


def _question(change: QuestionChange, places: Places) -> Markup:
    id = el("code", change.id, dir="auto")
    place, language = places.get(change.id, ("", ""))
    return el(
        "tr",
        el("th", el("a", id, href=f"#{place}") if place else id, scope="row"),
        el("td", foreign("bdi", change.question[:_MAX_CHARS], language)),
        cell(change.before),
        cell(change.after),
        _change(change.gain, change.gain),
    )
