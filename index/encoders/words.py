"""The words of passages with their vectors, kept from one question to the next: most passages are found again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray, unit_rows

Word = tuple[int, ...]  # its tokens
IntArray = NDArray[np.int64]

_MAX_WORDS = 32_768  # whose vectors are kept; 32 MiB at 256 dimensions
_MAX_PASSAGES = 10_000  # whose words are kept; about 8 MB
_NO_WORD: Word = ()  # of a passage without words; its vector is 0


class PassageWords:
    """What the words of each passage are, and the unit vector of each word; safe for threads."""

    def __init__(
        self, words: Callable[[str], list[Word]], vectors: Callable[[Sequence[Word]], FloatArray], dim: int
    ) -> None:
        """An empty memory.

        Args:
            words: Tells the words of a text.
            vectors: Tells the vector of each word, (n, dim).
            dim: Of the vectors.
        """
        self._words, self._vectors, self._dim = words, vectors, dim
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._numbers: dict[Word, int] = {_NO_WORD: 0}
        self._units: FloatArray = np.zeros((1024, self._dim), dtype=np.float32)
        self._passages: dict[str, IntArray] = {}

    def of(self, passages: Sequence[str]) -> tuple[FloatArray, IntArray, IntArray]:
        """The distinct words of some passages.

        Returns:
            Unit vectors of the distinct words of all of them, (n_words, dim); the rows of each passage's words, one
            passage after the other; and where each passage begins in these, (n_passages,). A passage without
            words has one row of zeros.
        """
        with self._lock:
            if len(self._numbers) > _MAX_WORDS or len(self._passages) > _MAX_PASSAGES:
                self._forget()
            numbers = self._numbers_of(passages)
            flat = np.concatenate(numbers)
            distinct, rows = np.unique(flat, return_inverse=True)
            units = self._units[distinct]
        starts = np.cumsum([0, *(len(own) for own in numbers)])[:-1]
        return units, rows, starts

    def _numbers_of(self, passages: Sequence[str]) -> list[IntArray]:
        unknown = [text for text in dict.fromkeys(passages) if text not in self._passages]
        words = [list(dict.fromkeys(self._words(text))) or [_NO_WORD] for text in unknown]
        new = list(dict.fromkeys(word for own in words for word in own if word not in self._numbers))
        if new:
            self._add(new)
        for text, own in zip(unknown, words, strict=True):
            self._passages[text] = np.fromiter((self._numbers[word] for word in own), np.int64, len(own))
        return [self._passages[text] for text in passages]

    def _add(self, new: Sequence[Word]) -> None:
        first = len(self._numbers)
        if first + len(new) > len(self._units):
            grown = np.zeros((2 * (first + len(new)), self._dim), dtype=np.float32)
            grown[:first] = self._units[:first]
            self._units = grown
        self._units[first : first + len(new)] = unit_rows(self._vectors(new))
        self._numbers.update(zip(new, range(first, first + len(new)), strict=True))
