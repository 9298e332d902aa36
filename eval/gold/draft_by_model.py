"""Gold questions that a model writes from passages of a corpus, each checked against the document."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from itertools import islice
from typing import Any, NamedTuple, Protocol

import regex

from eval.gold.anchor import unique_span
from eval.gold.draft import TAG, SourceText, draft_id, in_turn
from eval.gold.items import Evidence, GoldItem, find_evidence
from eval.measures.answer_text import contains
from index.text.language import detect_language, same_language
from index.text.sentences import split_sentences
from rag.prompts import language_name, new_fence

_PASSAGE_CHARS = 1_200  # whole sentences, about as much as a passage of the index has
_LEAST_PASSAGE_CHARS = 80
_MAX_REPLY_CHARS = 8_000
_MAX_QUOTE_CHARS = 600
_MAX_CALLS_A_DRAFT = 3
_MAX_FAILURES = 3  # in a row: the model is not there, or the key is wrong


class Model(Protocol):
    """What writes the questions: instructions and a passage in, text out."""

    def complete(self, system: str, text: str) -> str: ...


class Fault(StrEnum):
    """Why what a model wrote is no draft."""

    FAILED = "the model failed"
    NO_JSON = "no JSON object with question, answer and quote"
    NOTHING = "the model found nothing to ask"
    NO_QUOTE = "the quote is not in the passage"
    NO_ANSWER = "the answer is not in the quote"
    GIVEN_AWAY = "the question says the answer"
    OTHER_LANGUAGE = "the question is in another language"


@dataclass(slots=True)
class Drafts:
    """What a model wrote that held, how often it did not and why, and the last failure of the model itself."""

    items: list[GoldItem] = field(default_factory=list)
    dropped: Counter[Fault] = field(default_factory=Counter)
    failure: str = ""


class _Passage(NamedTuple):
    document: SourceText
    language: str
    span: tuple[int, int]


def draft_with_model(model: Model, documents: Sequence[SourceText], n: int, language: str = "") -> Drafts:
    """Up to `n` questions of a model about passages of the documents, which take turns as those of `draft` do.

    A draft is kept where its quote stands in the passage, verbatim but for white space, and its answer in the quote.
    The evidence is the quote, widened where it stands in several places. At most three passages a draft are tried.

    Args:
        model: Asked once a passage. An exception of it counts as a failure; three in a row end the drafting.
        documents: What is asked about.
        n: Drafts wanted.
        language: Of the questions, a BCP 47 tag; by default that of each document.

    Raises:
        ValueError: `n` is not positive.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected: 1 or more")
    made, n_failed = Drafts(), 0
    for passage in islice(in_turn(documents, _passages), n * _MAX_CALLS_A_DRAFT):
        try:
            reply = model.complete(*prompt(passage.document, passage.span, language or passage.language))
        except Exception as error:  # noqa: BLE001 - what is drafted already must not be lost
            made.dropped[Fault.FAILED] += 1
            made.failure, n_failed = f"{type(error).__name__}: {error}", n_failed + 1
        else:
            n_failed = 0
            _take(reply, passage, language or passage.language, made)
        if len(made.items) == n or n_failed == _MAX_FAILURES:
            break
    return made


def prompt(document: SourceText, span: tuple[int, int], language: str) -> tuple[str, str]:
    """The instructions, and the passage between two random lines, which it cannot contain on purpose."""
    fence = new_fence()
    title = " ".join(document.title.split())[:200]
    passage = f"{title}\n\n{document.text[slice(*span)]}".strip()
    return _template().format(fence=fence, language_name=language_name(language)), f"{fence}\n{passage}\n{fence}"


@functools.cache
def _template() -> str:
    return files("eval.gold").joinpath("draft.txt").read_text("utf-8")


def _passages(document: SourceText, language: str) -> Iterator[_Passage]:
    """A document in runs of whole sentences."""
    begin, last = -1, 0
    for start, end in split_sentences(document.text, language):
        if begin >= 0 and end - begin > _PASSAGE_CHARS:
            yield _Passage(document, language, (begin, last))
            begin = -1
        begin, last = (start if begin < 0 else begin), end
    if begin >= 0 and last - begin >= _LEAST_PASSAGE_CHARS:
        yield _Passage(document, language, (begin, last))


def _take(reply: str, passage: _Passage, language: str, made: Drafts) -> None:
    """Keep what a model wrote, or count why not."""
    values = _object(reply)
    if not isinstance(values, dict) or not values:
        made.dropped[Fault.NOTHING if values == {} else Fault.NO_JSON] += 1
        return
    question, answer, quote = (_text(values.get(name)) for name in ("question", "answer", "quote"))
    span = _found(passage, quote)
    if not question or not answer or not quote:
        made.dropped[Fault.NO_JSON] += 1
        return
    if span is None:
        made.dropped[Fault.NO_QUOTE] += 1
        return
    if fault := _fault(question, answer, quote, language):
        made.dropped[fault] += 1
        return
    document = passage.document
    evidence = Evidence(document.source, document.text[slice(*unique_span(document.text, *span))])
    name = draft_id(document.source, question, quote)
    if any(item.id == name for item in made.items):
        return
    made.items.append(GoldItem(name, question, language, True, (answer,), (evidence,), (TAG,)))


def _object(reply: str) -> Any:
    """The first JSON object of a reply, whatever stands around it; None where there is none."""
    start = reply.find("{", 0, _MAX_REPLY_CHARS)
    if start < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(reply[: start + _MAX_REPLY_CHARS], start)[0]
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    return " ".join(_SURROGATE.sub("\ufffd", str(value)).split()) if isinstance(value, str | int | float) else ""


_SURROGATE = regex.compile(r"[\ud800-\udfff]")


def _found(passage: _Passage, quote: str) -> tuple[int, int] | None:
    """Where in the document the quote stands, inside the passage."""
    begin, end = passage.span
    places = find_evidence(passage.document.text[begin:end], quote) if len(quote) <= _MAX_QUOTE_CHARS else []
    return (begin + places[0].start, begin + places[0].end) if places else None


def _fault(question: str, answer: str, quote: str, language: str) -> Fault | None:
    if not contains(quote, [answer]):
        return Fault.NO_ANSWER
    if contains(question, [answer]):
        return Fault.GIVEN_AWAY
    return None if same_language(detect_language(question), language) else Fault.OTHER_LANGUAGE
