"""Follow-up questions, made to stand alone for the search: by the words that they point back with, or by a model."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import regex

from index.search import MAX_QUESTION_CHARS
from index.text.language import detect_language, function_words, script_of
from index.text.names import shown_names
from index.text.terms import terms
from rag.answerers.base import Turn

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Rewriter = Callable[[str, Sequence[Turn]], str]

_MAX_BACK = 3  # earlier questions that are considered
_MAX_CONTENT_WORDS = 5  # of a question that points back; with more it stands alone
_MAX_MODEL_CHARS = 400  # of a question that a model has written
_UNSPACED = ("zh", "ja", "th")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def carried_over(question: str, history: Sequence[Turn]) -> str:
    """`question`, and behind it the subject of the question before, where it cannot stand alone.

    It cannot where it has no name of its own and points back ("When did he leave?") or has next to no content
    ("Why?"): then the names of the last question with names are carried over, or its words. A question with a name
    and little else ("And Brockman?") gets the words of the question before, without its names.
    """
    earlier = [turn.question for turn in history][-_MAX_BACK:][::-1]
    if not earlier:
        return question
    language = detect_language(question) or detect_language(earlier[0])
    own_names = shown_names(question, language)
    n_words = _n_content_words(question, language)
    carried = ""
    if own_names:
        if n_words <= len(own_names) + 1 and _opens(question, language):
            carried = _without_names(earlier[0])
    elif n_words <= 1 or (n_words <= _MAX_CONTENT_WORDS and _goes_on(question, language)):
        carried = next(filter(None, map(_names_alone, earlier)), "") or _content(earlier[0])
    return f"{question} {carried}".strip()[:MAX_QUESTION_CHARS]


def _names_alone(text: str) -> str:
    """The names in `text`; empty where its script does not show all of them."""
    language = detect_language(text)
    shown = script_of(language) in ("Latin", "Cyrillic", "Greek", "Armenian") or language == "ja"
    return " ".join(shown_names(text, language)) if shown else ""


def _is_unspaced(language: str) -> bool:
    return language.split("-")[0] in _UNSPACED


def _n_content_words(question: str, language: str) -> int:
    """How many words of a question are neither function words nor pointing words."""
    if _is_unspaced(language):
        return len(terms(question))
    common = function_words(language) | _pointing(language)
    return sum(word not in common for word in _WORD.findall(question.casefold()))


def _goes_on(question: str, language: str) -> bool:
    """Whether a question points back, or opens like a follow-up."""
    pointing = _pointing(language)
    if _is_unspaced(language):
        points_back = any(regex.search(word, question) for word in pointing)
    else:
        points_back = not pointing.isdisjoint(_WORD.findall(question.casefold()))
    return points_back or _opens(question, language)


def _opens(question: str, language: str) -> bool:
    start = regex.sub(r"^\W+", "", question.casefold())
    boundary = "" if _is_unspaced(language) else r"(?![\p{L}\p{M}])"
    return any(regex.match(regex.escape(word) + boundary, start) for word in _opening(language))


def _without_names(text: str) -> str:
    for name in sorted(shown_names(text, detect_language(text)), key=len, reverse=True):
        text = regex.sub(rf"(?<![\p{{L}}\p{{N}}]){regex.escape(name)}(?![\p{{L}}\p{{N}}])", " ", text)
    return " ".join(text.split())


def _content(text: str) -> str:
    """The content words of `text`; all of it where words have no spaces between them."""
    language = detect_language(text)
    if _is_unspaced(language):
        return text
    common = function_words(language) | _pointing(language)
    return " ".join(word for word in text.split() if word.casefold().strip("?？!.,¿¡") not in common)


def _pointing(language: str) -> frozenset[str]:
    """Words that stand for something named before: he, this, there."""
    return frozenset(_tables().get(language.split("-")[0], {}).get("pointing", "").casefold().split())


def _opening(language: str) -> list[str]:
    """Words that go on from the question before: and, what about."""
    return [word.casefold() for word in _tables().get(language.split("-")[0], {}).get("opening", ())]


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

        from rag.prompts import condense_prompt

        turns = [(turn.question, turn.answer) for turn in history[-_MAX_BACK:]]
        try:
            reply = self._model.invoke([HumanMessage(condense_prompt(question, turns))])
        except Exception:  # noqa: BLE001 - whatever the provider raises, the rules still work
            return carried_over(question, history)
        text = " ".join(str(reply.text).split()).strip("\"“”「」'` ")
        return text if 0 < len(text) <= _MAX_MODEL_CHARS else carried_over(question, history)
