"""What every store does for readers in the same way: a backend to open, and snapshots of it to search."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, TypeVar

import numpy as np

from index.documents import Document, Passage
from index.encoders.words import is_sound
from index.names import Alias
from index.store import own_folder
from index.store.base import (
    EVERYTHING,
    EncodedDocument,
    FileRecord,
    Filter,
    IndexPlace,
    PassageVectors,
    Snapshot,
    Stats,
    StoredDocument,
    StoredPassage,
)
from index.store.described import note_of
from index.store.quantized import row_bytes, unpacked
from index.store.rows import (
    FILES,
    IS_CURRENT,
    IS_STALE,
    PASSAGE_TEXT,
    PassageRow,
    Row,
    Rows,
    SqlValue,
    Whole,
    phonetic_terms_of,
    spans,
    terms_of,
)

Value = TypeVar("Value")
_MAX_IDLE = 32  # connections kept for the next snapshot
_MAX_FILTERS = 16  # for which counts are kept
_MAX_ALIAS_ROWS = 20_000  # that are looked at: of more documents, the first ones speak for the others
_MAX_ALIASES = 64  # of the names of one question


@dataclass(slots=True)
class Facts:
    """What all searches of one generation share."""

    generation: str = ""
    note: str = ""
    languages: dict[Filter, dict[str, int]] = field(default_factory=dict)


class SqlSnapshot(Rows, Snapshot):
    """The part of a snapshot (`index.store.base.Snapshot`) that is the same SQL in both stores."""

    facts: Facts

    def __init__(self) -> None:
        """Read what this state says of itself."""
        self._described = super().meta()
        self.dim = int(self._described.get("dim", 0))

    def meta(self) -> dict[str, str]:
        """The index's description of itself."""
        return self._described

    @abstractmethod
    def read_facts(self, last: Facts) -> Facts:
        """The facts of this state; `last` are those of an earlier or a later one."""

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        rows = self.rows(
            f"SELECT p.pid, p.words, {self.whole}, p.parts FROM passages p"
            " JOIN vectors v ON v.doc = p.doc AND v.pid = p.pid WHERE p.pid IN ?",
            list(pids),
        )
        size, of_whole = row_bytes(self.dim), len(self.packed_whole(np.zeros((1, self.dim), np.float32)))
        # Of a damaged passage nothing is compared: it is found by its words, and doctor reports it.
        rows = [
            row
            for row in rows
            if len(row[2]) == of_whole and len(row[3]) % size == 0 and (not row[1] or is_sound(row[1]))
        ]
        wholes = self.unpacked_wholes([row[2] for row in rows], self.dim)
        parts = unpacked(b"".join(row[3] for row in rows), self.dim)
        found, start = {}, 0
        for i, (pid, words, _, own) in enumerate(rows):
            end = start + len(own) // size
            found[pid] = PassageVectors(np.concatenate((wholes[i : i + 1], parts[start:end])), words)
            start = end
        return found

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        rows = self.rows(
            "SELECT p.pid, d.doc_id, d.source, d.title, d.url, d.author, d.date, p.language, p.section, p.start,"
            f' p."end", {PASSAGE_TEXT}, p.sentences FROM passages p'
            " JOIN documents d ON d.doc = p.doc WHERE p.pid IN ?",
            list(pids),
        )
        stored = {}
        for pid, *row, sentences in rows:
            fields: list[Any] = [*row, spans(row[8], sentences)]
            stored[pid] = StoredPassage(pid, *fields)
        return {pid: stored[pid] for pid in pids if pid in stored}

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        known = self.facts.languages.get(where)
        if known is None:
            known = self._counted(where)
            keep(self.facts.languages, where, known)
        return dict(known)

    def _counted(self, where: Filter) -> dict[str, int]:
        if where == EVERYTHING:
            return dict(self.rows("SELECT language, count(*) FROM passages GROUP BY language ORDER BY 2 DESC, 1"))
        taken = {tag: n for tag, n in self.languages().items() if where.takes(tag)}
        if not where.of_documents:
            return taken
        condition, values = self.condition(where, list(taken))
        return dict(
            self.rows(
                "SELECT p.language, count(*) FROM passages p JOIN documents d ON d.doc = p.doc"
                f" WHERE {condition} GROUP BY p.language ORDER BY 2 DESC, 1",
                *values,
            )
        )

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        rows = self.rows(
            "SELECT name, other, max(confidence) AS sure FROM"
            f" (SELECT name, other, confidence FROM aliases WHERE key IN ? LIMIT {_MAX_ALIAS_ROWS}) held"
            f" GROUP BY name, other ORDER BY sure DESC, count(*) DESC, name, other LIMIT {_MAX_ALIASES}",
            list(keys),
        )
        return [Alias(*row) for row in rows]

    def document(self, doc_id: str) -> Document | None:
        return next((one.document for some in self.wholes("doc_id = ?", doc_id) for one in some), None)

    def encoded(self) -> Iterator[EncodedDocument]:
        """Every current document: what is stored of it, and its terms and names; in the order of ingest."""
        for some in self.wholes(IS_CURRENT):
            docs = [one.doc for one in some]
            passages, aliases = self.passage_rows(docs), defaultdict(list)
            for doc, *own in self.rows("SELECT doc, name, other, confidence FROM aliases WHERE doc IN ?", docs):
                aliases[doc].append(Alias(*own))
            for one in some:
                yield self._encoded(one, passages[one.doc], aliases[one.doc])

    def _encoded(self, one: Whole, rows: Sequence[PassageRow], aliases: Sequence[Alias]) -> EncodedDocument:
        text, meta = one.document.text, one.document.metadata
        passages = tuple(
            Passage(
                row.ordinal, row.start, row.end, text[row.start : row.end], spans(row.start, row.sentences), *row[3:5]
            )
            for row in rows
        )
        matrices = (
            np.concatenate((self.unpacked_wholes([row.whole], self.dim), unpacked(row.parts, self.dim))) for row in rows
        )
        return EncodedDocument(
            document=one.document,
            passages=passages,
            vectors=tuple(matrix.astype(np.float16) for matrix in matrices),
            words=tuple(row.words for row in rows),
            terms=tuple(terms_of(passage.text) for passage in passages),
            title_terms=terms_of(meta.title),
            sounds=" ".join(phonetic_terms_of(meta.title, text, meta.language)),
            aliases=tuple(aliases),
            file=one.file,
        )


