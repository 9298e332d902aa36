"""How an answer's text compares with the expected answers: exact match, F1, contains. Range [0, 1]; no answers give 0.

Exact match and F1 are those of the official MLQA script (Lewis et al. 2020), which extends SQuAD's (Rajpurkar et al.
2016): punctuation is deleted ("U.S." is "US"), then the articles of en, es, de and vi and, anywhere in a word, the
Arabic alef-lam. In scripts without spaces every character is a token, and so is every syllable of Korean, where
particles follow a word without a space (KorQuAD 1.0, Lim et al. 2019). `language`, a BCP 47 tag, is that of the
expected answer.

Contains is ours: punctuation parts words, so that "OpenAI's" contains "OpenAI", and the Arabic article counts only at
the start of a word. Separators of thousands do not count: "4.318", "4,318" and "4 318" are one number. What matches
exactly is contained.

Before comparing, text is folded, in every language: compatibility forms (NFKC), case, Turkish dotted and dotless i,
Arabic vowel signs and tatweel, decimal digits of every script, and format characters. Accents stay.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import regex

from eval.measures.citation import f_measure

# Scripts without spaces, and Hangul, whose particles follow without one.
_SIGN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_ARTICLES = {
    "en": regex.compile(r"\b(?:a|an|the)\b"),
    "es": regex.compile(r"\b(?:un|una|unos|unas|el|la|los|las)\b"),
    "de": regex.compile(r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vi": regex.compile(r"\b(?:của|là|cái|chiếc|những)\b"),
    "ar": regex.compile("ال"),
}
_ARTICLES_OF_WORDS = _ARTICLES | {"ar": regex.compile(r"\b[وف]?(?:[بك]?ال|لل)(?=\p{L}{2})")}
_NO_ARTICLES = regex.compile(r"(?!)")
_PUNCTUATION = regex.compile(rf"[\p{{P}}{regex.escape(string.punctuation)}]")
_SIGN_OR_WORD = regex.compile(rf"{_SIGN}|(?:(?!{_SIGN})[\p{{L}}\p{{M}}\p{{N}}])+")
_SIGN_OR_REST = regex.compile(rf"{_SIGN}|(?:(?!{_SIGN}).)+", regex.DOTALL)
_THOUSANDS = regex.compile(r"(?<!\d)(?<!\d[.,])\d{1,3}([.,'’٬ ])\d{3}(?:\1\d{3})*(?!\d)")
_UNSEEN = regex.compile(r"[\p{Cf}\u0640\u064B-\u0652\u0670]")
_TURKISH_I = regex.compile("[iı]\u0307*")
_DIGIT = regex.compile(r"(?![0-9])\p{Nd}")


def exact_match(answer: str, expected: Sequence[str], language: str) -> float:
    """1 if the answer's tokens are those of an expected answer, else 0."""
    own = tokens(answer, language)
    return float(any(own == tokens(other, language) for other in expected))


def f1(answer: str, expected: Sequence[str], language: str) -> float:
    """Harmonic mean of token precision and recall, the best over the expected answers."""
    own = tokens(answer, language)
    return max((_f1(own, tokens(other, language)) for other in expected), default=0.0)


def contains(answer: str, expected: Sequence[str], language: str) -> float:
    """1 if one of the expected answers stands in the answer, else 0."""
    return float(any(_stands_in(answer, other, language) for other in expected))


def contains_all(answer: str, expected: Sequence[str], language: str) -> float:
    """1 if every one of the expected answers stands in the answer, else 0; for a list or a comparison."""
    return float(bool(expected) and all(_stands_in(answer, other, language) for other in expected))


def tokens(text: str, language: str) -> list[str]:
    """Tokens as exact match and F1 compare them: folded, without punctuation and the articles of `language`."""
    bare = _PUNCTUATION.sub("", folded(text))
    parted = _ARTICLES.get(_primary(language), _NO_ARTICLES).sub(" ", bare).split()
    return [token for word in parted for token in _SIGN_OR_REST.findall(word)]


def folded(text: str) -> str:
    """`text` without the differences that a reader does not see as one; NFKC."""
    cased = _UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    # Case folding decomposes accents, and a format character between a letter and its accent is gone.
    whole = unicodedata.normalize("NFKC", _TURKISH_I.sub("i", cased))
    # Python's tables may be older than those of `regex`: a digit that they lack stays as it is.
    return _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0], digit[0])), whole)


def _stands_in(answer: str, expected: str, language: str) -> bool:
    """Whether the words of `expected` stand in a row in `answer`, or the two match exactly."""
    if not (own := tokens(expected, language)):
        return False
    part, whole = _words(expected, language), _words(answer, language)
    in_a_row = any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))
    return (bool(part) and in_a_row) or own == tokens(answer, language)


def _words(text: str, language: str) -> list[str]:
    """Runs of letters, marks and digits, without the articles of `language` and the separators of thousands."""
    plain = _THOUSANDS.sub(lambda number: number[0].replace(number[1], ""), folded(text))
    return _SIGN_OR_WORD.findall(_ARTICLES_OF_WORDS.get(_primary(language), _NO_ARTICLES).sub(" ", plain))


def _primary(language: str) -> str:
    return language.split("-")[0].lower()


def _f1(own: list[str], other: list[str]) -> float:
    common = sum((Counter(own) & Counter(other)).values())
    return f_measure(common / len(own), common / len(other)) if common else 0.0
