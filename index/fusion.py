"""From what the legs found to one ranking that is fair to every language.

Passages in the question's own language score higher whatever they say: they share words with it.
Ranked by raw score they bury the passage that holds the answer in another language. So a
score is compared with what other passages of the same language score for the same question
(local scaling, as CSLS does for words: Conneau et al. 2018), legs are fused by rank, and other
languages keep a share of the places.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence, Set
from typing import TypeVar

import regex

from index.store.base import StoredPassage
from index.text.terms import terms

Key = TypeVar("Key", bound=Hashable)

# The level of a language is the mean of these ranks of its scores (counted from 0): below what may be
# the answer and its neighbours, above what is far away. docs/decisions/0010
_LEVEL_FIRST, _LEVEL_LAST = 3, 10
_FEW = 10  # passages of a language: at so many its own level counts half, and that of all the other half
_SHINGLE = 3  # terms
_DIGIT = regex.compile(r"\p{Nd}")
_MIN_SHINGLES = 5  # shorter passages are copies only if they are equal


def language_group(language: str) -> str:
    """The primary subtag: `zh-Hant` and `zh-Hans` are one language here."""
    return language.split("-")[0]


def levels(scores: Mapping[Key, float], group: Mapping[Key, str], sizes: Mapping[str, int]) -> dict[str, float]:
    """What a passage of each language scores that does not answer the question.

    `sizes` are the passages of each language in all, of which `scores` holds the best.
    """
    own: dict[str, list[float]] = defaultdict(list)
    for key, score in scores.items():
        own[group[key]].append(score)
    common = _level(list(scores.values()), sum(sizes.values()))
    found = {}
    for name, values in own.items():
        weight = sizes[name] / (sizes[name] + _FEW)
        found[name] = weight * _level(values, sizes[name]) + (1 - weight) * common
    return found


def _level(values: Sequence[float], n_passages: int) -> float:
    """Mean of the ranks that say what is usual; of fewer passages, of ranks nearer the top."""
    if not values:
        return 0.0
    ordered = sorted(values, reverse=True)
    first = min(_LEVEL_FIRST, -(-n_passages // 6))
    last = max(first + 1, min(_LEVEL_LAST, -(-n_passages // 2)))
    usual = ordered[first:last] or ordered[-1:]
    return sum(usual) / len(usual)


def with_places_for_others(order: Sequence[Key], others: Set[Key], k: int, share: float) -> list[Key]:
    """The first `k` of `order`, the last places given to `others` while they have less than their `share`.

    Order among the chosen is kept; where there are not enough others, nothing changes.
    """
    chosen = list(order[:k])
    wanted = int(k * share)
    waiting = [key for key in order[k:] if key in others]
    lacking = min(wanted - sum(key in others for key in chosen), len(waiting))
    if lacking <= 0:
        return chosen
    leaving = [key for key in reversed(chosen) if key not in others][:lacking]
    return [key for key in chosen if key not in leaving] + waiting[: len(leaving)]


class Copies:
    """Tells passages that say what one before them said, in the same language, from new ones.

    A translation is no copy, nor is the next passage of a document, which repeats a sentence of it.
    """

    def __init__(self, share: float) -> None:
        """`share` of the shingles of the shorter passage that makes it a copy, in (0, 1]."""
        self._share = share
        self._seen: dict[str, list[tuple[int, frozenset[tuple[str, ...]], frozenset[str]]]] = defaultdict(list)

    def original(self, passage: StoredPassage) -> int:
        """The pid of the passage that this one repeats, or its own, which is remembered."""
        shingles, figures = _told(passage.text)
        seen = self._seen[language_group(passage.language)]
        for pid, other, others_figures in seen:
            shorter = min(len(shingles), len(other))
            if not figures <= others_figures:
                continue  # the same words about another year are another statement
            if shingles == other or (shorter >= _MIN_SHINGLES and len(shingles & other) >= self._share * shorter):
                return pid
        seen.append((passage.pid, shingles, figures))
        return passage.pid


@functools.lru_cache(maxsize=2048)
def _told(text: str) -> tuple[frozenset[tuple[str, ...]], frozenset[str]]:
    """The shingles of a text, and its words with digits; kept for the next question, which finds the same passages."""
    words = terms(text)
    shingles = frozenset(tuple(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1)))
    return shingles, frozenset(word for word in words if _DIGIT.search(word))
