"""The words of passages with their vectors, kept from one question to the next: most passages are found again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray

Key = TypeVar("Key", bound=Hashable)
Word = tuple[int, ...]  # its tokens
IntArray = NDArray[np.int64]

_MAX_VECTORS = 131_072  # of words; 64 MiB at 256 dimensions
_MAX_WORDS = 400_000  # that have a number; about 80 MB
_MAX_PLACES = 8_000_000  # words of passages; about 40 MB
_ROWS_AT_ONCE = 256  # vectors that stay in a core's own cache
_GREATEST = 32_767  # the greatest part of a vector as integers
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
        self._passages: dict[Hashable, dict[Hashable, NDArray[np.int32]]] = {}  # by store: numbers of the words of each
        self._n_places = 0
        self._numbers: dict[Word, int] = {}
        self._words: list[Word] = []  # by number
        self._row = np.full(1024, -1, dtype=np.int64)  # of a number's vector; -1 where it is not held
        self._hold(0)

    def _hold(self, n: int) -> None:
        """Make room for `n` vectors, of which none is there."""
        # A row that has been written does not change: whoever has this table may read it without the lock.
        self._units = np.zeros((n, self._dim), dtype=np.int16)  # of any length: half as large as float32 and as quick
        self._scale = np.zeros(n, dtype=np.float32)  # what makes it 1; 0 for a vector of 0
        self._number = np.zeros(n, dtype=np.int64)  # of each row
        self._used = np.zeros(n, dtype=np.int64)  # when each row was wanted last
        self._n_rows = self._now = 0

    def best(
        self,
        queries: FloatArray,
        store: Hashable,
        keys: Sequence[Key],
        texts: Callable[[Sequence[Key]], Mapping[Key, str]],
    ) -> FloatArray:
        """The greatest cosine of each query with a word of each passage; 0 where a passage has no words.

        Args:
            queries: Unit vectors, (n_queries, dim).
            store: What `keys` are of: a key of a store means one text for ever.
            keys: Of the passages, at least one.
            texts: Tells the texts of passages that are not remembered.

        Returns:
            (n_passages, n_queries).
        """
        with self._lock:
            numbers = self._numbers_of(store, keys, texts)
            flat = np.concatenate(numbers)
            wanted = np.zeros(len(self._words), dtype=bool)
            wanted[flat] = True
            distinct = np.flatnonzero(wanted)
            rows = self._rows_of(distinct)  # which may make a new table
            units, scale = self._units, self._scale
        place = np.empty(len(wanted), dtype=np.int32)
        place[distinct] = np.arange(len(distinct))
        starts = np.cumsum([0, *map(len, numbers[:-1])])
        cosines = _products(units, rows, queries) * scale[rows, None]
        best: FloatArray = np.maximum.reduceat(cosines.take(place[flat], axis=0), starts, axis=0)
        return best

    def _numbers_of(
        self, store: Hashable, keys: Sequence[Key], texts: Callable[[Sequence[Key]], Mapping[Key, str]]
    ) -> list[NDArray[np.int32]]:
        if len(self._words) > _MAX_WORDS or self._n_places > _MAX_PLACES:
            self._forget()
        known = self._passages.setdefault(store, {})
        missing = [key for key in keys if key not in known]
        for key, text in texts(missing).items() if missing else ():
            own = list(dict.fromkeys(self._words_of(text))) or [_NO_WORD]
            known[key] = np.fromiter(map(self._number_of, own), np.int32, len(own))
            self._n_places += len(own)
        return [known[key] for key in keys]

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
            vectors = self._vectors_of(words)
            greatest = np.abs(vectors).max(axis=1, keepdims=True)
            whole = np.rint(vectors * np.divide(_GREATEST, greatest, out=np.zeros_like(greatest), where=greatest > 0))
            self._units[rows] = whole
            norms = np.linalg.norm(whole, axis=1)
            self._scale[rows] = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
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
        units, scale, numbers = self._units[kept], self._scale[kept], self._number[kept]
        used, now = self._used[kept], self._now
        self._row[self._number[: self._n_rows]] = -1
        self._hold(size)
        self._units[:n_kept], self._scale[:n_kept] = units, scale
        self._number[:n_kept], self._used[:n_kept] = numbers, used
        self._row[numbers] = np.arange(n_kept)
        self._n_rows, self._now = n_kept, now


def _products(units: NDArray[np.int16], rows: IntArray, queries: FloatArray) -> FloatArray:
    """The products of some rows of a table with every query, (n_rows, n_queries)."""
    single = np.empty((_ROWS_AT_ONCE, queries.shape[1]), dtype=np.float32)
    turned = np.ascontiguousarray(queries.T)
    out = np.empty((len(rows), len(queries)), dtype=np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        np.copyto(single[: len(some)], units[some])
        np.dot(single[: len(some)], turned, out=out[start : start + len(some)])
    return out
