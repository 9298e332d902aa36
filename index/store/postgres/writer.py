"""Writing an index in PostgreSQL: any number of processes, whose transactions take turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

import numpy as np
from pgvector import HalfVector
from psycopg import errors

from index.encoders.base import Encoder
from index.errors import SettingsMismatch
from index.settings import IndexSettings
from index.store import writing
from index.store.bm25 import TITLE_WEIGHT
from index.store.postgres.address import connected, parsed
from index.store.postgres.hnsw import refresh
from index.store.postgres.schema import PostgresRows, lay_out, prepare
from index.store.rows import Row

# The server counts the terms. A term is 64 bits of its digest, as a term may be longer than an index allows.
_POSTINGS = f"""
INSERT INTO postings (doc, pid, term, frequency, n_terms)
SELECT doc, pid, hashtextextended(word, 0), sum(weight), n_terms FROM (
    SELECT doc, pid, n_terms, word, 1::real AS weight FROM terms, string_to_table(body, ' ') word WHERE doc IN ?
    UNION ALL
    SELECT doc, pid, n_terms, word, {TITLE_WEIGHT}::real FROM terms, string_to_table(title, ' ') word WHERE doc IN ?
) held WHERE word != '' GROUP BY 1, 2, 3, 5
"""


class Writer(writing.Writer, PostgresRows):
    """A process that changes an index; others may write between its transactions."""

    def __init__(
        self, address: str, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`."""
        self.address = parsed(address)
        super().__init__(self.address.shown, encoder, settings, adopt=adopt)

    def __enter__(self) -> Self:
        """Connect, and create the tables where there are none.

        Raises:
            FormatTooNew, SettingsMismatch, StoreError: See `index.errors`.
        """
        self.connection = connected(self.address)
        try:
            with self.translated():
                lay_out(self.connection, self.address)
                prepare(self.connection, self.address)
            self._settle()
            with self.transaction():  # which a replica refuses
                pass
        except BaseException:
            self.connection.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written in the block; other writers wait for its end.

        Raises:
            SettingsMismatch: The index was given other settings since this writer was opened.
        """
        with self.translated(), self.connection.transaction():
            self.rows("SELECT 1 FROM meta WHERE key = 'format' FOR UPDATE")
            now = self.rows("SELECT value FROM meta WHERE key = 'settings_key'")
            if self.meta() and now != [(self.settings_key,)]:
                found = f"the settings of {self._place} were changed during this ingest"
                raise SettingsMismatch(found, "the settings that this ingest began with", "run the same command again")
            yield

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        """See `index.store.writing.Writer`."""
        added = list(rows)
        if table == "vectors":
            added = [(*row[:3], HalfVector(np.frombuffer(row[3], "<f2"))) for row in added]
        with self.connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            for row in added:
                copy.write_row(row)
        if table == "terms":
            docs = list({row[1] for row in added})
            self.rows(_POSTINGS, docs, docs)

    def clear_terms(self) -> None:
        """See `index.store.writing.Writer`."""
        for table in ("terms", "postings", "names"):
            self.rows(f"DELETE FROM {table}")

    def refresh_vectors(self, force: bool = False) -> bool:
        """Create an HNSW index for each language that needs one, or all again; returns whether any was created."""
        with self.translated():
            created = refresh(self.connection, int(self.meta()["dim"]), force)
            if created:
                with self.transaction():
                    self.next_generation()
                with suppress(errors.InsufficientPrivilege):
                    self.connection.execute(f"VACUUM (ANALYZE, SKIP_LOCKED) documents, {', '.join(self.tables)}")
        return created
