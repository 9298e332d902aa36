"""The vectors of a store, read in bounded pieces."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import numpy as np

from index.encoders.base import HalfArray
from index.store.sqlite.schema import all_current

_AT_ONCE = 2_000  # passages


class Rows:
    """Vectors of live passages in pid order, read as often as wanted."""

    def __init__(self, connection: sqlite3.Connection, dim: int, settings_key: str, after: int = 0) -> None:
        self._connection, self._dim, self._after = connection, dim, after
        self._passages, self._current = "passages p", "1"
        self._key: tuple[str, ...] = ()
        if not all_current(connection, settings_key):
            self._passages += " JOIN documents d USING (doc_pk)"
            self._current, self._key = "d.settings_key = ?", (settings_key,)

    def sizes(self) -> dict[str, int]:
        """Number of vectors of each language."""
        after, values = ("p.pid > ? AND", (self._after,)) if self._after else ("", ())
        language = "+p.language" if self._after else "p.language"  # of what came last, not by the index of all
        return dict(
            self._connection.execute(
                f"SELECT p.language, sum(p.n_vectors) FROM {self._passages}"
                f" WHERE {after} {self._current} GROUP BY {language}",
                (*values, *self._key),
            )
        )

    def __iter__(self) -> Iterator[tuple[int, str, HalfArray]]:
        yield from self._read("p.pid > ?", self._after)

    def _read(self, condition: str, value: int | str) -> Iterator[tuple[int, str, HalfArray]]:
        cursor = self._connection.execute(
            f"SELECT p.pid, p.language, p.vectors FROM {self._passages}"
            f" WHERE {condition} AND {self._current} ORDER BY p.pid",
            (value, *self._key),
        )
        while rows := cursor.fetchmany(_AT_ONCE):
            for pid, language, blob in rows:
                yield pid, language, np.frombuffer(blob, dtype=np.float16).reshape(-1, self._dim)


class Sample:
    """Every so many-th row, read by its pid: the others are not read over."""

    def __init__(self, rows: Rows, max_pid: int, n_passages: int) -> None:
        """At most about `n_passages` rows of those up to `max_pid`."""
        self._rows = rows
        self._pids = range(1, max_pid + 1, max(1, max_pid // n_passages))

    def __iter__(self) -> Iterator[tuple[int, str, HalfArray]]:
        for start in range(0, len(self._pids), _AT_ONCE):
            some = list(self._pids[start : start + _AT_ONCE])
            yield from self._rows._read("p.pid IN (SELECT value FROM json_each(?))", json.dumps(some))
