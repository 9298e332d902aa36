"""How an answer's text compares with the expected answers: exact match, F1, contains.

Range [0, 1]; the best over the expected answers counts. After the official SQuAD script
(Rajpurkar et al. 2016), with MLQA's change for scripts without spaces: there every
character is a token (Lewis et al. 2020); and so is every syllable of Korean, where particles follow
a word without a space (KorQuAD 1.0, Lim et al. 2019).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import regex

_ARTICLES = regex.compile(r"\b(?:a|an|the)\b")
_SIGN_BY_SIGN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_TOKEN = regex.compile(rf"{_SIGN_BY_SIGN}|(?:(?!{_SIGN_BY_SIGN})[\p{{L}}\p{{M}}\p{{N}}])+")


def tokens(text: str) -> list[str]:
    """Tokens as compared: NFKC, case folded, without punctuation and English articles."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _TOKEN.findall(_ARTICLES.sub(" ", folded))


def exact_match(answer: str, expected: Sequence[str]) -> float:
    """1 if the answer's tokens are those of an expected answer, else 0."""
    own = tokens(answer)
    return float(any(own == tokens(other) for other in expected))


def f1(answer: str, expected: Sequence[str]) -> float:
    """Harmonic mean of token precision and recall, the best over the expected answers."""
    return max((_f1(tokens(answer), tokens(other)) for other in expected), default=0.0)


def contains(answer: str, expected: Sequence[str]) -> float:
    """1 if an expected answer's tokens stand in the answer in a row, else 0."""
    own = tokens(answer)
    return float(any(_in_a_row(tokens(other), own) for other in expected))


def _f1(own: list[str], other: list[str]) -> float:
    common = sum((Counter(own) & Counter(other)).values())
    if not common:
        return 0.0
    precision, recall = common / len(own), common / len(other)
    return 2 * precision * recall / (precision + recall)


def _in_a_row(part: list[str], whole: list[str]) -> bool:
    return bool(part) and any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))
