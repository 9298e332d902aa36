"""The questions of a run, the worst first: what was expected, said and found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eval.measures.citation import SpanIn
from eval.report.answers import answer_markup, shortened, source_markup
from eval.report.excerpts import FIRST_CHARS, Stretch, evidence_in, pieces
from eval.report.figures import number
from eval.report.markup import Markup, el, foreign, joined, shown
from eval.report.words import OUTCOMES, language_label, measure_word
from eval.runs.rows import Row

MAX_PASSAGES = 10
_MANY = 200  # questions, above which passages without evidence are shown shorter: a page of 1,000 stays under 15 MB
_CHARS_OF_MANY = 240
_QUESTION_CHARS = 500
_TEXT_CHARS = 1_200


def questions_markup(rows: Sequence[Row]) -> Markup:
    """All questions, in order, each folded up; the place of the n-th, from 1, is called `qn`."""
    first = FIRST_CHARS if len(rows) <= _MANY else _CHARS_OF_MANY
    return el("div", *(_question(row, f"q{place}", first) for place, row in enumerate(rows, 1)), id="list")


def _question(row: Row, anchor: str, first: int) -> Markup:
    word = OUTCOMES[row.outcome]
    summary = el(
        "summary",
        el("span", f"{word.sign} {word.name}", class_=f"badge {word.kind}", title=word.meaning),
        " ",
        el("code", row.item.id, class_="find", dir="auto"),
        " ",
        el("span", row.pair if row.document_language else row.item.lang, class_="soft", title=_languages(row)),
        " ",
        foreign("bdi", shortened(row.item.question, _QUESTION_CHARS), row.item.lang, class_="asked find"),
    )
    parts = (*_problem(row), *_expected(row), answer_markup(row, anchor), *_passages(row, first), *_measured(row))
    return el(
        "article",
        el("details", summary, el("div", *parts, class_="body")),
        class_="question",
        id=anchor,
        data_outcome=str(row.outcome),
        data_language=row.item.lang,
        data_pair=row.pair if row.item.answerable else "",
        data_tag=json.dumps([shown(tag) for tag in row.item.tags], ensure_ascii=False),
    )


def _languages(row: Row) -> str:
    if not row.document_language:
        return f"asked in {language_label(row.item.lang)}"
    return f"asked in {language_label(row.item.lang)}, evidence in {language_label(row.document_language)}"


def _problem(row: Row) -> Iterator[Markup]:
    if row.problem:
        problem = el("bdi", shortened(row.problem, _TEXT_CHARS))
        yield el("p", el("strong", "⚠ What went wrong: "), problem, class_="problem")


def _expected(row: Row) -> Iterator[Markup]:
    yield el("h4", "What was expected")
    if not row.item.answerable:
        yield el("p", "A refusal: the articles hold no answer.")
    if row.item.answers:
        answers = [foreign("q", shortened(answer, _TEXT_CHARS)) for answer in row.item.answers]
        yield el("p", "One of these answers: " if len(answers) > 1 else "This answer: ", joined(answers, ", "))
    for i, evidence in enumerate(row.item.evidence):
        places = row.places[i] if i < len(row.places) else ()
        spans = ", ".join(f"characters {start:,}–{end:,}" for _, start, end in places[:3]) or "found nowhere"
        text = (
            foreign("q", shortened(evidence.text, _TEXT_CHARS), row.document_language) if evidence.text else "all of it"
        )
        where = (el("bdi", evidence.doc), f", {spans}{' and elsewhere' if len(places) > 3 else ''}: ")
        yield el("p", f"Evidence {i + 1}, in ", *where, text)


def _passages(row: Row, first: int) -> Iterator[Markup]:
    if not row.passages:
        return
    yield el("h4", "Passages found, best first")
    found = enumerate(row.passages[:MAX_PASSAGES], 1)
    yield el("ol", *(_passage(rank, passage, row, first) for rank, passage in found), class_="passages")
    if len(row.passages) > MAX_PASSAGES:
        yield el("p", f"{len(row.passages) - MAX_PASSAGES} more passages are not shown.", class_="soft")


def _passage(rank: int, passage: Mapping[str, Any], row: Row, first: int) -> Markup:
    start, text = int(passage.get("start", 0)), str(passage.get("text", ""))
    where: SpanIn = (str(passage.get("doc_id", "")), start, start + len(text))
    evidence, before, behind = evidence_in(where, (place for own in row.places for place in own))
    about = f", characters {start:,}–{where[2]:,}, score {float(passage.get('score', 0)):.3f}"
    held = ", ".join(str(i + 1) for i in passage.get("holds", ()))
    mark = el("span", f"✓ holds evidence {held}", class_="badge good") if held else ""
    relevance = f", relevance {float(passage.get('relevance', 0)):.2f} "
    shown_text = joined(_text(text, evidence, before, behind, first))
    return el(
        "li",
        el("p", el("strong", f"{rank}. "), *source_markup(passage), about, relevance, mark, class_="about"),
        foreign("p", shown_text, str(passage.get("language", "")), class_="text"),
        class_="held" if held else None,
    )


def _text(text: str, evidence: Sequence[Stretch], before: bool, behind: bool, first: int) -> Iterator[Markup]:
    """The text that is shown, with the evidence marked."""
    if before:
        yield _note("the evidence begins before this passage")
    for piece in pieces(text, evidence, first):
        if piece.n_left_out:
            yield _note(f"{piece.n_left_out:,} characters left out")
        else:
            yield el("mark", piece.text) if piece.evidence else joined([piece.text])
    if behind:
        yield _note("the evidence goes on behind this passage")


def _note(text: str) -> Markup:
    """A remark amid a text; with a direction of its own it does not count for that of the text."""
    return el("span", f" […{text}…] ", class_="note", lang="en", dir="ltr")


def _measured(row: Row) -> Iterator[Markup]:
    if row.values:
        yield el("h4", "Measured")
        yield el("p", joined((_value(measure, value) for measure, value in row.values.items()), " · "))
    about = [f"{name.replace('_', ' ')} {time:,.0f} ms" for name, time in row.timings_ms.items()]
    about += [f"{name.replace('_', ' ')} {n:,}" for name, n in row.answer.get("usage", {}).items() if n]
    about += [f"tags: {', '.join(row.item.tags)}"] if row.item.tags else []
    if about:
        yield el("p", el("bdi", " · ".join(about)), class_="soft")


def _value(measure: str, value: float) -> Markup:
    word = measure_word(measure)
    return el("span", f"{word.name} {number(value)}", title=f"{measure}: {word.meaning}")
