"""What kind of answer a question wants, in any language, and whether a sentence has something of that kind."""

from __future__ import annotations

import functools
import tomllib
import unicodedata
from enum import StrEnum
from importlib.resources import files
from typing import Any, NamedTuple

import regex

from index.names.question import shown_names
from index.text.hanzi import fold_traditional
from index.text.quantities import dates, plain, quantities


class Kind(StrEnum):
    """Of the answer that a question wants."""

    WHO = "who"
    WHEN = "when"
    WHERE = "where"
    NUMBER = "number"
    WHY = "why"
    HOW = "how"
    OTHER = "other"


_UNSPACED = ("zh", "ja", "th")
_JOINED = ("ko",)  # particles follow a word without a space
_YEAR = regex.compile(r"(?<!\d)(?:1\d|20)\d\d(?!\d)")


def kind_of(question: str, language: str) -> Kind:
    """The kind of the longest of the language's phrases that `question` has; OTHER where it has none."""
    folded = _folded(question)
    found = [
        (len(match.group()), kind)
        for kind, pattern in _patterns(language.split("-")[0]).asks
        for match in pattern.finditer(folded, overlapped=True)
    ]
    return max(found, key=lambda one: one[0])[1] if found else Kind.OTHER


class Holds(NamedTuple):
    """What a sentence has that the question has not, as shares of 1 where it is counted."""

    number: float  # a number that the question does not name
    date: float  # a year or a date
    name: float  # a name that the question does not name; 0.5 where the script does not show names
    reason: float  # a word that introduces a reason


def holds(sentence: str, question: str, language: str) -> Holds:
    """What of each kind `sentence`, in `language`, has besides what `question` says."""
    text, asked = plain(sentence), plain(question)
    own = {quantity.value for quantity in quantities(asked)}
    number = any(quantity.value not in own for quantity in quantities(text, language))
    date = any(match.group() not in own for match in _YEAR.finditer(text)) or bool(dates(text))
    names = shown_names(sentence, language)
    folded = question.casefold()
    name = float(any(name.casefold() not in folded for name in names)) if _shows_names(language) else 0.5
    pattern = _patterns(language.split("-")[0]).tells
    reason = pattern is not None and pattern.search(_folded(sentence)) is not None
    return Holds(float(number), float(date), name, float(reason))


def _shows_names(language: str) -> bool:
    return language.split("-")[0] not in ("zh", "ko", "th", "ar", "fa", "he", "hi", "bn", "ur", "ta", "te", "mr")


def _folded(text: str) -> str:
    return fold_traditional(unicodedata.normalize("NFC", text)).casefold()


class _Patterns(NamedTuple):
    asks: tuple[tuple[Kind, regex.Pattern[str]], ...]
    tells: regex.Pattern[str] | None


@functools.cache
def _patterns(language: str) -> _Patterns:
    table = _tables().get(language)
    if table is None:
        return _Patterns((), None)
    before = "" if language in _UNSPACED else r"(?<![\p{L}\p{M}])"
    after = "" if language in (*_UNSPACED, *_JOINED) else r"(?![\p{L}\p{M}])"

    def any_of(kind: str) -> str:
        phrases = sorted({_folded(phrase) for phrase in table[kind].split("|")}, key=lambda phrase: -len(phrase))
        escaped = ((phrase[:1] == "^", regex.escape(phrase.removeprefix("^"), special_only=True)) for phrase in phrases)
        return "|".join(rf"(?<=^\W*){phrase}" if opens else phrase for opens, phrase in escaped)

    def pattern(kind: str) -> regex.Pattern[str]:
        return regex.compile(f"{before}(?:{any_of(kind)}){after}")

    # Each kind by itself: of two that begin at one place, the longer phrase is to be seen.
    return _Patterns(tuple((kind, pattern(kind)) for kind in Kind if kind is not Kind.OTHER), pattern("reason"))


@functools.cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(files("rag").joinpath("questions.toml").read_text("utf-8"))
