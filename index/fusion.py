"""The evidence of each passage for a question, and from it one ranking that is fair to every language.

Passages in the question's own language score higher whatever they contain: they share words with it. Ranked by raw
score they bury the passage that holds the answer in another language. So the score of a passage is compared with the
baseline of its language: the score that passages of this language reach for this question without answering it
(local scaling, as CSLS does for words: Conneau et al. 2018). docs/decisions/0010
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import regex

from index.names import OtherForm
from index.settings import SearchSettings
from index.store.base import StoredPassage
from index.text.terms import terms

# The baseline of a language is the mean of these ranks of its scores (counted from 0): below what may be the answer
# and its neighbours, above what is far away. docs/decisions/0010
_BASELINE_FIRST, _BASELINE_LAST = 3, 10
# A mean over so many passages of a language counts half, and that of all languages the other half. docs/decisions/0010
_FEW_OF_LANGUAGE = 10
_SHINGLE = 3  # terms
_MIN_SHINGLES = 5  # shorter passages are copies only if they are equal
_DIGIT = regex.compile(r"\p{Nd}")
_JUST_BELOW = 1e-6


@dataclass(slots=True)
class Evidence:
    """All that is known of one passage for one question; each signal of a search adds to it.

    Ranks count from 1; they are 0 where the signal did not find the passage.
    """

    pid: int
    language: str
    dense: float = 0.0  # similarity by the encoder, in [-1, 1]
    dense_rank: int = 0
    words: float = 0.0  # share of the question's information that the words of the passage hold, in [0, 1]
    lexical_rank: int = 0
    names: float = 0.0  # the same share, for names of the question that the passage has in another form
    phonetic: float = 0.0  # the same share, for forms that only sound like a name of the question
    forms: tuple[OtherForm, ...] = ()  # those of `names`, the surest first
    has_name: bool = False  # it has a name of the question that other passages may have in another form
    quoted: bool = False  # it has a phrase that the question quotes
    baseline: float = 0.0
    score: float = 0.0  # the weighted signals, less the baseline

    @property
    def group(self) -> str:
        """The language that it is compared within."""
        return language_group(self.language)

    def signals(self, settings: SearchSettings) -> float:
        """The weighted sum of the signals that a baseline is taken of."""
        by_name = settings.names_weight * (self.names + self.phonetic)
        return self.dense + settings.lexical_weight * self.words + by_name


def language_group(language: str) -> str:
    """The primary subtag: `zh-Hant` and `zh-Hans` are one language here."""
    return language.split("-")[0]


def ranked(found: Iterable[Evidence], sizes: Mapping[str, int], settings: SearchSettings) -> list[Evidence]:
    """The evidence with its baselines and scores, best first.

    Args:
        found: The evidence of the candidates; it is changed.
        sizes: Number of passages of each language group, found or not.
        settings: The weights of the signals.
    """
    found = list(found)
    signals = [(item.group, item.signals(settings)) for item in found]
    # A question without any word that the encoder has is found by words alone, and passages mostly share none.
    informative = any(item.dense for item in found)
    by_group = baselines(signals, sizes) if informative else {}
    for item, (group, own) in zip(found, signals, strict=True):
        item.baseline = by_group.get(group, 0.0)
        item.score = own - item.baseline + settings.quoted_weight * item.quoted
    _lower_phonetic(found, settings.names_weight)
    return sorted(found, key=lambda item: (-item.score, -item.dense, item.pid))


def _lower_phonetic(found: Sequence[Evidence], weight: float) -> None:
    """Take phonetic matches back where they lift a passage over one that has the name as the question writes it."""
    with_name = sorted(item.score for item in found if item.has_name and not item.phonetic)
    for item in found:
        if item.phonetic:
            without = item.score - weight * item.phonetic
            above = next((score for score in with_name if score > without), math.inf)
            item.score = min(item.score, above - _JUST_BELOW)


def baselines(scores: Iterable[tuple[str, float]], sizes: Mapping[str, int]) -> dict[str, float]:
    """The score of passages of each language group that do not answer the question.

    Args:
        scores: Group and score of the best passages.
        sizes: Number of passages of each group in all.
    """
    own: dict[str, list[float]] = defaultdict(list)
    for group, score in scores:
        own[group].append(score)
    common = _baseline([score for values in own.values() for score in values], sum(sizes.values()))
    return {
        group: (sizes[group] * _baseline(values, sizes[group]) + _FEW_OF_LANGUAGE * common)
        / (sizes[group] + _FEW_OF_LANGUAGE)
        for group, values in own.items()
    }


def _baseline(values: Sequence[float], n_passages: int) -> float:
    """Mean of the scores at the ranks of a baseline; of fewer passages, of ranks nearer the top."""
    if not values:
        return 0.0
    ordered = sorted(values, reverse=True)
    first = min(_BASELINE_FIRST, -(-n_passages // 6))
    last = max(first + 1, min(_BASELINE_LAST, -(-n_passages // 2)))
    at_ranks = ordered[first:last] or ordered[-1:]
    return sum(at_ranks) / len(at_ranks)


def originals(passages: Iterable[StoredPassage], share: float) -> Iterator[StoredPassage]:
    """The passages that do not repeat one before them in the same language.

    A passage repeats another that has `share` of its shingles, or of whose shingles it has `share`. A translation is
    no copy, nor is the next passage of a document, which repeats a sentence of it.
    """
    seen: dict[str, list[_Words]] = defaultdict(list)
    for passage in passages:
        own = _words_of(passage.text)
        before = seen[language_group(passage.language)]
        if not any(_repeats(own, other, share) for other in before):
            before.append(own)
            yield passage


def _repeats(one: _Words, other: _Words, share: float) -> bool:
    if not one.figures <= other.figures:
        return False  # the same words about another year are another statement
    mine, theirs = one.shingles, other.shingles
    shorter = min(len(mine), len(theirs))
    return mine == theirs or (shorter >= _MIN_SHINGLES and len(mine & theirs) >= share * shorter)


class _Words(NamedTuple):
    """The shingles of a text, and its words with digits."""

    shingles: frozenset[tuple[str, ...]]
    figures: frozenset[str]


@functools.lru_cache(maxsize=2048)
def _words_of(text: str) -> _Words:
    """The words of a text; kept for the next question, which finds the same passages."""
    words = terms(text)
    shingles = frozenset(tuple(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1)))
    return _Words(shingles, frozenset(word for word in words if _DIGIT.search(word)))
