"""An index at rest, opened for reading: the part of it that is the same in both stores."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from index.store import own_folder, shown_place
from index.store.base import FileRecord, IndexPlace, Stats, StoredDocument
from index.store.rows import FILES, IS_STALE, Row, Rows, SqlValue
from index.store.snapshot import Facts, SqlSnapshot
from index.store.tables import missing

_MAX_IDLE = 32  # connections kept for the next snapshot


class Backend(Rows):
    """An index at rest, opened for reading by any number of threads."""

    is_local: ClassVar[bool]  # whether a search is computed in this process; else it mostly waits for another
    begin: ClassVar[str]
    lost: ClassVar[tuple[type[Exception], ...]] = ()  # errors of a kept connection that was closed

    def __init__(self, place: IndexPlace, facts: Facts) -> None:
        """Open what lies at `place`; `facts` are those of an index where nothing is known."""
        self.place, self._facts = place, facts
        self._idle: list[Any] = []  # connections
        self._lock = Lock()
        if "settings_key" not in self.meta():  # a writer was killed before it had settled
            raise missing(shown_place(place))

    @abstractmethod
    def _connected(self) -> Any:
        """A new connection to an index of this version's format."""

    @abstractmethod
    def _reader(self, connection: Any) -> SqlSnapshot:
        """What an open transaction of a connection sees."""

    @contextmanager
    def transaction(self) -> Iterator[SqlSnapshot]:
        """The newest state, held still for the length of a `with` block; `snapshot` also lets it be searched."""
        with self.translated():
            connection = self._begun()
            try:
                yield self._reader(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(Exception):
                    connection.close()
                raise
            if len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _begun(self) -> Any:
        """A connection in a new transaction; a kept one may have been closed by a server that was started again."""
        while self._idle:
            with suppress(IndexError, *self.lost):
                kept = self._idle.pop()  # another thread may take the last one
                kept.execute(self.begin)
                return kept
        connection = self._connected()
        connection.execute(self.begin)
        return connection

    @contextmanager
    def snapshot(self) -> Iterator[SqlSnapshot]:
        """The newest consistent state, held still for the length of a `with` block.

        Raises:
            FormatTooOld, StoreDamaged, StoreError: See `index.errors`.
        """
        with self.transaction() as found:
            generation = found.meta()["token"]
            with self._lock:
                if self._facts.generation != generation:
                    self._facts = found.read_facts(self._facts)
                    self._facts.generation = generation
                    self._facts.note = _note_of(found)
                found.facts = self._facts
            yield found

    def rows(self, query: str, *values: SqlValue) -> list[Row]:
        """Run a query on the newest state; the rows that it gives."""
        with self.transaction() as found:
            return found.rows(query, *values)

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # it was never opened
            self.close()

    @property
    def folder(self) -> Path:
        """Where what belongs to its servers lies: keys, feedback, chats, uploaded files."""
        return own_folder(self.place)

    def check_file(self) -> None:
        """Let the store check its own file, where it has one.

        Raises:
            StoreDamaged: It finds damage.
        """

    @abstractmethod
    def _searched(self) -> tuple[str, int]:
        """How vectors are searched, and bytes on disk."""

    @property
    def encoder_name(self) -> str:
        """The encoder that made the current vectors."""
        return self.meta()["encoder"]

    @property
    def encoder_fingerprint(self) -> str:
        """Its fingerprint."""
        return self.meta()["encoder_fingerprint"]

    @property
    def note(self) -> str:
        """What readers should know about the version that made it or some of its documents; mostly empty."""
        with self.snapshot() as found:
            return found.facts.note

    def documents(self) -> Iterator[StoredDocument]:
        """Every stored document, in the order of ingest."""
        columns = "doc_id, location, source, title, url, author, date, language, n_chars, n_passages"
        for *row, tags in self.rows(f"SELECT {columns}, {IS_STALE}, tags FROM documents d ORDER BY doc"):
            fields: list[Any] = [*row[:-1], bool(row[-1]), tuple(json.loads(tags))]
            yield StoredDocument(*fields)

    def text(self, doc_id: str) -> str | None:
        """The stored text of a document, None where there is no such document."""
        return next((text for (text,) in self.rows("SELECT text FROM documents WHERE doc_id = ?", doc_id)), None)

    def failures(self) -> list[tuple[str, str]]:
        """(source, reason) of every file that failed when it was last tried, whole or in part."""
        return [(record.source, record.reason) for record in self.files() if record.status != "ok"]

    def files(self) -> Iterator[FileRecord]:
        """The ingest log."""
        return (FileRecord(*row) for row in self.rows(f"{FILES} ORDER BY location"))

    def stats(self) -> Stats:
        """Sizes and state."""
        meta, (vector_index, n_bytes) = self.meta(), self._searched()
        languages = self.rows("SELECT language, count(*) FROM documents GROUP BY language ORDER BY 2 DESC, 1")
        return Stats(
            n_documents=self.count("count(*) FROM documents"),
            n_passages=self.count("count(*) FROM passages"),
            n_vectors=self.count("count(*) FROM vectors"),
            n_contextual=self.count("count(*) FROM context"),
            n_stale=self.count(f"count(*) FROM documents WHERE {IS_STALE}"),
            n_failed=self.count("count(*) FROM files WHERE status != 'ok'"),
            languages=dict(languages),
            encoder=meta["encoder"],
            vector_index=vector_index,
            bytes_on_disk=n_bytes,
            generation=int(meta["generation"]),
        )


def _note_of(index: Rows) -> str:
    """What readers should know about the rules that the index or some of its documents were made by; mostly empty."""
    if n_stale := index.count(f"count(*) FROM documents WHERE {IS_STALE}"):
        return f"{n_stale} documents wait for dragoman index --refresh: they are found by their words only"
    if index.is_of_older_rules:
        return "the index was made by an older version of this program; dragoman index --refresh makes it search better"
    return ""
