"""Text of answers and documents as markup in which only our own is markup."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

import regex

from index.search import ScoredPassage
from rag.answer import Answer, AnswerSentence, Citation
from rag.citations import without_markers
from rag.phrases import Part, phrase
from rag.verify import Verdict
from ui.render import Card, citation_card, passage_card

SIGNS = {Verdict.SUPPORTED: "✓", Verdict.PARTLY: "◐", Verdict.UNSUPPORTED: "✗", Verdict.NO_SOURCE: "○"}
_MARKER = regex.compile(r"\[(\d{1,3})\]")
_BEHIND = regex.compile(r"(?:\s?\[\d{1,3}\])*")
_SHOWN_MARKER = regex.compile(r"\s?\[\\\[\d+\\\]\]\(#src-[0-9a-f]+-\d+\)")
_SHOWN_VERDICT = regex.compile(r"\s?(?<!\\)<span class=\"v v-[a-z_]+\">[^<]*</span>")
_ANSWER_ID = regex.compile(r"\(#src-([0-9a-f]+)-\d+\)")
_ESCAPED = regex.compile(r"\\(\p{P}|\p{S})")
_MARKDOWN = regex.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$&:/=\"'^])")


def inert(shown: str) -> str:
    """Text that Markdown and HTML show as it is: every sign of either is escaped."""
    return _MARKDOWN.sub(r"\\\1", shown)


def flat(shown: str) -> str:
    """Text for inside an HTML block: escaped, on one line, so that no Markdown begins in it."""
    return escape(regex.sub(r"\s+", " ", shown))


def answer_markdown(said: str, answer_id: str = "0", sentences: Sequence[AnswerSentence] = (), lang: str = "en") -> str:
    """An answer as Markdown: each marker a link to its card, each finished sentence with its verdict behind it."""
    marks = _verdict_places(said, sentences)
    places = {match.start(): match for match in _MARKER.finditer(said)}
    pieces, position = [], 0
    for at in sorted({*places, *marks}):
        pieces.append(inert(said[position:at]))
        position = at
        if at in marks and marks[at] is not Verdict.QUOTED:
            pieces.append(f" {_verdict_mark(marks[at], lang)}")
        if at in places:
            number = places[at].group(1)
            pieces.append(f"[\\[{number}\\]](#src-{answer_id}-{number})")
            position = places[at].end()
    pieces.append(inert(said[position:]))
    return "".join(pieces).replace("\n", "\n\n")


def plain_answer(shown: str) -> str:
    """What `answer_markdown` was made of, without its markers and verdicts, and without the warnings behind it."""
    said = _SHOWN_VERDICT.sub("", _SHOWN_MARKER.sub("", shown.partition("\n\n⚠ ")[0]))
    return without_markers(_ESCAPED.sub(r"\1", said)).replace("\n\n", "\n")


def answer_id_of(shown: str) -> str:
    """The id in the markers of a shown answer, empty where it has none."""
    found = _ANSWER_ID.search(shown)
    return found.group(1) if found else ""


def _verdict_places(said: str, sentences: Sequence[AnswerSentence]) -> dict[int, Verdict]:
    """Where each sentence of the answer, with the markers behind it, ends."""
    kept = [(i, char) for i, char in enumerate(_MARKER.sub(lambda m: " " * len(m.group()), said)) if not char.isspace()]
    squeezed, found, cursor = "".join(char for _, char in kept), {}, 0
    for sentence in sentences:
        wanted = "".join(sentence.text.split())
        at = squeezed.find(wanted, cursor) if wanted else -1
        if at >= 0:
            cursor = at + len(wanted)
            end = kept[cursor - 1][0] + 1
            behind = _BEHIND.match(said, end)
            found[behind.end() if behind else end] = sentence.verdict
    return found


def _verdict_mark(verdict: Verdict, lang: str) -> str:
    """A verdict's sign, with its words but where all is well."""
    words = "" if verdict is Verdict.SUPPORTED else f" {inert(verdict_words(verdict, lang))}"
    return f'<span class="v v-{verdict}">{SIGNS[verdict]}{words}</span>'


def verdict_words(verdict: Verdict, lang: str) -> str:
    """A verdict in the page's language."""
    return phrase("supported", lang, Part.PAGE) if verdict is Verdict.SUPPORTED else phrase(str(verdict), lang)