def keep(known: dict[Filter, Value], where: Filter, value: Value) -> None:
    """Remember what was found for a filter; all others are forgotten where there are too many."""
    if len(known) >= _MAX_FILTERS:
        known.clear()
    known[where] = value


class Backend(Rows):
    """An index at rest, opened for reading by any number of threads."""

    is_local: ClassVar[bool]  # whether a search is computed in this process; else it mostly waits for another
    begin: ClassVar[str]
    generation: ClassVar[str]  # the part of its description that no other generation has
    lost: ClassVar[tuple[type[Exception], ...]] = ()  # errors of a kept connection that was closed

    def __init__(self, place: IndexPlace, facts: Facts) -> None:
        """Open what lies at `place`; `facts` are those of an index where nothing is known."""
        self.place, self._facts = place, facts
        self._idle: list[Any] = []  # connections
        self._lock = Lock()

    @abstractmethod
    def _translated(self) -> AbstractContextManager[None]:
        """The errors of the store as this package's."""

    @abstractmethod
    def _connected(self) -> Any:
        """A new connection to an index of this version's format."""

    @abstractmethod
    def _reader(self, connection: Any) -> SqlSnapshot:
        """What an open transaction of a connection sees."""

    @contextmanager
    def transaction(self) -> Iterator[SqlSnapshot]:
        """The newest state, held still for the length of a `with` block; `snapshot` also lets it be searched."""
        with self._translated():
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
            meta = found.meta()
            generation = meta[self.generation]
            with self._lock:
                if self._facts.generation != generation:
                    self._facts = found.read_facts(self._facts)
                    self._facts.generation = generation
                    self._facts.note = note_of(meta, found.count(f"count(*) FROM documents WHERE {IS_STALE}"))
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
    def _searched(self) -> tuple[str, int, dict[str, str]]:
        """How vectors are searched, bytes on disk, and what else a user may know."""

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
        for *row, tags in self.rows(
            f"SELECT {columns}, {IS_STALE}, {self.tags} FROM documents d ORDER BY {self.order}"
        ):
            fields: list[Any] = [*row[:-1], bool(row[-1]), tuple(json.loads(tags))]
            yield StoredDocument(*fields)

    def text(self, doc_id: str) -> str | None:
        """The stored text of a document, None where there is no such document."""
        return next((text for (text,) in self.rows("SELECT text FROM documents WHERE doc_id = ?", doc_id)), None)

    def failures(self) -> list[tuple[str, str]]:
        """(source, reason) of every file that failed when it was last tried, whole or in part."""
        return [(record.source, record.reason) for record in self.files() if record.status != "ok"]

    def encoded(self) -> Iterator[EncodedDocument]:
        """Every current document with all that is stored of it, in the order of ingest."""
        with self.snapshot() as snapshot:
            yield from snapshot.encoded()

    def files(self) -> Iterator[FileRecord]:
        """The ingest log."""
        return (FileRecord(*row) for row in self.rows(f"{FILES} ORDER BY location"))

    def stats(self) -> Stats:
        """Sizes and state."""
        meta, (vector_index, n_bytes, extra) = self.meta(), self._searched()
        languages = self.rows("SELECT language, count(*) FROM documents GROUP BY language ORDER BY 2 DESC, 1")
        return Stats(
            n_documents=self.count("count(*) FROM documents"),
            n_passages=self.count("count(*) FROM passages"),
            n_vectors=self.count("coalesce(sum(n_vectors), 0) FROM passages"),
            n_stale=self.count(f"count(*) FROM documents WHERE {IS_STALE}"),
            n_failed=self.count("count(*) FROM files WHERE status != 'ok'"),
            languages=dict(languages),
            encoder=meta["encoder"],
            vector_index=vector_index,
            bytes_on_disk=n_bytes,
            generation=int(meta["generation"]),
            extra=extra,
        )
