"""The lexical index in PostgreSQL: one row for each term of each passage, and the indexes by which it is searched."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import suppress
from functools import lru_cache

import numpy as np
from psycopg import errors

from index.store.bm25 import TITLE_WEIGHT
from index.store.postgres.address import Address, Connection
from index.store.postgres.connections import use_memory
from index.store.postgres.schema import POSTINGS_INDEXES, lock_number


@lru_cache(maxsize=1 << 18)
def term_key(term: str) -> int:
    """64 bits of the digest of a term."""
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big", signed=True)


def frequencies(body: str, title: str) -> tuple[dict[str, float], int]:
    """How often a passage holds each term, those of its title by their weight; and how many terms it has in all."""
    words, above = body.split(), title.split()
    counted: dict[str, float] = dict(Counter(words))
    for word, n in Counter(above).items():
        counted[word] = counted.get(word, 0.0) + TITLE_WEIGHT * n
    return counted, len(words) + len(above)


_ROW = np.dtype(
    [("n", ">i2"), ("a", ">i4"), ("doc", ">i8"), ("b", ">i4"), ("pid", ">i8"), ("c", ">i4"), ("term", ">i8"),
     ("d", ">i4"), ("frequency", ">f4"), ("e", ">i4"), ("length", ">i4")]
)  # fmt: skip


class PostingRows:
    """The rows of some passages."""

    def __init__(self) -> None:
        self._passages: list[tuple[int, int, int, int]] = []
        self._terms: list[int] = []
        self._frequencies: list[float] = []

    def add(self, number: int, pid: int, counted: dict[str, float], length: int) -> None:
        """Those of a passage of document `number`, by what `frequencies` counts."""
        self._passages.append((len(counted), number, pid, length))
        self._terms += map(term_key, counted)
        self._frequencies += counted.values()

    def as_bytes(self) -> bytes:
        """All as COPY takes them."""
        table = np.zeros(len(self._terms), _ROW)
        table["n"], table["a"], table["b"], table["c"], table["d"], table["e"] = 5, 8, 8, 8, 4, 4
        sizes, *columns = np.array(self._passages, np.int64).reshape(-1, 4).T
        for name, values in zip(("doc", "pid", "length"), columns, strict=True):
            table[name] = np.repeat(values, sizes)
        table["term"], table["frequency"] = self._terms, self._frequencies
        return table.tobytes()


def lacking(connection: Connection) -> list[str]:
    """The indexes that are not there: none has been made yet in an index that is being filled for the first time."""
    rows = connection.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'postings'"
    )
    there = {name for (name,) in rows}
    return [name for name in POSTINGS_INDEXES if name not in there]


def build(connection: Connection, address: Address) -> bool:
    """Make the indexes that are not there, in one transaction; whether any was made.

    Readers go on meanwhile, other writers wait. Who may not make any does without: searches are slower.
    """
    if not lacking(connection):
        return False
    with suppress(errors.InsufficientPrivilege), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(address, "postings"),))
        row = connection.execute("SELECT pg_table_size('postings')").fetchone()
        use_memory(connection, row[0] if row else 0)
        names = lacking(connection)
        for name in names:
            connection.execute(f"CREATE INDEX {name} ON postings {POSTINGS_INDEXES[name]}")
        return bool(names)
    return False