def panel_section(answer: Answer, answer_id: str = "0", lang: str = "en") -> str:
    """What an answer rests on, as one line of escaped HTML that Markdown passes through: cited, then merely found."""
    cards = "".join(_cited(citation, answer, answer_id, lang) for citation in answer.citations)
    loose = "".join(_said(sentence, lang) for sentence in answer.sentences if not sentence.citations)
    if answer.closest:
        card = _card_html(citation_card(answer.closest, answer.retrieved))
        cards = f'<p><b>{flat(phrase("closest", lang))}</b></p><article class="card">{card}</article>'
    found = _retrieved(answer, lang)
    if not cards and not loose and not found:
        return ""
    return f'<p class="asked" dir="auto">{flat(answer.question)}</p>{cards}{loose}{found}'


def panel_markdown(sections: Sequence[str], lang: str = "en") -> str:
    """All sections of a conversation, the newest first and open."""
    shown = [section for section in reversed(sections) if section]
    if not shown:
        return f"*{inert(phrase('panel_empty', lang, Part.PAGE))}*"
    earlier = "".join(f'<section class="earlier">{section}</section>' for section in shown[1:])
    title = flat(phrase("earlier_answers", lang, Part.PAGE))
    older = f"<details><summary>{title} ({len(shown) - 1})</summary>{earlier}</details>" if earlier else ""
    return f"<section><h2>{flat(phrase('sources', lang))}</h2>{shown[0]}</section>{older}"


def _cited(citation: Citation, answer: Answer, answer_id: str, lang: str) -> str:
    said = "".join(
        _said(sentence, lang)
        for sentence in answer.sentences
        if citation.n in sentence.citations and sentence.verdict is not Verdict.QUOTED
    )
    card = citation_card(citation, answer.retrieved)
    return f'<article id="src-{answer_id}-{card.n}" class="card">{_card_html(card)}{said}</article>'


def _card_html(card: Card) -> str:
    """A card's title, place and text, the quoted words marked."""
    number = f"[{card.n}] " if card.n else ""
    about = " · ".join(flat(part) for part in (card.language, card.date, card.source) if part)
    first, words, last = (flat(part) for part in card.answer or (card.quote, "", ""))
    quoted = f"<mark>{first}{f'<b>{words}</b>' if words else ''}{last}</mark>" if card.quote else ""
    return (
        f"<b>{number}{_title(card)}</b><br><small>{about}</small>"
        f'<p class="quote" lang="{flat(card.language)}" dir="auto">{flat(card.before)}{quoted}{flat(card.after)}</p>'
    )


def _said(sentence: AnswerSentence, lang: str) -> str:
    """A sentence of the answer under what it rests on, with its verdict."""
    verdict = sentence.verdict
    return (
        f'<p class="said v-{verdict}"><b>{SIGNS[verdict]} {flat(verdict_words(verdict, lang))}</b>: '
        f'<span dir="auto">{flat(sentence.text)}</span></p>'
    )


def _retrieved(answer: Answer, lang: str) -> str:
    """The passages that were found and are not cited, closed; open where they are all that there is."""
    shown = (*answer.citations, *([answer.closest] if answer.closest else ()))
    cited = [(citation.doc_id, citation.start, citation.end) for citation in shown]
    others = [item for item in answer.retrieved if not any(_holds(item, *span) for span in cited)]
    if not others:
        return ""
    rows = "".join(f'<div class="card">{_card_html(passage_card(item))}</div>' for item in others)
    title = flat(phrase("retrieved", lang, Part.PAGE).replace("{n}", str(len(others))))
    return f'<details class="found"><summary>{title}</summary>{rows}</details>'


def _title(card: Card) -> str:
    """The title, as a link to the article's own page or else to ours, at the cited span."""
    span = f"{card.start}-{card.end}"
    href = card.url or f"article/{quote(card.doc_id)}?cite={span}#{span}"
    title = flat(card.title or card.source)
    return f'<a href="{escape(href)}" rel="noopener noreferrer nofollow" target="_blank" dir="auto">{title}</a>'


def _holds(item: ScoredPassage, doc_id: str, start: int, end: int) -> bool:
    passage = item.passage
    return passage.doc_id == doc_id and passage.start <= start and end <= passage.end
