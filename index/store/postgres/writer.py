"""Writing an index in PostgreSQL: any number of processes at once, one transaction a call."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

from pgvector import HalfVector
from psycopg import errors

from index.encoders.base import Encoder
from index.errors import SettingsMismatch
from index.settings import IndexSettings
from index.store import writing
from index.store.base import EncodedDocument, FileRecord
from index.store.bm25 import TITLE_WEIGHT
from index.store.postgres.address import connected, parsed, translated
from index.store.postgres.hnsw import refresh
from index.store.postgres.schema import WRONG_POSTINGS, PostgresRows, lay_out, prepare
from index.store.rows import Row, SqlValue, alias_rows, document_row, folded, rows_of

_MANY_PASSAGES = 2_000  # written by one writer: then the server's statistics are brought up to date
_COPIED = {  # columns and their types
    "passages": (
        'pid, doc, ordinal, start, "end", language, section, sentences, n_terms, terms, words',
        ["int8", "int8", *["int4"] * 3, "text", "text", "bytea", "int4", "text", "bytea"],
    ),
    "vectors": ("pid, doc, language, embedding", ["int8", "int8", "text", "halfvec"]),
    "names": ("key, form, doc", ["text", "text", "int8"]),
    "aliases": ("doc, key, name, other, confidence", ["int8", "text", "text", "text", "float8"]),
}
# The server counts the terms. A term is 64 bits of its digest, as a term may be longer than an index allows.
_POSTINGS = f"""
INSERT INTO postings (doc, pid, term, frequency, n_terms)
SELECT doc, pid, hashtextextended(word, 0), sum(weight), n_terms FROM (
    SELECT p.doc, p.pid, p.n_terms, word, 1::real AS weight
    FROM passages p, string_to_table(p.terms, ' ') word WHERE p.doc IN ?
    UNION ALL
    SELECT p.doc, p.pid, p.n_terms, word, {TITLE_WEIGHT}::real
    FROM passages p JOIN documents d USING (doc), string_to_table(d.title_terms, ' ') word WHERE p.doc IN ?
) held WHERE word != '' GROUP BY 1, 2, 3, 5
"""


class Writer(PostgresRows, writing.Writer):
    """A process that changes an index; others may write at the same time.

    Invariant: a location has one version.
    """

    lock = "FOR UPDATE"

    def __init__(
        self, address: str, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`."""
        self._address = parsed(address)
        super().__init__(self._address.shown, encoder, settings, adopt=adopt)
        self._n_written = 0  # passages

    def __enter__(self) -> Self:
        """Connect, and create the tables where there are none.

        Raises:
            FormatTooNew, SettingsMismatch, StoreError: See `index.errors`.
        """
        self.connection = connected(self._address)
        try:
            with translated(self._address):
                lay_out(self.connection, self._address)
                prepare(self.connection, self._address)
                self._settle(token=uuid.uuid4().hex)
                self._check_settings_key()  # which a replica refuses
        except BaseException:
            self.connection.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def rows(self, query: str, *values: SqlValue) -> list[Row]:
        """Run a statement; the rows that it gives."""
        with translated(self._address):
            return super().rows(query, *values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written in the block."""
        with translated(self._address), self.connection.transaction():
            yield

    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files in one durable transaction; older versions go.

        Raises:
            StoreFull: The disk is full; nothing of this call is kept, all before it is.
            SettingsMismatch: The index was given other settings since this writer was opened.
        """
        latest = {_doc_of(item.document.location): item for item in documents}  # of two versions, the later one
        with self.transaction():
            if latest:
                self._check_settings_key()
                self._store(latest)
            log = [
                (_doc_of(f.location), f.location, f.source, f.digest, f.settings_key, f.status, f.reason) for f in files
            ]
            self.connection.cursor().executemany(
                "INSERT INTO files VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (doc) DO UPDATE SET"
                " source = EXCLUDED.source, digest = EXCLUDED.digest, settings_key = EXCLUDED.settings_key,"
                " status = EXCLUDED.status, reason = EXCLUDED.reason",
                sorted(log),
            )
            if latest:
                self.next_generation()

    def _check_settings_key(self) -> None:
        if self.rows("SELECT value FROM meta WHERE key = 'settings_key' FOR SHARE") != [(self.settings_key,)]:
            found = f"the settings of {self._place} were changed during this ingest"
            raise SettingsMismatch(found, "the settings that this ingest began with", "run the same command again")

    def _store(self, documents: Mapping[int, EncodedDocument]) -> None:
        """Write documents, by the number of their location, over older versions."""
        copied: dict[str, list[Row]] = {table: [] for table in _COPIED}
        now, rows = time.time_ns() // 1000, []
        for position, (doc, item) in enumerate(documents.items(), now):
            passages = rows_of(item, self.packed_vector)
            n_title, tags = len(item.title_terms.split()), list(item.document.metadata.tags)
            own = {"tags": tags, "folded_tags": [folded(tag) for tag in tags], "title_terms": item.title_terms}
            rows.append({"doc": doc, "position": position, **own, **document_row(item, self.settings_key, passages)})
            for row, vector, terms in zip(passages, item.vectors, item.terms, strict=True):
                pid = self._pid(item, row.ordinal)
                n_terms = n_title + len(terms.split())
                copied["passages"].append((pid, doc, *row[:6], n_terms, terms, row.words))
                copied["vectors"].append((pid, doc, row.language, HalfVector(vector)))
            names = (entry.partition(":") for entry in dict.fromkeys(item.sounds.split()))
            copied["names"] += [(key, form, doc) for key, _, form in names]
            copied["aliases"] += alias_rows(doc, item.aliases)
        self._n_written += len(copied["passages"])
        self._insert_documents(sorted(rows, key=lambda row: row["doc"]))
        self._remove_rows(list(documents))
        for table, (columns, types) in _COPIED.items():
            with self.connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(types)
                for one in copied[table]:
                    copy.write_row(one)
        self.rows(_POSTINGS, list(documents), list(documents))

    def _insert_documents(self, rows: Sequence[dict[str, Any]]) -> None:
        """Every writer locks the rows of documents in the same order: that of `rows`."""
        names = list(rows[0])
        self.connection.cursor().executemany(
            f"INSERT INTO documents ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
            f" ON CONFLICT (doc) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in names[1:])}",
            [list(row.values()) for row in rows],
        )

    def _pid(self, item: EncodedDocument, ordinal: int) -> int:
        """63 bits of a digest: the same for the same text chunked in the same way, never for another passage."""
        name = f"{item.document.doc_id} {self.settings_key} {ordinal}"
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1

    def rebuild_terms(self) -> None:
        """Write the postings of documents that have wrong ones again, inside a transaction."""
        docs = [doc for (doc,) in self.rows(WRONG_POSTINGS)]
        self.rows("DELETE FROM postings WHERE doc IN ?", docs)
        self.rows(_POSTINGS, docs, docs)

    def refresh_vectors(self, force: bool = False) -> bool:
        """Create an HNSW index for each language that needs one, or all again; returns whether any was created."""
        with translated(self._address):
            created = refresh(self.connection, int(self.meta()["dim"]), force)
            if created:
                with self.transaction():
                    self.next_generation()
            if created or self._n_written >= _MANY_PASSAGES:
                self._n_written = 0
                with suppress(errors.InsufficientPrivilege):
                    self.connection.execute(f"VACUUM (ANALYZE, SKIP_LOCKED) documents, {', '.join(self.tables)}")
        return created

    def next_generation(self) -> None:
        """Make readers look again; the last statement of a transaction, as writers wait for each other here.

        The token differs where a number comes twice: a replica without the last writes may become the primary.
        """
        self.rows(
            "UPDATE meta SET value = CASE key WHEN 'generation' THEN (value::bigint + 1)::text ELSE ? END"
            " WHERE key IN ('generation', 'token')",
            uuid.uuid4().hex,
        )


def _doc_of(location: str) -> int:
    """The number of a location: 64 bits of its digest."""
    return int.from_bytes(hashlib.sha256(location.encode()).digest()[:8], "big", signed=True)
