"""What an encoder is to this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

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

    def encode_sentences(self, passages: Sequence[Sequence[str]]) -> FloatArray:
        """Vectors of passages, each given as its sentences, (n, dim), rows of unit L2 norm."""
        ...


@runtime_checkable
class LateInteraction(Protocol):
    """An encoder that can also compare texts word by word."""

    def packed_words(self, passages: Sequence[Sequence[str]]) -> list[bytes]:
        """All that `max_sim` needs of each passage, given as its sentences; never empty. It is stored with it."""
        ...

    def max_sim(self, query: str, passages: Sequence[bytes]) -> FloatArray:
        """How well the words of the query are met in each passage, as `packed_words` gives it, (passages,), in [-1, 1].

        The weighted mean, over the words of the query, of the greatest cosine with a word of the passage (MaxSim,
        Khattab & Zaharia 2020): unlike one vector a passage, it is not diluted by what else a long passage says.
        0 for a query or a passage without known words.
        """
        ...


def unit_rows(vectors: NDArray[np.floating]) -> FloatArray:
    """`vectors` as float32 with rows of unit L2 norm; a zero row stays zero."""
    out = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(out, axis=1, keepdims=True)
    # FAISS does not check the norm, and a wrong one changes the ranking without an error.
    return (out / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
