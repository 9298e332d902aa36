"""Whether a text has a word of negation."""

from __future__ import annotations

import functools
import tomllib
import unicodedata
from importlib.resources import files

import regex

from index.text.hanzi import fold_traditional

_JOINED = ("zh", "ja", "th", "ko")  # a negation is a part of a word, or stands without spaces


def negates(text: str, language: str) -> bool | None:
    """Whether `text` has a word that negates; None in a language whose words are not known."""
    pattern = _patterns().get(language.split("-")[0])
    return None if pattern is None else pattern.search(_folded(text)) is not None


def opposed(text: str, language: str, other: str, other_language: str) -> bool:
    """Whether one of two texts negates and the other does not."""
    one, two = negates(text, language), negates(other, other_language)
    return one is not None and two is not None and one != two


def _folded(text: str) -> str:
    return fold_traditional(unicodedata.normalize("NFC", text))


@functools.cache
def _patterns() -> dict[str, regex.Pattern[str]]:
    table = tomllib.loads(files("rag.verify").joinpath("negation.toml").read_text("utf-8"))
    found = {}
    for language, listed in table.items():
        words = _folded(listed)
        whole = rf"(?<![\p{{L}}\p{{M}}])(?:{words})(?![\p{{L}}\p{{M}}])"
        found[language] = regex.compile(words if language in _JOINED else whole, regex.IGNORECASE)
    return found
