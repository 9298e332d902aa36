"""Character 3-gram recall: of the 3-grams of the expected answer, the share that the answer holds.

Range [0, 1]; the best over the expected answers counts, and none, or none with a letter, gives 0. Chirkova et al.
(2024), "Retrieval-augmented generation in multilingual settings": names are transliterated in several ways, and most
of their 3-grams stand. As in their code 3-grams are taken within words, a shorter word is one by itself, and each is
found as often as the answer holds it. Language-independent: text is folded (`eval.measures.folding`), punctuation of
every script parts words; and since scripts without spaces do not part them, a word of one or two of their signs
is found wherever it stands ("北京" in "他在北京工作").
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence

import regex

from eval.measures.folding import SIGN_BY_SIGN, folded

_N = 3
_PARTS = regex.compile(rf"[\s\p{{P}}{regex.escape(string.punctuation)}]+")
_UNSPACED = regex.compile(SIGN_BY_SIGN)


def ngram_recall(answer: str, expected: Sequence[str]) -> float:
    """Character 3-gram recall of the best of the expected answers."""
    held = Counter(gram for word in _words(answer) for size in _sizes(word) for gram in _grams(word, size))
    return max((_recall(held, other) for other in expected), default=0.0)


def _recall(held: Counter[str], expected: str) -> float:
    wanted = Counter(gram for word in _words(expected) for gram in _grams(word, min(_N, len(word))))
    return (wanted & held).total() / wanted.total() if wanted else 0.0


def _words(text: str) -> list[str]:
    return [word for word in _PARTS.split(folded(text)) if word]


def _sizes(word: str) -> range:
    """The lengths of the grams that are found in `word`: of an unspaced script, shorter ones too."""
    longest = min(_N, len(word))
    return range(1 if _UNSPACED.search(word) else longest, longest + 1)


def _grams(word: str, size: int) -> list[str]:
    return [word[i : i + size] for i in range(len(word) - size + 1)]
