"""Terms of the lexical leg: words where a script has them, character n-grams where it has not.

NFKC and case folding; Traditional Chinese folded to Simplified; digits of every script as ASCII ones.
Han and Hangul runs to bigrams, Thai, Lao, Khmer and Burmese runs to trigrams, Katakana runs whole,
Hiragana (particles and endings) left out. What is indexed and looked for are these, and with them the
beginnings of words, so that an inflected form finds its relatives, and the values of numbers and dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

from index.text.hanzi import fold_traditional
from index.text.quantities import number_values
from index.text.script import UNSPACED, ascii_digits, compatible

_HAS_UNSPACED = regex.compile(rf"[{UNSPACED}\p{{Hangul}}]")
_MAY_BE_UNSPACED = re.compile(r"[^\x00-\u0dff\u1e00-\u2dff]")  # quickly
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_OF_WORDS = r"(?=[\p{L}\p{N}\p{M}])"  # scripts have signs of their own, as Burmese ။ that ends a sentence
_RUN = regex.compile(
    rf"(?P<two>(?:{_OF_WORDS}[\p{{Han}}々〇])+|(?:{_OF_WORDS}\p{{Hangul}})+)|(?P<whole>(?:{_OF_WORDS}[\p{{Katakana}}ー])+)"
    rf"|(?:{_OF_WORDS}[\p{{Hiragana}}ー])+"
    rf"|(?P<three>(?:{_OF_WORDS}[\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}]\p{{M}}*)+)"
    rf"|(?P<word>(?:(?![{UNSPACED}\p{{Hangul}}])[\p{{L}}\p{{N}}\p{{M}}])+)"
)
_MAX_TERM = 64  # characters; longer runs of "letters" are encoded data


def terms(text: str) -> list[str]:
    """The terms of `text`, in order, repeats kept."""
    folded = ascii_digits(compatible(text).casefold())
    if not _MAY_BE_UNSPACED.search(folded) or not _HAS_UNSPACED.search(folded):
        return [run[:_MAX_TERM] for run in _WORD.findall(folded)]
    found: list[str] = []
    for match in _RUN.finditer(fold_traditional(folded)):
        kind, run = match.lastgroup, match.group()
        if kind in {"two", "three"}:
            size = 2 if kind == "two" else 3
            # Fewer characters than the gram: the run itself is the term.
            found += [run[i : i + size] for i in range(max(1, len(run) - size + 1))]
        elif kind is not None:
            found.append(run[:_MAX_TERM])
    return found


BEGINNING = "‿"  # before the beginning of a word: never part of a term itself
_N_BEGINNING = 4  # letters; of 4, 5 and 6 the best in twelve languages, docs/decisions/0010
_BEGINS_INFLECTED = regex.compile(
    r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Armenian}\p{Georgian}]"
)


def with_relatives(found: Sequence[str]) -> list[str]:
    """`found`, terms of a text in order, and after them the beginnings of its words, marked as such."""
    long = (term for term in found if len(term) >= _N_BEGINNING and _BEGINS_INFLECTED.match(term))
    return [*found, *(f"{BEGINNING}{term[:_N_BEGINNING]}" for term in long)]


def indexed_terms(text: str) -> list[str]:
    """All that a passage is found by: its terms in order, then the beginnings of its words, then its numbers."""
    return [*with_relatives(terms(text)), *number_values(text)]
