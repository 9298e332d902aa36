"""What an encoder is to this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
HalfArray = NDArray[np.float16]


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

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of questions, (n, dim), rows of unit L2 norm."""

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of passages, (n, dim), rows of unit L2 norm."""

    def encode_sentences(self, passages: Sequence[Sequence[str]]) -> FloatArray:
        """Vectors of passages, each given as its sentences, (n, dim), rows of unit L2 norm."""


def unit_rows(vectors: NDArray[np.floating]) -> FloatArray:
    """`vectors` as float32 with rows of unit L2 norm; a zero row stays zero."""
    out = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(out, axis=1, keepdims=True)
    # FAISS does not check the norm, and a wrong one changes the ranking without an error.
    return (out / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
