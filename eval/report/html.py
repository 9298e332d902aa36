"""A run as one page that needs nothing else: no network, no other file, and no script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template

from eval.report.differences import differences_markup
from eval.report.figures import worst_first
from eval.report.groups import groups, pairs
from eval.report.markup import Markup, el, joined
from eval.report.parts import section
from eval.report.questions import questions_markup
from eval.report.sections import headline, latency, lost, refusing, setup, words
from eval.report.words import OUTCOMES, language_label
from eval.runs.compare import Comparison
from eval.runs.folder import FinishedRun
from eval.runs.rows import Row

_MAX_QUESTIONS = 2_000  # shown one by one, the worst: a page of more is slow to open
_NAMES = {
    "summary": "In short",
    "differences": "What changed",
    "funnel": "Where questions were lost",
    "groups": "By group",
    "pairs": "From language to language",
    "abstention": "Answering or refusing",
    "latency": "How long it took",
    "questions": "Questions",
    "setup": "What was run",
    "words": "What the words mean",
}


def as_html(run: FinishedRun, comparison: Comparison | None = None) -> str:
    """The report of a run, and of what changed since another, as one HTML page; the same run gives the same page."""
    rows = worst_first(run.rows)[:_MAX_QUESTIONS]
    places = {row.item.id: (f"q{place}", row.item.lang) for place, row in enumerate(rows, 1)}
    parts = {
        "summary": headline(run),
        "differences": differences_markup(comparison, places) if comparison else Markup(),
        "funnel": lost(run.rows),
        "groups": groups(run.summary),
        "pairs": pairs(run.summary),
        "abstention": refusing(run),
        "latency": latency(run),
        "questions": _questions(rows, len(run.rows)),
        "setup": setup(run),
        "words": words(),
    }
    style, script = _read("page.css"), _read("page.js")
    gold, started = run.about.get("shape", {}).get("gold", ""), run.about.get("started", "")
    about = [f"{len(run.rows):,} questions", *(str(text) for text in (gold, started) if text)]
    return Template(_read("page.html")).substitute(
        policy=_policy(style, script),
        style=style,
        script=script,
        title=joined([run.name]),
        about=joined((el("bdi", text) for text in about), ", "),
        links=joined(el("li", el("a", _NAMES[name], href=f"#{name}")) for name, part in parts.items() if part),
        parts=joined(parts.values(), "\n"),
    )


def _policy(style: str, script: str) -> Markup:
    """What the page may load: its own style and script, told by their digests, and nothing else."""
    rules = (
        "default-src 'none'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'",
    )
    return joined(rules, "; ")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(name: str) -> str:
    return files("eval.report").joinpath(name).read_text("utf-8")


def _questions(rows: Sequence[Row], n: int) -> Markup:
    said = (
        "The worst first: by where each went wrong, as in the list of words at the end, then by its measures."
        " Expected evidence is highlighted and underlined."
    )
    if n > len(rows):
        said += f" Of {n:,} questions the worst {len(rows):,} are shown."
    return section("questions", "Questions", said, _form(rows), questions_markup(rows))


def _form(rows: Sequence[Row]) -> Markup:
    """The filter; it stays hidden where no script runs."""
    found = Counter(row.outcome for row in rows)
    outcomes = [(str(outcome), word.name, found[outcome]) for outcome, word in OUTCOMES.items() if found[outcome]]
    fields = [
        el(
            "label",
            "Search in questions, answers and ids ",
            el("input", type="search", name="find", autocomplete="off", spellcheck="false", dir="auto"),
        ),
        _select("outcome", "Outcome", outcomes),
        _select("language", "Asked in", _counted((row.item.lang for row in rows), languages=True)),
        _select("pair", "Question and document", _counted(row.pair for row in rows if row.item.answerable)),
        _select("tag", "Tag", _counted(tag for row in rows for tag in dict.fromkeys(row.item.tags))),
    ]
    buttons = [
        el("output", f"{len(rows):,} questions", id="shown", role="status", aria_live="polite"),
        el("button", "Clear", type="button", id="clear"),
        el("button", "Unfold all shown", type="button", id="unfold"),
        el("button", "Fold all", type="button", id="fold"),
    ]
    return el(
        "form",
        el("div", *fields, class_="fields"),
        el("div", *buttons, class_="buttons"),
        id="filter",
        role="search",
        aria_label="Choose the questions shown",
        hidden=True,
    )


def _counted(values: Iterable[str], *, languages: bool = False) -> list[tuple[str, str, int]]:
    counts = Counter(values)
    return [(value, language_label(value) if languages else value, counts[value]) for value in sorted(counts)]


def _select(name: str, label: str, values: Sequence[tuple[str, str, int]]) -> Markup:
    if not values:
        return Markup()
    options = [el("option", f"{text} – {n:,}", value=value) for value, text, n in values]
    return el("label", f"{label} ", el("select", el("option", "all", value=""), *options, name=name))
