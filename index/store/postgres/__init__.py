"""The backend in PostgreSQL with pgvector: many servers and many writers, and replicas; psycopg is the one client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from index.store import own_folder
from index.store.base import EncodedDocument, FileRecord, Finding, Stats, StoredDocument
from index.store.described import Described, note_of
from index.store.postgres.address import missing, parsed
from index.store.postgres.dense import EXACT_MAX
from index.store.postgres.doctor import examine, repair
from index.store.postgres.facts import Facts, read_facts
from index.store.postgres.reader import PostgresSnapshot, Reader
from index.store.postgres.rows import number_of
from index.store.postgres.stored import encoded_documents, listed
from index.store.postgres.vectors import recalls_of
from index.store.postgres.writer import Writer

__all__ = ["Finding", "PostgresBackend", "Writer", "examine", "repair"]


class PostgresBackend(Described):
    """An index in a database, opened for reading; `Writer` opens one for writing. A replica will do."""

    def __init__(self, address: str) -> None:
        """Open the index at `address`.

        Raises:
            IndexMissing: There is none.
            FormatTooNew, StoreError: As they say.
        """
        self._address = parsed(address)
        self._reader = Reader(self._address)
        meta = self._meta()
        if "settings_key" not in meta:
            self._reader.close()
            raise missing(self._address)
        self._note = note_of(meta)

    def _meta(self) -> dict[str, str]:
        with self._reader.transaction() as (_, meta):
            return meta

    @property
    def place(self) -> str:
        """The address."""
        return self._address.text

    @property
    def folder(self) -> Path:
        """Where what belongs to its servers lies, on this machine."""
        return own_folder(self._address.text)

    @property
    def is_local(self) -> bool:
        """No: the server compares and counts."""
        return False

    @property
    def note(self) -> str:
        """What readers should be told of what made the index; mostly empty."""
        if self._note:
            self._note = note_of(self._meta())  # it may have been done again since
        return self._note

    def snapshot(self) -> AbstractContextManager[PostgresSnapshot]:
        """The newest state, held still for the length of a `with` block."""
        return self._reader.snapshot()

    def documents(self) -> Iterator[StoredDocument]:
        """Every stored document, in the order of ingest."""
        with self._reader.transaction() as (connection, meta):
            found = list(listed(connection, meta["settings_key"]))
        yield from found

    def text(self, doc_id: str) -> str | None:
        """The stored text of a document, None where there is no such document."""
        with self._reader.transaction() as (connection, _):
            row = connection.execute("SELECT text FROM documents WHERE doc_id = %s", (number_of(doc_id),)).fetchone()
        return row[0] if row else None

    def failures(self) -> list[tuple[str, str]]:
        """(source, reason) of every file that failed when it was last tried, whole or in part."""
        with self._reader.transaction() as (connection, _):
            return [
                (source, reason)
                for source, reason in connection.execute(
                    "SELECT source, reason FROM files WHERE status != 'ok' ORDER BY location"
                )
            ]

    def encoded(self) -> Iterator[EncodedDocument]:
        """Every document made with the current settings, all that is stored of it, in the order of ingest."""
        with self._reader.transaction() as (connection, meta):
            yield from encoded_documents(connection, meta)

    def files(self) -> Iterator[FileRecord]:
        """The ingest log."""
        with self._reader.transaction() as (connection, _):
            rows = connection.execute(
                "SELECT location, source, digest, settings_key, status, reason FROM files ORDER BY location"
            ).fetchall()
        yield from (FileRecord(*row) for row in rows)

    def stats(self) -> Stats:
        with self._reader.transaction() as (connection, meta):
            facts = read_facts(connection, meta)
            row = connection.execute(_SIZES, (meta["settings_key"],)).fetchone()
            assert row is not None
            languages = connection.execute("SELECT language, count(*) FROM documents GROUP BY 1 ORDER BY 2 DESC, 1")
            version = connection.info.server_version
            return Stats(
                n_documents=row[0],
                n_passages=facts.n_passages,
                n_vectors=row[1],
                n_stale=row[2],
                n_failed=row[3],
                languages=dict(languages.fetchall()),
                encoder=meta["encoder"],
                vector_index=_kind(facts),
                recall=_recall(facts, recalls_of(meta)),
                bytes_on_disk=row[4],
                generation=facts.generation,
                extra={"server": f"PostgreSQL {version // 10_000}.{version % 10_000}", "schema": self._address.schema},
            )

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        self._reader.close()


_SIZES = (
    "SELECT (SELECT count(*) FROM documents), (SELECT coalesce(sum(n_vectors), 0)::bigint FROM passages),"
    " (SELECT count(*) FROM documents WHERE settings_key != %s), (SELECT count(*) FROM files WHERE status != 'ok'),"
    " (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace)"
)


def _kind(facts: Facts) -> str:
    """How vectors are searched."""
    n_exact = len(facts.languages) - len(facts.indexed)
    large = [tag for tag, own in facts.languages.items() if own.n_vectors > EXACT_MAX and tag not in facts.indexed]
    parts = [f"hnsw in {len(facts.indexed)} languages"] if facts.indexed else []
    parts += [f"exact in {n_exact}"] if n_exact else []
    parts += [f"no index yet for {', '.join(large)}"] if large else []
    return "; ".join(parts) or "exact"


def _recall(facts: Facts, measured: dict[str, float]) -> float:
    """Recall@10 against exact search, mean over vectors."""
    n_vectors = sum(own.n_vectors for own in facts.languages.values())
    lost = sum(
        own.n_vectors * (1 - measured.get(tag, 1.0)) for tag, own in facts.languages.items() if tag in facts.indexed
    )
    return round(1 - lost / n_vectors, 4) if n_vectors else 1.0
