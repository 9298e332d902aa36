"""The words of a passage in the form in which they are stored, and how well they meet the words of a question.

What a word weighs against another is a cosine of sums of token vectors. A product with a sum is the sum of the
products, so that the products of the question with each distinct token are all that is calculated of vectors,
and the length of each word's vector is stored with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray

Word = tuple[int, ...]  # its tokens
IntArray = NDArray[np.int64]

MAX_WORD = 255  # tokens of a word; what is longer is encoded data
_HEAD = 4  # bytes


def packed(passages: Sequence[Sequence[Word]], scale_of: Mapping[Word, float]) -> list[bytes]:
    """The distinct words of each passage as bytes, each word of at most `MAX_WORD` tokens.

    Little-endian: their number (uint32), the number of tokens (uint8) and the scale (float32) of each, and all
    tokens (uint32). The scale is 1 over the length of a word's vector, 0 for a vector of 0.
    """
    words = list(chain.from_iterable(passages))
    n_tokens = np.fromiter(map(len, words), "<u1", len(words))
    scales = np.fromiter(map(scale_of.__getitem__, words), "<f4", len(words)).tobytes()
    tokens = np.fromiter(chain.from_iterable(words), "<u4").tobytes()
    sizes = list(map(len, passages))
    ends = list(accumulate(sizes, initial=0))
    before = np.concatenate([[0], np.cumsum(n_tokens, dtype=np.int64)])[ends].tolist()
    lengths = n_tokens.tobytes()
    return [
        b"".join(
            (
                sizes[i].to_bytes(_HEAD, "little"),
                lengths[ends[i] : ends[i + 1]],
                scales[4 * ends[i] : 4 * ends[i + 1]],
                tokens[4 * before[i] : 4 * before[i + 1]],
            )
        )
        for i in range(len(sizes))
    ]


def is_sound(packed_words: bytes) -> bool:
    """Whether the bytes are as long as they say."""
    n = int.from_bytes(packed_words[:_HEAD], "little")
    n_tokens = packed_words[_HEAD : _HEAD + n]
    return len(packed_words) >= _HEAD and len(packed_words) == _HEAD + 5 * n + 4 * sum(n_tokens)


class Words:
    """The words of several passages, unpacked."""

    def __init__(self, passages: Sequence[bytes]) -> None:
        """`passages` as `packed` gives them."""
        sizes = [int.from_bytes(own[:_HEAD], "little") for own in passages]
        after = [(_HEAD + n, _HEAD + 5 * n) for n in sizes]
        n_tokens = b"".join(own[_HEAD:end] for own, (end, _) in zip(passages, after, strict=True))
        scales = b"".join(own[start:end] for own, (start, end) in zip(passages, after, strict=True))
        tokens = b"".join(own[start:] for own, (_, start) in zip(passages, after, strict=True))
        self._starts = np.fromiter(accumulate(sizes, initial=0), np.int64, len(sizes) + 1)
        self._n_tokens = np.frombuffer(n_tokens, dtype="<u1")
        self._scales = np.frombuffer(scales, dtype="<f4")
        self._tokens = np.frombuffer(tokens, dtype="<u4")

    def best(self, products: Callable[[IntArray], FloatArray], n_vocabulary: int) -> FloatArray:
        """The greatest cosine of each query with a word of each passage; 0 where a passage has no words.

        Args:
            products: Tells the products of distinct tokens with unit vectors of queries, (n_tokens, n_queries).
            n_vocabulary: Number of tokens that there are.

        Returns:
            (n_passages, n_queries).
        """
        held = np.zeros(n_vocabulary, dtype=bool)
        held[self._tokens] = True
        distinct = np.flatnonzero(held)
        place = np.empty(n_vocabulary, dtype=np.int32)
        place[distinct] = np.arange(len(distinct), dtype=np.int32)
        of_tokens, places = products(distinct), place[self._tokens]
        ends = np.cumsum(self._n_tokens, dtype=np.int64)
        starts = ends - self._n_tokens
        cosines = of_tokens.take(places[starts], axis=0)
        # One token more of every word that has so many: a word has one to three, seldom more.
        more = np.flatnonzero(self._n_tokens > 1)
        n = 1
        while len(more):
            cosines[more] += of_tokens.take(places[starts[more] + n], axis=0)
            n += 1
            more = more[self._n_tokens[more] > n]
        cosines *= self._scales[:, None]
        best = np.zeros((len(self._starts) - 1, of_tokens.shape[1]), dtype=np.float32)
        filled = np.flatnonzero(np.diff(self._starts))
        if len(filled):
            best[filled] = np.maximum.reduceat(cosines, self._starts[filled], axis=0)
        return best
