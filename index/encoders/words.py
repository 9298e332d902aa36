"""The words of passages with their vectors, kept from one question to the next: most passages are found again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray, unit_rows

Word = tuple[int, ...]  # its tokens
IntArray = NDArray[np.int64]

_MAX_VECTORS = 65_536  # of words; 64 MiB at 256 dimensions
_MAX_WORDS = 200_000  # that have a number; about 40 MB
_MAX_PASSAGES = 10_000  # whose words are known; about 8 MB
_NO_WORD: Word = ()  # of a passage without words; its vector is 0


class PassageWords:
    """What the words of each passage are, and the unit vector of each word; safe for threads.

    A word has a number for as long as passages are remembered, and a vector while it is used.
    """

    def __init__(
        self, words: Callable[[str], list[Word]], vectors: Callable[[Sequence[Word]], FloatArray], dim: int
    ) -> None:
        """An empty memory.

        Args:
            words: Tells the words of a text.
            vectors: Tells the vector of each word, (n, dim).
            dim: Of the vectors.
        """
        self._words_of, self._vectors_of, self._dim = words, vectors, dim
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._passages: dict[str, IntArray] = {}  # numbers of the words of each
        self._numbers: dict[Word, int] = {}
        self._words: list[Word] = []  # by number
        self._row = np.full(1024, -1, dtype=np.int64)  # of a number's vector; -1 where it is not held
        self._hold(0)

    def _hold(self, n: int) -> None:
        """Make room for `n` vectors, of which none is there."""
        self._units: FloatArray = np.zeros((n, self._dim), dtype=np.float32)
        self._number = np.zeros(n, dtype=np.int64)  # of each row
        self._used = np.zeros(n, dtype=np.int64)  # when each row was wanted last
        self._n_rows = self._now = 0

    def of(self, passages: Sequence[str]) -> tuple[FloatArray, IntArray, IntArray]:
        """The distinct words of some passages.

        Returns:
            Unit vectors of the distinct words of all of them, (n_words, dim); the rows of each passage's words, one
            passage after the other; and where each passage begins in these, (n_passages,). A passage without
            words has one row of zeros.
        """
        with self._lock:
            if len(self._words) > _MAX_WORDS or len(self._passages) > _MAX_PASSAGES:
                self._forget()
            numbers = self._numbers_of(passages)
            distinct, places = np.unique(np.concatenate(numbers), return_inverse=True)
            rows = self._rows_of(distinct)  # which may make a new table
            units = self._units[rows]
        starts = np.cumsum([0, *(len(own) for own in numbers)])[:-1]
        return units, places, starts

    def _numbers_of(self, passages: Sequence[str]) -> list[IntArray]:
        for text in passages:
            if text not in self._passages:
                own = list(dict.fromkeys(self._words_of(text))) or [_NO_WORD]
                self._passages[text] = np.fromiter(map(self._number_of, own), np.int64, len(own))
        return [self._passages[text] for text in passages]

    def _number_of(self, word: Word) -> int:
        number = self._numbers.get(word)
        if number is None:
            number = self._numbers[word] = len(self._words)
            self._words.append(word)
            if number >= len(self._row):
                self._row = np.concatenate([self._row, np.full(len(self._row), -1, dtype=np.int64)])
        return number

    def _rows_of(self, numbers: IntArray) -> IntArray:
        """The rows of these distinct numbers, which are held from now on."""
        self._now += 1
        held = self._row[numbers]
        self._used[held[held >= 0]] = self._now
        missing = numbers[held < 0]
        if len(missing):
            if self._n_rows + len(missing) > len(self._units):
                self._make_room(len(numbers), len(missing))
            rows = np.arange(self._n_rows, self._n_rows + len(missing))
            words = [self._words[number] for number in missing]
            self._units[rows] = unit_rows(self._vectors_of(words))
            self._row[missing], self._number[rows], self._used[rows] = rows, missing, self._now
            self._n_rows += len(missing)
        return self._row[numbers]

    def _make_room(self, n_wanted: int, n_missing: int) -> None:
        """Grow, or where there are enough vectors, keep those that were wanted last."""
        size = max(1024, 2 * (self._n_rows + n_missing))
        n_kept = self._n_rows
        if size > _MAX_VECTORS:
            size = max(_MAX_VECTORS, n_wanted)
            n_kept = min(self._n_rows, max(_MAX_VECTORS // 2, n_wanted - n_missing), size - n_missing)
        kept = np.argsort(-self._used[: self._n_rows], kind="stable")[:n_kept]
        units, numbers, used, now = self._units[kept], self._number[kept], self._used[kept], self._now
        self._row[self._number[: self._n_rows]] = -1
        self._hold(size)
        self._units[:n_kept], self._number[:n_kept], self._used[:n_kept] = units, numbers, used
        self._row[numbers] = np.arange(n_kept)
        self._n_rows, self._now = n_kept, now
