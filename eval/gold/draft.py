"""Gold questions proposed from a corpus, for a person to edit: sentences with a blank, or questions of a model."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import regex

from eval.gold.items import Evidence, GoldItem, find_evidence
from index.documents import Span
from index.names.question import shown_names
from index.text.language import detect_language
from index.text.quantities import dates, plain, quantities
from index.text.sentences import split_sentences
from index.text.terms import terms

TAG = "draft"
BLANK = "____"
_T = TypeVar("_T")
_MAX_CHARS = 40_000  # of a document that sentences are taken from
_LEAST_WIDTH, _MOST_WIDTH = 30, 400  # of a sentence, in Latin letters; a Chinese character is two wide
_MAX_TITLE_CHARS = 120
_WIDE = regex.compile(r"[\u1100-\u11FF\u2E80-\uA4CF\uAC00-\uD7AF\uF900-\uFAFF\uFF00-\uFF60]")
_STOP = regex.compile(r"[.!?。！？｡．؟۔।॥።][\p{Pe}\p{Pf}\"']*$|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]$")


@dataclass(frozen=True, slots=True)
class SourceText:
    """A document that questions are drafted from; without a language, that is detected."""

    source: str
    text: str
    language: str = ""
    title: str = ""


def draft(documents: Sequence[SourceText], n: int) -> list[GoldItem]:
    """Up to `n` sentences with a blank, whose evidence they are; the same documents give the same ones.

    Of each article the sentence comes first that says most: it has a date, a number or a name, which is the answer and
    left blank, and words of the title. Languages take turns, and so do the documents of each; ids do not change when
    documents are added. All carry the tag `draft`.

    Raises:
        ValueError: `n` is not positive.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected: 1 or more")
    return list(islice(in_turn(documents, _clozes), n))


def in_turn(documents: Sequence[SourceText], parts: Callable[[SourceText, str], Iterator[_T]]) -> Iterator[_T]:
    """What `parts` gives of each document and its language: the languages take turns, and the documents of each."""
    by_language: dict[str, list[Iterator[_T]]] = defaultdict(list)
    for document in documents:
        language = document.language or detect_language(document.text)
        if language:
            by_language[language].append(parts(document, language))
    yield from _round_robin(_round_robin(by_language[language]) for language in sorted(by_language))


def _round_robin(several: Iterable[Iterator[_T]]) -> Iterator[_T]:
    waiting = deque(several)
    while waiting:
        one = waiting.popleft()
        for value in one:
            yield value
            waiting.append(one)
            break


def draft_id(source: str, *said: str) -> str:
    """An id that stays the same however many drafts there are."""
    return "draft-" + hashlib.sha256("\x1f".join((source, *said)).encode("utf-8", "backslashreplace")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Blank:
    """What may be left blank, and how much it says of a sentence."""

    start: int
    end: int
    weight: float


def _clozes(document: SourceText, language: str) -> Iterator[GoldItem]:
    """The drafts of a document, best first."""
    text = document.text[:_MAX_CHARS]
    title = document.title or _heading(text)
    ranked = []
    for start, end in split_sentences(text, language):
        sentence = text[start:end]
        blank = _blank(sentence, title, language)
        if blank is not None:
            ranked.append((-_weight(sentence, title, blank), start, sentence, blank))
    for _, _, sentence, blank in sorted(ranked, key=lambda one: one[:2]):
        # Only now: it reads the whole document.
        if len(find_evidence(document.text, sentence)) == 1:
            yield _cloze(document, language, sentence, blank)


def _heading(text: str) -> str:
    """The first line where it is no sentence and others follow; else empty."""
    first, _, rest = text.lstrip().partition("\n")
    return first if rest.strip() and len(first) <= _MAX_TITLE_CHARS and not _STOP.search(first) else ""


def _cloze(document: SourceText, language: str, sentence: str, blank: _Blank) -> GoldItem:
    question = " ".join(f"{sentence[: blank.start]}{BLANK}{sentence[blank.end :]}".split())
    return GoldItem(
        draft_id(document.source, sentence),
        question,
        language,
        True,
        (sentence[blank.start : blank.end],),
        (Evidence(document.source, sentence),),
        (TAG,),
    )


def _weight(sentence: str, title: str, blank: _Blank) -> float:
    """How much a sentence says: 0 to 1 for what is blank, and for the share of the title's terms that it has."""
    wanted = set(terms(title))
    return blank.weight + (len(wanted.intersection(terms(sentence))) / len(wanted) if wanted else 0.0)


def _blank(sentence: str, title: str, language: str) -> _Blank | None:
    """The date, number or name of a sentence that says most; None where there is none, or the sentence is no good.

    What the title says, or the sentence says twice, would be no question.
    """
    width = len(sentence) + len(_WIDE.findall(sentence))
    if not _LEAST_WIDTH <= width <= _MOST_WIDTH or not _STOP.search(sentence):
        return None
    fit = [
        blank
        for blank in (*_figures(sentence, language), *_names(sentence, language))
        if (said := sentence[blank.start : blank.end]) not in title and sentence.count(said) == 1
    ]
    return max(fit, key=lambda blank: (blank.weight, -blank.start), default=None)


def _figures(sentence: str, language: str) -> Iterator[_Blank]:
    """Dates and numbers; none where their offsets would not be the sentence's."""
    normal = plain(sentence)
    if len(normal) != len(sentence):
        return
    taken: list[Span] = []
    for date in dates(normal):
        taken.append(Span(date.start, date.end))
        yield _Blank(*_trimmed(sentence, date.start, date.end), 1.0 if date.value[0] != "-" else 0.9)
    for number in quantities(normal, language):
        start, end = _trimmed(sentence, number.start, number.end)
        inside = any(start < other.end and other.start < end for other in taken)
        joined = _JOINED_BEFORE.search(sentence[:start]) or _JOINED_BEHIND.match(sentence[end : end + 2])
        if not inside and not joined and not (start == 0 and _LIST_MARK.match(sentence[end : end + 2])):
            yield _Blank(start, end, 0.8 if end - start > 1 else 0.5)


# A part of a name or of a larger figure: GPT-4, A380, 14:46, 30/11/2024.
_JOINED_BEFORE = regex.compile(r"[\p{L}\p{N}][-–_/:]$|\p{Latin}$")
_JOINED_BEHIND = regex.compile(r"[-–_/:]\p{N}")
_LIST_MARK = regex.compile(r"[.)）、]\s")


def _names(sentence: str, language: str) -> Iterator[_Blank]:
    for name in shown_names(sentence, language):
        start = sentence.find(name)
        if start > 0:
            yield _Blank(start, start + len(name), 0.6)


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)
