"""What a question was answered with: the text with its markers and verdicts, its sentences, its citations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import regex

from eval.measures.citation import overlaps
from eval.report.markup import Markup, el, foreign, joined, link
from eval.report.words import REASONS, language_label, verdict_word
from eval.runs.rows import Row

_MAX_CHARS = 4_000  # of an answer or a sentence
_QUOTE_CHARS = 1_200
_MARKER = regex.compile(r"\[(\d{1,4})\]")
_MARKERS_BEHIND = regex.compile(r"(?:\s?\[\d{1,4}\])*\p{P}?(?:\s?\[\d{1,4}\])*")


def answer_markup(row: Row, anchor: str) -> Markup:
    """The answer of a row and what it rests on; nothing where only passages were looked for."""
    answer = row.answer
    if not answer:
        return Markup()
    return joined([*_said(row, anchor), *_sentences(answer, anchor), *_citations(row, anchor)])


def shortened(text: str, most: int) -> str:
    """`text`, or its beginning and how much is left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _said(row: Row, anchor: str) -> Iterator[Markup]:
    answer = row.answer
    about = [f"in {language_label(str(answer.get('answer_language', '')))}"]
    if row.abstained:
        why = str(answer.get("reason", ""))
        about = ["a refusal: " + (REASONS.get(why, why) or "no reason given")]
    yield el("h4", "Answer ", el("span", f"({', '.join(about)})", class_="soft"))
    text = joined(_with_marks(answer, anchor))
    yield foreign("p", text, str(answer.get("answer_language", "")), class_="answer find")
    for warning in answer.get("warnings", ()):
        yield el("p", "Warning: ", el("bdi", str(warning)), class_="soft")


def _with_marks(answer: Mapping[str, Any], anchor: str) -> Iterator[str]:
    """The text, its markers as links, and behind each sentence the sign of its verdict."""
    text = shortened(str(answer.get("answer", "")), _MAX_CHARS)
    numbers = {str(citation.get("n")) for citation in answer.get("citations", ())}
    put = [
        (match.start(), match.end(), el("a", match.group(), class_="marker", href=f"#{anchor}c{match[1]}"))
        for match in _MARKER.finditer(text)
        if match[1] in numbers
    ]
    put += _sentences_in(text, answer)
    at = 0
    for start, end, markup in sorted(put, key=lambda one: one[:2]):
        if start >= at:
            yield text[at:start]
            yield markup
            at = end
    yield text[at:]


def _sentences_in(text: str, answer: Mapping[str, Any]) -> Iterator[tuple[int, int, Markup]]:
    """What stands for a stretch of the answer: quoted sentences, and behind any sentence and its markers its verdict.

    One that does not stand there word for word has none.
    """
    at = 0
    for sentence in answer.get("sentences", ()):
        words = str(sentence.get("text", "")).strip()
        start = text.find(words, at) if words else -1
        if start < 0:
            continue
        end = start + len(words)
        language = _language(sentence, answer)
        if language != answer.get("answer_language", ""):
            yield start, end, foreign("span", words, language)
        behind = _MARKERS_BEHIND.match(text, end)
        at = behind.end() if behind else end
        yield at, at, _sign(str(sentence.get("verdict", "")))


def _language(sentence: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """That of the article where a sentence is quoted from one, else that of the answer."""
    words = "".join(str(sentence.get("text", "")).split())
    for citation in answer.get("citations", ()):
        if words and words in "".join(str(citation.get("quote", "")).split()):
            return str(citation.get("language", ""))
    return str(answer.get("answer_language", ""))


def _sign(verdict: str) -> Markup:
    word = verdict_word(verdict)
    return el(
        "span",
        f" {word.sign}",
        el("span", f" {word.name}", class_="unseen", dir="ltr"),
        class_=f"verdict {word.kind}",
        title=word.meaning,
    )


def _sentences(answer: Mapping[str, Any], anchor: str) -> Iterator[Markup]:
    sentences = answer.get("sentences", ())
    if not sentences:
        return
    yield el("h4", "Sentence by sentence")
    items = []
    for sentence in sentences:
        word = verdict_word(str(sentence.get("verdict", "")))
        cited = [el("a", f"[{n}]", class_="marker", href=f"#{anchor}c{n}") for n in sentence.get("citations", ())]
        items.append(
            el(
                "li",
                el("span", f"{word.sign} {word.name}", class_=f"badge {word.kind}", title=word.meaning),
                " ",
                foreign("span", shortened(str(sentence.get("text", "")), _MAX_CHARS), _language(sentence, answer)),
                " ",
                *cited,
            )
        )
    yield el("ol", *items, class_="sentences")


def _citations(row: Row, anchor: str) -> Iterator[Markup]:
    citations = row.answer.get("citations", ())
    if not citations:
        return
    yield el("h4", "Citations")
    places = [place for own in row.places for place in own]
    items = []
    for citation in citations:
        where = (str(citation.get("doc_id", "")), int(citation.get("start", 0)), int(citation.get("end", 0)))
        hit = any(overlaps(where, place) for place in places)
        items.append(
            el(
                "li",
                el(
                    "p",
                    f"[{citation.get('n')}] ",
                    *source_markup(citation),
                    f", characters {where[1]:,}–{where[2]:,} ",
                    _hit(row, hit),
                ),
                foreign(
                    "blockquote",
                    shortened(str(citation.get("quote", "")), _QUOTE_CHARS),
                    str(citation.get("language", "")),
                ),
                id=f"{anchor}c{citation.get('n')}",
            )
        )
    yield el("ul", *items, class_="citations")


def _hit(row: Row, hit: bool) -> Markup:
    if not row.item.evidence:
        return Markup()
    if hit:
        return el("span", "✓ expected evidence", class_="badge good")
    return el("span", "✗ not the expected evidence", class_="badge bad")


def source_markup(values: Mapping[str, Any]) -> Iterator[Markup]:
    """A document as it is named where something of it is shown."""
    source, title = str(values.get("source", "")), str(values.get("title", ""))
    yield el("bdi", link(title or source, str(values.get("url", "")) or source))
    yield joined([f", {language_label(str(values.get('language', '')))}"])
    if title and title != source:
        yield joined([", ", el("bdi", source, class_="path")])
