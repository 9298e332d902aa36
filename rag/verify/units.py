"""Units and currencies: does a text give a figure in another one than a sentence does?"""

from __future__ import annotations

import functools
import tomllib
import unicodedata
from collections import defaultdict
from importlib.resources import files

import regex

from index.text.quantities import plain, quantities

_AHEAD = 24  # characters behind a number in which its unit stands
_SQUARE = r"(?:square|sq\.?|cubic|quadrat|kubik|平方|立方|제곱|кв\.?)?"
_NO_SPACES = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}]")


def other_units(sentence: str, language: str, text: str, text_language: str) -> set[str]:
    """The figures of `sentence` that `text` has, but each time with another unit; as value and unit, "30 mile"."""
    needed = _units(sentence, language)
    held = _units(text, text_language) if any(name for names in needed.values() for name in names) else {}
    found = ((value, {name for name in names if name}) for value, names in needed.items())
    return {
        f"{value} {min(names)}"
        for value, names in found
        if names and value in held and "" not in held[value] and not names & held[value]
    }


def _units(text: str, language: str) -> dict[str, set[str]]:
    """The units of each figure of a text, by its value; an empty one where no unit is known."""
    normal = plain(text)
    found: dict[str, set[str]] = defaultdict(set)
    for quantity in quantities(normal, language):
        behind = _behind().match(_folded(normal[quantity.end : quantity.end + _AHEAD]))
        before = _before().search(_folded(normal[max(0, quantity.start - 4) : quantity.start]))
        word = behind.group("unit") if behind else before.group("unit") if before else ""
        found[quantity.value] |= _names().get(word) or _named(word)
    return found


def _named(word: str) -> set[str]:
    """The units of a word that goes on behind the part that is listed."""
    stems = (word[:n] + "*" for n in range(len(word), 1, -1))
    return next((_names()[stem] for stem in stems if stem in _names()), {""})


def _folded(text: str) -> str:
    """`text` without case, accents and vowel signs."""
    return regex.sub(r"\p{Mn}+", "", unicodedata.normalize("NFKD", text.casefold()))


@functools.cache
def _names() -> dict[str, set[str]]:
    """The units of each listed word."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, words in tomllib.loads(files("rag.verify").joinpath("units.toml").read_text("utf-8")).items():
        for word in words.split("|"):
            found[_folded(word)].add(name)
    return dict(found)


@functools.cache
def _behind() -> regex.Pattern[str]:
    """A unit behind a number: longer words first; a word of letters ends where it ends."""
    words = sorted((word for word in _names() if word), key=len, reverse=True)
    ends = (
        regex.escape(word[:-1]) + r"\p{L}*" if word[-1] == "*" else
        regex.escape(word) + ("" if _NO_SPACES.search(word) or not word[-1].isalpha() else r"(?!\p{L})")
        for word in words
    )  # fmt: skip
    return regex.compile(rf"[\s\u00a0-]?°?\s?{_SQUARE}\s?(?P<unit>{'|'.join(ends)})")


@functools.cache
def _before() -> regex.Pattern[str]:
    """A sign of a currency before a number."""
    signs = sorted((word for word in _names() if not word[-1].isalpha() and word != "%"), key=len, reverse=True)
    return regex.compile(rf"(?P<unit>{'|'.join(map(regex.escape, signs))})\s?$")
