"""How an answer's text compares with the expected answers: exact match, F1, contains.

Range [0, 1]; the best over the expected answers counts, and none gives 0. After the official SQuAD script
(Rajpurkar et al. 2016), with MLQA's change for scripts without spaces: there every
character is a token (Lewis et al. 2020); and so is every syllable of Korean, where particles follow
a word without a space (KorQuAD 1.0, Lim et al. 2019).

`language` is that of the expected answer, a BCP 47 tag. Given one, exact match and F1 are those of the official MLQA
script: punctuation is deleted ("U.S." is "US"), then the articles of en, es, de and vi and, wherever it stands, the
Arabic alef-lam, also within a word, as there; of other languages none. Beyond it the text is folded
(`eval.measures.folding`), in every language. Contains is not of that script: there punctuation parts words, so that
"OpenAI's" and "2019-2020" contain "OpenAI" and "2019", and the Arabic article counts only at the start of a word, with
the particles before it; what matches exactly is contained. Without a language, punctuation parts words for all three,
and the articles are English.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import regex

from eval.measures.f_measure import f_measure
from eval.measures.folding import SIGN_BY_SIGN, folded

_ARTICLES = {
    "en": regex.compile(r"\b(?:a|an|the)\b"),
    "es": regex.compile(r"\b(?:un|una|unos|unas|el|la|los|las)\b"),
    "de": regex.compile(r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vi": regex.compile(r"\b(?:của|là|cái|chiếc|những)\b"),
    "ar": regex.compile("ال"),
}
_WORDS_ARTICLES = _ARTICLES | {"ar": regex.compile(r"\b[وف]?(?:[بك]?ال|لل)(?=\p{L}{2})")}
_NO_ARTICLES = regex.compile(r"(?!)")
_PUNCTUATION = regex.compile(rf"[\p{{P}}{regex.escape(string.punctuation)}]")
_TOKEN = regex.compile(rf"{SIGN_BY_SIGN}|(?:(?!{SIGN_BY_SIGN})[\p{{L}}\p{{M}}\p{{N}}])+")
_SIGN_OR_REST = regex.compile(rf"{SIGN_BY_SIGN}|(?:(?!{SIGN_BY_SIGN}).)+", regex.DOTALL)


def tokens(text: str, language: str = "") -> list[str]:
    """Tokens as exact match and F1 compare them: folded, without punctuation and the articles of `language`."""
    if not language:
        return _words(text, "")
    bare = _PUNCTUATION.sub("", folded(text))
    parted = _ARTICLES.get(_primary(language), _NO_ARTICLES).sub(" ", bare).split()
    return [token for word in parted for token in _SIGN_OR_REST.findall(word)]


def exact_match(answer: str, expected: Sequence[str], language: str = "") -> float:
    """1 if the answer's tokens are those of an expected answer, else 0."""
    own = tokens(answer, language)
    return float(any(own == tokens(other, language) for other in expected))


def f1(answer: str, expected: Sequence[str], language: str = "") -> float:
    """Harmonic mean of token precision and recall, the best over the expected answers."""
    own = tokens(answer, language)
    return max((_f1(own, tokens(other, language)) for other in expected), default=0.0)


def contains(answer: str, expected: Sequence[str], language: str = "") -> float:
    """1 if an expected answer's words stand in the answer in a row, or the two match exactly, else 0."""
    own = _words(answer, language)
    said = [other for other in expected if tokens(other, language)]
    return float(any(_in_a_row(_words(other, language), own) for other in said) or exact_match(answer, said, language))


def _words(text: str, language: str) -> list[str]:
    """Runs of letters, marks and digits, without the articles of `language`."""
    if not language:
        return _TOKEN.findall(_ARTICLES["en"].sub(" ", unicodedata.normalize("NFKC", text).casefold()))
    return _TOKEN.findall(_WORDS_ARTICLES.get(_primary(language), _NO_ARTICLES).sub(" ", folded(text)))


def _primary(language: str) -> str:
    return language.split("-")[0].lower()


def _f1(own: list[str], other: list[str]) -> float:
    common = sum((Counter(own) & Counter(other)).values())
    return f_measure(common / len(own), common / len(other)) if common else 0.0


def _in_a_row(part: list[str], whole: list[str]) -> bool:
    return bool(part) and any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))
