"""The words of passages as they are stored, and the comparison of a question's words with them (MaxSim).

A cosine of two words is one of sums of token vectors, and a product with a sum is the sum of the products: only the
products of the question with each distinct token are calculated, and each word's length is stored with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.encoders.tokenize import Word

IntArray = NDArray[np.int64]

MAX_WORD = 255  # tokens of a word; what is longer is encoded data
_HEAD, _SCALE, _TOKEN = 4, 2, 3  # bytes


def packed(passages: Sequence[Sequence[Word]], scale_of: Mapping[Word, float]) -> list[bytes]:
    """The distinct words of each passage as bytes, each word of at most `MAX_WORD` tokens.

    Little-endian: their number (uint32), the number of tokens (uint8) and the scale (float16) of each, and all
    tokens (24 bits). The scale is 1 over the length of a word's vector, 0 for a vector of 0.
    """
    return [
        len(words).to_bytes(_HEAD, "little")
        + bytes(map(len, words))
        + np.array([scale_of[word] for word in words], "<f2").tobytes()
        + np.array(list(chain.from_iterable(words)), "<u4").view("u1").reshape(-1, 4)[:, :_TOKEN].tobytes()
        for words in passages
    ]


def is_sound(packed_words: bytes) -> bool:
    """Whether the bytes are as long as they say."""
    n = int.from_bytes(packed_words[:_HEAD], "little")
    n_tokens = packed_words[_HEAD : _HEAD + n]
    return len(packed_words) >= _HEAD and len(packed_words) == _HEAD + (1 + _SCALE) * n + _TOKEN * sum(n_tokens)


def best_cosines(
    passages: Sequence[bytes], products: Callable[[IntArray], FloatArray], n_vocabulary: int
) -> FloatArray:
    """The greatest cosine of each query with a word of each passage; 0 where a passage has no words.

    Args:
        passages: As `packed` gives them.
        products: Gives the products of distinct tokens with unit vectors of queries, (n_tokens, n_queries).
        n_vocabulary: Number of tokens that there are.

    Returns:
        (n_passages, n_queries).
    """
    sizes = np.array([int.from_bytes(own[:_HEAD], "little") for own in passages])
    after = [(_HEAD + n, _HEAD + (1 + _SCALE) * n) for n in sizes.tolist()]
    n_tokens = np.frombuffer(b"".join(own[_HEAD:a] for own, (a, _) in zip(passages, after, strict=True)), "<u1")
    scales = np.frombuffer(b"".join(own[a:b] for own, (a, b) in zip(passages, after, strict=True)), "<f2")
    octets = np.frombuffer(b"".join(own[b:] for own, (_, b) in zip(passages, after, strict=True)), "u1")
    low, middle, high = octets.reshape(-1, _TOKEN).astype(np.int32).T
    tokens = np.minimum(low | middle << 8 | high << 16, n_vocabulary - 1)  # a damaged one may be more

    distinct, places = np.unique(tokens, return_inverse=True)
    of_tokens = products(distinct)
    best = np.zeros((len(passages), of_tokens.shape[1]), dtype=np.float32)
    filled = np.flatnonzero(sizes)
    if len(filled):
        of_words = np.add.reduceat(of_tokens.take(places, axis=0), np.cumsum(n_tokens, dtype=int) - n_tokens, axis=0)
        of_words *= np.nan_to_num(scales, posinf=0, neginf=0)[:, None]  # a damaged one may be anything
        best[filled] = np.maximum.reduceat(of_words, (np.cumsum(sizes) - sizes)[filled], axis=0)
    return np.clip(best, -1, 1)
