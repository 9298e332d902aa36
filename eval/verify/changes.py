"""Sentences made wrong in one way each, so that what should be caught is known."""

from __future__ import annotations

import random
from collections.abc import Sequence

import regex

from index.names.question import is_acronym, shown_names

_NUMBER = regex.compile(r"(?<![\p{Latin}\d.,-])\d(?:[\d,.]*\d)?(?![\p{Latin}\d])")
_AUXILIARY = regex.compile(
    r"\b(?:is|was|are|were|has|have|had|will|can|could|would|should|may|might|must|did|does|do)\b(?! not|['’]t)",
    regex.IGNORECASE,
)


def number_changed(text: str, generator: random.Random) -> str:
    """`text` with one digit of one of its numbers changed; empty where it has none."""
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return ""
    chosen = generator.choice(numbers)
    digits = [place for place in range(*chosen.span()) if text[place].isdecimal()]
    place = generator.choice(digits)
    digit = generator.choice([digit for digit in "123456789" if digit != text[place]])
    return text[:place] + digit + text[place + 1 :]


def name_swapped(text: str, language: str, names: Sequence[str], generator: random.Random) -> str:
    """`text` with one of its names replaced by one of `names` that it has not; empty where its script shows none."""
    own = [name for name in shown_names(text, language) if not is_acronym(name)]
    others = [name for name in names if name not in text]
    return text.replace(generator.choice(own), generator.choice(others)) if own and others else ""


def negated(text: str) -> str:
    """English `text` that denies what it said, or says what it denied; empty where that cannot be made of it."""
    if regex.search(r"\bnot\b", text):
        return regex.sub(r"\bnot ?\b", "", text, count=1)
    found = _AUXILIARY.search(text)
    return f"{text[: found.end()]} not{text[found.end() :]}" if found else ""
