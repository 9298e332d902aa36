"""What an encoder is to this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from index.settings import Parts

FloatArray = NDArray[np.float32]
HalfArray = NDArray[np.float16]


@runtime_checkable
class Encoder(Protocol):
    """Turns text into vectors of unit length, so that a dot product is a cosine.

    `languages` are primary subtags that it was trained on, empty where unknown;
    `max_tokens` is the longest input it does not truncate, None where there is no limit;
    `fingerprint` changes whenever the vectors would.
    """

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def languages(self) -> frozenset[str]: ...
    @property
    def max_tokens(self) -> int | None: ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of this encoder's tokens in each text, special tokens not counted."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of questions, (n, dim), rows of unit L2 norm."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of passages, (n, dim), rows of unit L2 norm."""
        ...

    def encode_parts(self, passages: Sequence[Sequence[str]], parts: Parts) -> list[FloatArray]:
        """Vectors of each passage, given as its sentences: the whole first, then its parts.

        Returns one (n_parts, dim) array a passage; `part_ranges` says what each row is.
        """
        ...


@runtime_checkable
class LateInteraction(Protocol):
    """An encoder that can also compare texts word by word."""

    def max_sim(self, queries: Sequence[str], passages: Sequence[str]) -> FloatArray:
        """How well the words of each query are met in each passage, (queries, passages), in [-1, 1].

        The weighted mean, over the words of the query, of the greatest cosine with a word of the
        passage (MaxSim, Khattab & Zaharia 2020): unlike one vector a passage, it is not diluted by
        what else a long passage says. 0 for a query or a passage without known words.
        """
        ...

    def packed_words(self, passages: Sequence[Sequence[str]]) -> list[bytes]:
        """All that `max_sim` needs of each passage, given as its sentences; never empty. It is stored with it."""
        ...

    def max_sim_packed(self, query: str, passages: Sequence[bytes]) -> FloatArray:
        """`max_sim` of one query with passages as `packed_words` gives them, (passages,)."""
        ...


def part_ranges(n_sentences: int, parts: Parts) -> list[tuple[int, int]]:
    """(first, last + 1) sentence of each vector of a passage, the whole first.

    A part that equals the whole is left out: a passage of one sentence has one vector.
    """
    ranges = [(0, n_sentences)]
    if parts is not Parts.WHOLE and n_sentences > 1:
        ranges += [(i, i + 1) for i in range(n_sentences)]
        if parts is Parts.PAIRS and n_sentences > 2:
            ranges += [(i, i + 2) for i in range(n_sentences - 1)]
    return ranges


def encode_parts_as_texts(encoder: Encoder, passages: Sequence[Sequence[str]], parts: Parts) -> list[FloatArray]:
    """`encode_parts` for any encoder: each part as a text of its own."""
    texts: list[str] = []
    sizes: list[int] = []
    for sentences in passages:
        ranges = part_ranges(len(sentences), parts)
        texts.extend(" ".join(sentences[first:last]) for first, last in ranges)
        sizes.append(len(ranges))
    vectors = encoder.encode_passages(texts)
    return np.split(vectors, np.cumsum(sizes)[:-1]) if sizes else []


def unit_rows(vectors: NDArray[np.floating]) -> FloatArray:
    """`vectors` as float32 with rows of unit L2 norm; a zero row stays zero."""
    out = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(out, axis=1, keepdims=True)
    # FAISS does not check the norm, and a wrong one changes the ranking without an error.
    divided: FloatArray = np.divide(out, norms, out=np.zeros_like(out), where=norms > 0)
    return divided
