"""Writing an embedded index: one process at a time, one transaction a call."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from index.documents import Passage
from index.encoders.base import HalfArray
from index.errors import StoreError
from index.names import Alias, glosses, name_key, phonetic_terms
from index.store.base import EncodedDocument, FileRecord
from index.store.quantized import packed
from index.store.sqlite.documents import terms_of
from index.store.sqlite.schema import folded, full, translated
from index.store.sqlite.session import RULES, Session
from index.store.sqlite.vectors import (
    VectorIndex,
    advanced,
    can_advance,
    from_store,
    load,
    remove_leftovers,
    save,
)

# Vector files are brought up to date when so many passages have come or gone; readers add fewer in milliseconds.
_REWRITE_MIN = 1_000
_REWRITE_SHARE = 0.05
_AT_ONCE = 2_000  # passages whose terms are made again


class Writer(Session):
    """The one writer of an index folder, as a context manager.

    Invariant: the folder's lock is held from entry to exit; what a call has committed
    survives a kill at any later moment.
    """

    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files in one durable transaction; older versions of the documents go.

        Raises:
            StoreFull: The disk is full; nothing of this call is kept, all before it is.
        """
        key = self.settings_key
        with translated(self._folder), self.transaction():
            self._match_terms()
            locations = json.dumps([item.document.location for item in documents])
            self._delete_documents("location IN (SELECT value FROM json_each(?))", locations)
            for item in documents:
                self._insert(item, key)
            self.connection.executemany(
                "INSERT OR REPLACE INTO files (location, source, digest, settings_key, status, reason)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(f.location, f.source, f.digest, f.settings_key, f.status, f.reason) for f in files],
            )
            if documents:
                self.next_generation()

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents for good, in one durable transaction; how many there were."""
        with translated(self._folder), self.transaction():
            self._match_terms()
            n = self._delete_documents("doc_id IN (SELECT value FROM json_each(?))", json.dumps(list(doc_ids)))
            # A file none of whose documents are left is forgotten, so that indexing it again stores it.
            self.connection.execute(
                "DELETE FROM files WHERE status != 'failed' AND location NOT IN (SELECT file FROM documents)"
            )
            if n:
                self.next_generation()
        return n

    def forget_files(self, locations: Iterable[str]) -> int:
        """Remove files from the log, and every document that came from them; how many documents."""
        names = json.dumps(list(locations))
        with translated(self._folder), self.transaction():
            self._match_terms()
            n = self._delete_documents("file IN (SELECT value FROM json_each(?))", names)
            self.connection.execute("DELETE FROM files WHERE location IN (SELECT value FROM json_each(?))", (names,))
            if n:
                self.next_generation()
        return n

    def refresh_vectors(self, force: bool = False) -> bool:
        """Bring the vector files up to date where that pays; whether any were written.

        `force` makes them of the store alone, whatever there is.
        """
        with translated(self._folder):
            last = None if force else self._last_vectors()
            self.connection.execute("BEGIN")  # one state for all reads
            try:
                meta = self.meta
                index = advanced(last, self.connection, meta) if last else from_store(self.connection, meta)
            finally:
                self.connection.execute("COMMIT")
            if last is not None and not self._has_changed(last):
                return False
            try:
                files = save(index, self._folder)
            except OSError:
                remove_leftovers(self._folder, self._described())
                raise
            except RuntimeError as error:  # FAISS's own write failed
                remove_leftovers(self._folder, self._described())
                raise full(self._folder, error) from error
            self._write_manifest(files)
            with self.transaction():
                self.connection.execute("DELETE FROM deleted WHERE generation <= ?", (files.generation,))
                self._set_meta(pruned=str(files.generation))
            remove_leftovers(self._folder, files)
        return True

    def _last_vectors(self) -> VectorIndex | None:
        """The index in the vector files, None where it cannot be brought to the present state."""
        described = self._described()
        if described is None or not can_advance(described, self.meta):
            return None
        try:
            return load(self._folder, described)
        except StoreError:
            return None

    def _has_changed(self, last: VectorIndex) -> bool:
        (n_new,) = self.connection.execute("SELECT count(*) FROM passages WHERE pid > ?", (last.max_pid,)).fetchone()
        (n_gone,) = self.connection.execute("SELECT count(*) FROM deleted WHERE pid <= ?", (last.max_pid,)).fetchone()
        return bool(max(n_new, n_gone) > max(_REWRITE_MIN, _REWRITE_SHARE * last.n_passages))

    def rebuild_terms(self) -> None:
        """Make the lexical index and the names again from the documents' texts, inside a transaction."""
        self.connection.execute("INSERT INTO terms (terms) VALUES ('delete-all')")
        cursor = self.connection.execute(f"SELECT p.pid, {_TEXT}, d.title FROM {_BOTH}")
        while rows := cursor.fetchmany(_AT_ONCE):
            self.connection.executemany(
                "INSERT INTO terms (rowid, body, title) VALUES (?, ?, ?)",
                [(pid, terms_of(body), terms_of(title)) for pid, body, title in rows],
            )
        for table in ("names", "forms", "aliases"):
            self.connection.execute(f"DELETE FROM {table}")
        cursor = self.connection.execute("SELECT doc_pk, title, text, language FROM documents WHERE n_passages > 0")
        for doc_pk, title, text, language in cursor:
            self._insert_names(doc_pk, " ".join(phonetic_terms(f"{title}\n{text}", language)), glosses(text))
        self._set_meta(terms=RULES)

    def _match_terms(self) -> None:
        """Make the terms again where another version of this program made them.

        FTS5 forgets a passage by the very terms that it was given, and those are made again from the text.
        """
        if self.meta.get("terms") != RULES:
            self.rebuild_terms()

    def _insert(self, item: EncodedDocument, key: str) -> None:
        document, meta = item.document, item.document.metadata
        cursor = self.connection.execute(
            "INSERT INTO documents (doc_id, location, file, source, sha256, settings_key, title, url, author, date, language,"
            " headings, n_chars, n_passages, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (document.doc_id, document.location, item.file, document.source, document.sha256, key, meta.title, meta.url, meta.author,
             meta.date, meta.language, json.dumps(document.headings), len(document.text), len(item.passages), document.text),
        )  # fmt: skip
        doc_pk = int(cursor.lastrowid or 0)
        first = int(self.meta["next_pid"])
        rows, vector_rows, term_rows = [], [], []
        for pid, (passage, matrix, words, terms) in enumerate(
            zip(item.passages, item.vectors, item.words, item.terms, strict=True), first
        ):
            row = passage_row(passage, matrix)
            parts = packed(matrix)
            rows.append((pid, doc_pk, *row))
            vector_rows.append((pid, parts, words, checksum_of(row, parts, words)))
            term_rows.append((pid, terms, item.title_terms))
        self.connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self.connection.executemany("INSERT INTO vectors VALUES (?, ?, ?, ?)", vector_rows)
        self.connection.executemany("INSERT INTO terms (rowid, body, title) VALUES (?, ?, ?)", term_rows)
        tags = [(doc_pk, i, tag, folded(tag)) for i, tag in enumerate(meta.tags)]
        self.connection.executemany("INSERT INTO tags VALUES (?, ?, ?, ?)", tags)
        self._insert_names(doc_pk, item.sounds, item.aliases)
        self._set_meta(next_pid=str(first + len(rows)))

    def _insert_names(self, doc_pk: int, forms: str, aliases: Sequence[Alias]) -> None:
        self.connection.execute("INSERT INTO names VALUES (?, ?)", (doc_pk, zlib.compress(forms.encode())))
        self.connection.executemany(
            "INSERT INTO forms VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n_documents = n_documents + 1",
            _keys_and_forms(forms),
        )
        # As given before the other way round: what is read back and stored again is the same then.
        both_ways = [*aliases, *(Alias(alias.other, alias.name, alias.confidence) for alias in aliases)]
        self.connection.executemany(
            "INSERT OR IGNORE INTO aliases VALUES (?, ?, ?, ?, ?)",
            [(doc_pk, name_key(alias.name), alias.name, alias.other, alias.confidence) for alias in both_ways],
        )

    def _delete_documents(self, where: str, argument: str) -> int:
        """Remove the documents that `where` (one of this file's own clauses) selects; how many."""
        rows = self.connection.execute(f"SELECT doc_pk FROM documents WHERE {where}", (argument,)).fetchall()
        if not rows:
            return 0
        keys = (json.dumps([key for (key,) in rows]),)
        chosen = "doc_pk IN (SELECT value FROM json_each(?))"
        passages = self.connection.execute(f"SELECT p.pid, {_TEXT}, d.title FROM {_BOTH} WHERE p.{chosen}", keys)
        self.connection.executemany(
            "INSERT INTO terms (terms, rowid, body, title) VALUES ('delete', ?, ?, ?)",
            [(pid, terms_of(body), terms_of(title)) for pid, body, title in passages.fetchall()],
        )
        names = self.connection.execute(f"SELECT forms FROM names WHERE {chosen}", keys).fetchall()
        for (forms,) in names:
            self.connection.executemany(
                "UPDATE forms SET n_documents = n_documents - 1 WHERE key = ? AND form = ?",
                _keys_and_forms(zlib.decompress(forms).decode()),
            )
        if names:
            self.connection.execute("DELETE FROM forms WHERE n_documents < 1")
        of_passages = f"pid IN (SELECT pid FROM passages WHERE {chosen})"
        generation = int(self.meta["generation"]) + 1
        self.connection.execute(
            f"INSERT INTO deleted SELECT pid, language, {generation} FROM passages WHERE {chosen}", keys
        )
        self.connection.execute(f"DELETE FROM vectors WHERE {of_passages}", keys)
        for table in ("passages", "names", "documents"):
            self.connection.execute(f"DELETE FROM {table} WHERE {chosen}", keys)
        return len(rows)


_BOTH = "passages p JOIN documents d USING (doc_pk)"
_TEXT = 'substr(d.text, p.start + 1, p."end" - p.start)'
Row = tuple[int, int, int, str, str, int, bytes]  # of a passage, without its numbers


def passage_row(passage: Passage, matrix: HalfArray) -> Row:
    """A passage as it is stored, in the order of the table's columns."""
    offsets = np.array(passage.sentences, dtype=np.int32).reshape(-1, 2) - passage.start
    own = (passage.ordinal, passage.start, passage.end, passage.language, passage.section)
    return (*own, len(matrix), offsets.tobytes())


def checksum_of(row: Row, parts: bytes, words: bytes) -> int:
    """CRC-32 of a stored passage, its vectors and its words."""
    return zlib.crc32(words, zlib.crc32(parts, zlib.crc32(repr(row).encode())))


def _keys_and_forms(forms: str) -> list[list[str]]:
    return [term.split(":", 1) for term in forms.split()]
