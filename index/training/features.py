"""What a piece shares with others: character n-grams, in its own script and in Latin letters.

During training a piece's vector is its own row plus the rows of its n-grams, as in fastText
(Bojanowski et al. 2017), so that an inflected form learns from its lemma, a rare word from its
relatives, and a name from its spelling in another script. At export the sum is written into
one row, and none of this is needed any more.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence

import regex
from scipy.sparse import csr_matrix

from index.text.script import count_scripts

_START = "<"
# n-gram sizes in the own script; Latin pieces have the romanised ones only.
_OWN_SIZES = {
    "Han": (1,), "Hangul": (1, 2), "Hiragana": (2, 3), "Katakana": (2, 3), "Arabic": (3, 4), "Hebrew": (3, 4),
    "Thai": (3, 4), "Devanagari": (3, 4), "Bengali": (3, 4), "Greek": (4, 5), "Cyrillic": (4, 5),
}  # fmt: skip
_ROMAN_SIZES = {"Latin": (4, 5)}
_ROMAN_SIZE_ELSEWHERE = (4,)
_SOUND_SIZES = (3, 4)
_NOT_ROMAN = regex.compile(r"[^a-z]")
# Consonants that scripts do not tell apart in one another's names fall together; vowels fall out.
_SOUNDS = str.maketrans("lrbvpfdtkgcqszjxmn", "llppppttkkkkssssmn", "aeiouhwy")


def feature_matrix(pieces: Sequence[str], min_pieces: int = 2) -> csr_matrix:
    """(pieces, pieces + n-grams) matrix whose product with all rows gives each piece's vector.

    A piece has 1 at itself and 1/sqrt(n) at each of its n n-grams; an n-gram that fewer than
    `min_pieces` pieces have is left out.
    """
    import numpy as np

    grams = [tuple(dict.fromkeys(_grams(piece))) for piece in pieces]
    counts = Counter(gram for own in grams for gram in own)
    column: dict[str, int] = {}
    for gram, count in counts.items():
        if count >= min_pieces:
            column[gram] = len(pieces) + len(column)
    indptr, indices, values = [0], [], []
    for row, own in enumerate(grams):
        shared = [column[gram] for gram in own if gram in column]
        indices.append(row)
        values.append(1.0)
        indices.extend(shared)
        values.extend([max(1, len(shared)) ** -0.5] * len(shared))
        indptr.append(len(indices))
    shape = (len(pieces), len(pieces) + len(column))
    return csr_matrix((np.array(values, np.float32), np.array(indices, np.int32), np.array(indptr, np.int64)), shape)


def _grams(piece: str) -> Iterator[str]:
    word = piece.lstrip("▁")
    counts = count_scripts(word)
    if not counts or any(char.isdecimal() for char in word):
        return
    script = max(counts, key=lambda name: counts[name])
    start = _START if piece.startswith("▁") else ""
    for size in _OWN_SIZES.get(script, ()):
        whole = word if size <= 2 else start + word
        for gram in _windows(whole, size):
            yield f"{script}:{gram}"
    if script != "Han":
        roman = start + romanised(word)
        for size in _ROMAN_SIZES.get(script, _ROMAN_SIZE_ELSEWHERE):
            for gram in _windows(roman, size):
                yield f"roman:{gram}"
        for size in _SOUND_SIZES:
            for gram in _windows(start + sound_of(word), size):
                yield f"sound:{gram}"


@functools.cache
def romanised(word: str) -> str:
    """`word` in plain Latin letters, lower case."""
    from anyascii import anyascii

    return _NOT_ROMAN.sub("", anyascii(word).lower())


def sound_of(word: str) -> str:
    """The consonants of `word` in classes: `ltmn` for Altman, 알트만, Альтман and ألتمان."""
    return romanised(word).translate(_SOUNDS)


def _windows(text: str, size: int) -> Iterator[str]:
    return (text[i : i + size] for i in range(len(text) - size + 1))
