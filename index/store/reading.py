"""What every store does for readers in the same way: a backend to open, and snapshots of it to search."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
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
    Rows,
    Whole,
    phonetic_terms_of,
    spans,
    terms_of,
)

Value = TypeVar("Value")
_MAX_FILTERS = 16  # for which counts are kept
_MAX_ALIAS_ROWS = 20_000  # that are looked at: of more documents, the first ones speak for the others
_MAX_ALIASES = 64  # of the names of one question


@dataclass(slots=True)
class Facts:
    """Counts that all searches of one generation share."""

    languages: dict[Filter, dict[str, int]] = field(default_factory=dict)


class SqlSnapshot(Rows, Snapshot):
    """The part of a snapshot (`index.store.base.Snapshot`) that is the same SQL in both stores."""

    facts: Facts
    dim: int

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        rows = self.rows(
            f"SELECT p.pid, p.words, {self.whole}, p.parts FROM passages p"
            " JOIN vectors v ON v.doc = p.doc AND v.pid = p.pid WHERE p.pid IN ?",
            list(pids),
        )
        size = row_bytes(self.dim)
        # Of a damaged passage nothing is compared: it is found by its words, and doctor reports it.
        rows = [row for row in rows if len(row[3]) % size == 0 and (not row[1] or is_sound(row[1]))]
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
    place: IndexPlace  # that it is opened by

    @property
    def folder(self) -> Path:
        """Where what belongs to its servers lies: keys, feedback, chats, uploaded files."""
        return own_folder(self.place)

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[SqlSnapshot]:
        """The newest consistent state, held still for the length of a `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Close what no snapshot holds."""

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
        return note_of(self.meta(), self.count(f"count(*) FROM documents WHERE {IS_STALE}"))

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
