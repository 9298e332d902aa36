"""Names as a text writes them: which words its script shows to be names, and where a given name stands."""

from __future__ import annotations

import functools
import re
import unicodedata

import regex

from index.text.hanzi import fold_traditional
from index.text.language import function_words
from index.text.script import CASED, UNSPACED

_NAME = regex.compile(rf"(?<![{CASED}\p{{M}}])\p{{Lu}}[{CASED}\p{{M}}\p{{N}}-]+|[\p{{Katakana}}ー]{{2,}}")
_SYLLABLES = ("vi",)  # written syllable by syllable: a name is a row of them, each with a capital
_NAME_OF_SYLLABLES = regex.compile(rf"(?:{_NAME.pattern})(?: (?:{_NAME.pattern}))*")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_JOINED, _JOINED_END = regex.compile(f"[{UNSPACED}]"), regex.compile(rf"[{UNSPACED}\p{{Hangul}}]$")
_LETTER, _LETTER_END = regex.compile(r"[\p{L}\p{M}]"), regex.compile(r"\p{L}\p{M}*$")
_MAX_MARKS = 16  # characters that are looked at before a name for the letter that its marks belong to


def shown_names(text: str, language: str) -> list[str]:
    """The names in `text` as it writes them, of scripts that show a name: by its capital, or as Katakana."""
    common = function_words(language)
    first = _WORD.search(text)
    found: dict[str, None] = {}
    pattern = _NAME_OF_SYLLABLES if language.split("-")[0] in _SYLLABLES else _NAME
    for match in pattern.finditer(text):
        name = match.group()
        opens = first is not None and match.start() == first.start()  # every question begins with a capital
        if name.casefold() not in common and (not opens or name.isupper() or not name[0].isupper()):
            found[name] = None
    return list(found)


def written(name: str, text: str) -> str:
    """`name` as `text` writes it: in its script, its case; empty where it does not stand there by itself.

    An acronym stands only where it is in capitals: WHO is no "who".
    """
    normal, wanted = _normal(text), fold_traditional(name)
    folded, found = fold_traditional(normal), _literal(wanted, is_acronym(name))
    match = found.search(folded)
    while match and not _stands_by_itself(wanted, folded, *match.span()):
        match = found.search(folded, match.start() + 1)
    return normal[match.start() : match.end()] if match else ""


@functools.lru_cache(maxsize=16)
def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@functools.lru_cache(maxsize=1024)
def _literal(text: str, cased: bool) -> re.Pattern[str]:
    return re.compile(re.escape(text), re.NOFLAG if cased else re.IGNORECASE)


def _stands_by_itself(name: str, text: str, start: int, end: int) -> bool:
    """Whether no word of `text` goes on before or behind `name`; scripts without spaces do not show that."""
    spaced_before, spaced_after = not _JOINED.match(name) and name[:1].isalpha(), not _JOINED_END.search(name)
    return not (
        (spaced_before and _LETTER_END.search(text, max(0, start - _MAX_MARKS), start))
        or (spaced_after and _LETTER.match(text, end))
    )


def is_acronym(name: str) -> bool:
    """Whether `name` is a few capitals."""
    letters = [char for char in name if char.isalpha()]
    return 0 < len(letters) <= 5 and all(char.isupper() for char in letters)
