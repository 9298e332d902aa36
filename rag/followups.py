"""Questions that go on from earlier ones, made to stand alone for the search: by what they point to, or by a model."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import regex

from index.names.question import shown_names
from index.search import MAX_QUESTION_CHARS
from index.text.language import detect_language, function_words, script_of
from index.text.terms import terms
from rag.answerers.base import Turn
from rag.prompts import condense_prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Rewriter = Callable[[str, Sequence[Turn]], str]

_MAX_BACK = 3  # earlier questions that are looked at
_MAX_TELLING = 5  # terms of a question that points back; one that says more stands by itself
_MAX_MODEL_CHARS = 400  # of a question that a model has written
_UNSPACED = ("zh", "ja", "th")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


class _Pointers(NamedTuple):
    pointing: frozenset[str]
    opening: tuple[str, ...]


def carried_over(question: str, history: Sequence[Turn]) -> str:
    """`question`, and behind it what the question before was about, where it cannot stand alone.

    It cannot where it has no name of its own and points back ("When did he leave?") or says next to nothing
    ("Why?"): then the names of the last question that has some are carried over, or its words. One that has a name
    and little else ("And Brockman?") gets the words of the question before, without its names.
    """
    earlier = [turn.question for turn in history][-_MAX_BACK:][::-1]
    if not earlier:
        return question
    language = detect_language(question) or detect_language(earlier[0])
    own_names = shown_names(question, language)
    n_telling = _n_telling(question, language)
    if own_names:
        elliptic = n_telling <= len(own_names) + 1 and _opens(question, language)
        carried = _without_names(earlier[0]) if elliptic else ""
    elif n_telling <= 1 or (n_telling <= _MAX_TELLING and _goes_on(question, language)):
        named = (_names_alone(text) for text in earlier)
        carried = next(filter(None, named), "") or _content(earlier[0])
    else:
        carried = ""
    return f"{question} {carried}".strip()[:MAX_QUESTION_CHARS]


def _names_alone(text: str) -> str:
    """The names in `text`; empty where its script does not show all of them."""
    language = detect_language(text)
    shown = script_of(language) in ("Latin", "Cyrillic", "Greek", "Armenian") or language == "ja"
    return " ".join(shown_names(text, language)) if shown else ""


def _n_telling(question: str, language: str) -> int:
    """How many words of a question say something: no function and no pointing words."""
    if language.split("-")[0] in _UNSPACED:
        return len(terms(question))
    common = function_words(language) | _pointers(language).pointing
    return sum(word not in common for word in _WORD.findall(question.casefold()))


def _goes_on(question: str, language: str) -> bool:
    return _points_back(question, language) or _opens(question, language)


def _points_back(question: str, language: str) -> bool:
    pointing = _pointers(language).pointing
    if language.split("-")[0] in _UNSPACED:
        return any(regex.search(word, question) for word in pointing)
    return not pointing.isdisjoint(_WORD.findall(question.casefold()))


def _opens(question: str, language: str) -> bool:
    start = regex.sub(r"^\W+", "", question.casefold())
    boundary = "" if language.split("-")[0] in _UNSPACED else r"(?![\p{L}\p{M}])"
    return any(regex.match(regex.escape(word) + boundary, start) for word in _pointers(language).opening)


def _without_names(text: str) -> str:
    for name in sorted(shown_names(text, detect_language(text)), key=len, reverse=True):
        text = regex.sub(rf"(?<![\p{{L}}\p{{N}}]){regex.escape(name)}(?![\p{{L}}\p{{N}}])", " ", text)
    return " ".join(text.split())


def _content(text: str) -> str:
    """The words of `text` that say something; all of it where words have no spaces between them."""
    language = detect_language(text)
    if language.split("-")[0] in _UNSPACED:
        return text
    common = function_words(language) | _pointers(language).pointing
    return " ".join(word for word in text.split() if word.casefold().strip("?？!.,¿¡") not in common)


@functools.cache
def _pointers(language: str) -> _Pointers:
    table = _tables().get(language.split("-")[0], {})
    pointing = frozenset(word.casefold() for word in table.get("pointing", "").split())
    return _Pointers(pointing, tuple(word.casefold() for word in table.get("opening", ())))


@functools.cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(files("rag").joinpath("pointers.toml").read_text("utf-8"))


class ModelRewriter:
    """Has a chat model write a follow-up as a question that stands alone; `carried_over` where that fails."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    def __call__(self, question: str, history: Sequence[Turn]) -> str:
        if not history:
            return question
        from langchain_core.messages import HumanMessage

        turns = [(turn.question, turn.answer) for turn in history[-_MAX_BACK:]]
        try:
            reply = self._model.invoke([HumanMessage(condense_prompt(question, turns))])
        except Exception:  # noqa: BLE001 - whatever the provider raises: the answer has its own way to say so
            return carried_over(question, history)
        text = " ".join(str(reply.text).split()).strip("\"“”「」'` ")
        return text if 0 < len(text) <= _MAX_MODEL_CHARS else carried_over(question, history)
