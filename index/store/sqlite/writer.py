"""Writing an embedded index: one process at a time, one transaction a call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from index.encoders.base import Encoder, LateInteraction
from index.names import Alias, glosses, name_key, phonetic_terms
from index.settings import IndexSettings
from index.store.base import EncodedDocument, FileRecord
from index.store.sqlite import vectors as vec
from index.store.sqlite.files import is_verified, verify
from index.store.sqlite.making import InBackground, make_file
from index.store.sqlite.manifest import (
    VectorFile,
)
from index.store.sqlite.schema import folded, full, translated
from index.store.sqlite.session import Session
from index.text.terms import indexed_terms

# A vector file is brought up to date when this much has come or gone since; less is caught up by readers in milliseconds.
_REWRITE_MIN = 2_000
_REWRITE_SHARE = 0.05
# One is begun beside a running ingest when so much has come: a file costs seconds, a delta milliseconds a question.
BESIDE_MIN = 250_000
_BESIDE_SHARE = 0.25
_WORDS_AT_ONCE = 2_000  # passages whose words are made anew


class Writer(Session):
    """The one writer of an index folder, as a context manager.

    Invariant: the folder's lock is held from entry to exit; what a call has committed
    survives a kill at any later moment.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Encoder,
        settings: IndexSettings | None = None,
        *,
        adopt: bool = False,
        beside_min: int = BESIDE_MIN,
    ) -> None:
        """Open `folder` for writing, laying out a new index where there is none.

        Args:
            folder: Created with its parents if missing.
            encoder: What new vectors are made with.
            settings: For a new index; an existing one keeps its own, and other ones are refused.
            adopt: Make this encoder and these settings the index's own instead of refusing them.
            beside_min: Vectors stored before a vector file is begun beside the ingest.
        """
        super().__init__(folder, encoder, settings, adopt=adopt)
        self._beside_min = beside_min
        self._making: InBackground | None = None
        self._n_since = 0  # vectors stored since the last file was made or begun
        self._n_listed = 0  # vectors in the last file

    def __enter__(self) -> Self:
        super().__enter__()
        described = self._described()
        self._n_listed = described.n_vectors if described else 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._making is not None:
            self._making.stop()
            self._making = None
        super().__exit__(kind, error, trace)

    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files in one durable transaction; older versions go.

        Raises:
            StoreFull: The disk is full; nothing of this call is kept, all before it is.
        """
        key = self.settings_key
        with translated(self._folder), self.transaction():
            self._delete_passages(
                "location IN (SELECT value FROM json_each(?))",
                json.dumps([item.document.location for item in documents]),
            )
            for item in documents:
                self._insert(item, key)
            self._connection.executemany(
                "INSERT OR REPLACE INTO files (location, source, digest, settings_key, status, reason) VALUES (?, ?, ?, ?, ?, ?)",
                [(f.location, f.source, f.digest, f.settings_key, f.status, f.reason) for f in files],
            )
            if documents:
                self.next_generation()
        with translated(self._folder):
            self._keep_up(sum(len(matrix) for item in documents for matrix in item.vectors))

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents for good, in one durable transaction; how many there were."""
        with translated(self._folder), self.transaction():
            n = self._delete_passages("doc_id IN (SELECT value FROM json_each(?))", json.dumps(list(doc_ids)))
            # A file none of whose documents are left is forgotten, so that indexing it again stores it.
            self._connection.execute(
                "DELETE FROM files WHERE status != 'failed' AND location NOT IN (SELECT file FROM documents)"
            )
            if n:
                self.next_generation()
        return n

    def forget_files(self, locations: Iterable[str]) -> int:
        """Remove files from the log, and every document that came from them; how many documents."""
        names = json.dumps(list(locations))
        with translated(self._folder), self.transaction():
            n = self._delete_passages("file IN (SELECT value FROM json_each(?))", names)
            self._connection.execute("DELETE FROM files WHERE location IN (SELECT value FROM json_each(?))", (names,))
            if n:
                self.next_generation()
        return n

    def rebuild_terms(self) -> None:
        """Make the lexical index, and the one of names, anew from the documents' texts; inside a transaction."""
        self._set_meta(terms=self.meta["generation"])  # what readers know of the terms is void
        self._connection.execute("DELETE FROM terms")
        cursor = self._connection.execute(
            'SELECT p.pid, substr(d.text, p.start + 1, p."end" - p.start), d.title FROM passages p JOIN documents d USING (doc_pk)'
        )
        while rows := cursor.fetchmany(2_000):
            self._connection.executemany(
                "INSERT INTO terms (rowid, body, title) VALUES (?, ?, ?)",
                [(pid, " ".join(indexed_terms(body)), " ".join(indexed_terms(title))) for pid, body, title in rows],
            )
        self._connection.execute("DELETE FROM names")
        self._connection.execute("DELETE FROM aliases")
        texts = self._connection.execute("SELECT doc_pk, title, text, language FROM documents ORDER BY doc_pk")
        for doc_pk, title, text, language in texts:
            self._insert_names(doc_pk, " ".join(phonetic_terms(f"{title}\n{text}", language)), glosses(text))

    def rebuild_words(self, pids: Sequence[int]) -> None:
        """Store anew the words of these passages, where the encoder compares words; inside a transaction."""
        if not isinstance(self._encoder, LateInteraction):
            return
        for start in range(0, len(pids), _WORDS_AT_ONCE):
            rows = self._connection.execute(
                'SELECT p.pid, substr(d.text, p.start + 1, p."end" - p.start), p.sentences FROM passages p'
                " JOIN documents d USING (doc_pk) WHERE p.pid IN (SELECT value FROM json_each(?))",
                (json.dumps(list(pids[start : start + _WORDS_AT_ONCE])),),
            ).fetchall()
            cut = [[text[a:b] for a, b in np.frombuffer(own, np.int32).reshape(-1, 2)] for _, text, own in rows]
            words = self._encoder.packed_words(cut)
            self._connection.executemany(
                "INSERT OR REPLACE INTO words VALUES (?, ?)", zip((row[0] for row in rows), words, strict=True)
            )

    def refresh_vectors(self, force: bool = False) -> bool:
        """Bring the vector file up to date where that pays; whether one was written.

        `force` has all of it made anew; else what is new is put to the last one where that is possible.
        """
        written = self._take_over() if self._making is not None else False
        if not force and not self._vectors_need_writing(self.meta):
            return written
        with translated(self._folder):
            try:
                self._adopt_file(make_file(self._folder, self._connection, None if force else self._described()))
            except OSError:
                self._remove_leftovers()
                raise
            except RuntimeError as error:  # FAISS's own write failed
                self._remove_leftovers()
                raise full(self._folder, error) from error
        return True

    def _keep_up(self, n_more: int) -> None:
        """Have a vector file made beside a long ingest, so that readers need not search all of it one by one."""
        self._n_since += n_more
        if self._making is not None:
            if self._making.done:
                self._take_over()
        elif self._n_since > max(self._beside_min, _BESIDE_SHARE * self._n_listed):
            self._making, self._n_since = InBackground(self._folder, self._described()), 0

    def _take_over(self) -> bool:
        """Wait for the file made in the background and use it; whether there is one."""
        making, self._making = self._making, None
        made = making.result() if making is not None else None
        if made is not None and made.settings_key == self.settings_key:
            self._adopt_file(made)
            return True
        return False

    def _adopt_file(self, described: VectorFile) -> None:
        """Name the file in the manifest, and forget the deletions that it has no need of."""
        self._write_manifest(described)
        self._n_listed = described.n_vectors
        with self.transaction():
            self._connection.execute("DELETE FROM deleted WHERE generation <= ?", (described.generation,))
            self._set_meta(pruned=str(described.generation))
        self._remove_leftovers()

    def _vectors_need_writing(self, meta: dict[str, str]) -> bool:
        described = self._described()
        if described is None or described.settings_key != meta["settings_key"]:
            return True
        if not is_verified(self._folder, described) and verify(self._folder, described):
            return True
        (n_new,) = self._connection.execute(
            "SELECT coalesce(sum(n_vectors), 0) FROM passages WHERE pid > ?", (described.max_pid,)
        ).fetchone()
        (n_dead,) = self._connection.execute(
            "SELECT coalesce(sum(n_vectors), 0) FROM deleted WHERE pid <= ?", (described.max_pid,)
        ).fetchone()
        threshold = max(_REWRITE_MIN, _REWRITE_SHARE * described.n_vectors)
        return bool(n_new > threshold or n_dead > threshold)

    def _insert(self, item: EncodedDocument, key: str) -> None:
        document, meta = item.document, item.document.metadata
        cursor = self._connection.execute(
            "INSERT INTO documents (doc_id, location, file, source, sha256, settings_key, title, url, author, date, language,"
            " headings, n_chars, n_passages, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (document.doc_id, document.location, item.file, document.source, document.sha256, key, meta.title, meta.url, meta.author,
             meta.date, meta.language, json.dumps(document.headings), len(document.text), len(item.passages), document.text),
        )  # fmt: skip
        doc_pk = int(cursor.lastrowid or 0)
        first = int(self._connection.execute("SELECT value FROM meta WHERE key = 'next_pid'").fetchone()[0])
        rows, term_rows, word_rows = [], [], []
        for i, (passage, matrix) in enumerate(zip(item.passages, item.vectors, strict=True)):
            kept = matrix[: vec.MAX_PARTS]
            offsets = np.array(passage.sentences, dtype=np.int32) - passage.start
            rows.append(
                (first + i, doc_pk, passage.ordinal, passage.start, passage.end, passage.language, passage.section,
                 offsets.tobytes(), len(kept), kept.tobytes())
            )  # fmt: skip
            term_rows.append((first + i, item.terms[i], item.title_terms))
            if item.words[i]:
                word_rows.append((first + i, item.words[i]))
        self._connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        tags = [(doc_pk, i, tag, folded(tag)) for i, tag in enumerate(meta.tags)]
        self._connection.executemany("INSERT INTO tags VALUES (?, ?, ?, ?)", tags)
        self._connection.executemany("INSERT INTO terms (rowid, body, title) VALUES (?, ?, ?)", term_rows)
        self._connection.executemany("INSERT INTO words VALUES (?, ?)", word_rows)
        self._insert_names(doc_pk, item.sounds, item.aliases)
        self._set_meta(next_pid=str(first + len(rows)))

    def _insert_names(self, doc_pk: int, sounds: str, aliases: Sequence[Alias]) -> None:
        self._connection.execute("INSERT INTO names (rowid, forms) VALUES (?, ?)", (doc_pk, sounds))
        # As said comes before turned round: what is read back and stored again is the same then.
        both_ways = [*aliases, *(Alias(alias.other, alias.name, alias.confidence) for alias in aliases)]
        self._connection.executemany(
            "INSERT OR IGNORE INTO aliases VALUES (?, ?, ?, ?, ?)",
            [(doc_pk, name_key(alias.name), alias.name, alias.other, alias.confidence) for alias in both_ways],
        )

    def _delete_passages(self, where: str, argument: str) -> int:
        """Remove the documents that `where` (one of this file's own clauses) selects; how many."""
        keys = [key for (key,) in self._connection.execute(f"SELECT doc_pk FROM documents WHERE {where}", (argument,))]
        if not keys:
            return 0
        names = json.dumps(keys)
        chosen = "doc_pk IN (SELECT value FROM json_each(?))"
        self._connection.execute(
            "INSERT INTO deleted SELECT pid, n_vectors, (SELECT CAST(value AS INTEGER) + 1 FROM meta WHERE key = 'generation')"
            f" FROM passages WHERE {chosen}",
            (names,),
        )
        self._connection.execute(
            f"DELETE FROM terms WHERE rowid IN (SELECT pid FROM passages WHERE {chosen})", (names,)
        )
        self._connection.execute(f"DELETE FROM words WHERE pid IN (SELECT pid FROM passages WHERE {chosen})", (names,))
        self._connection.execute(f"DELETE FROM passages WHERE {chosen}", (names,))
        self._connection.execute("DELETE FROM names WHERE rowid IN (SELECT value FROM json_each(?))", (names,))
        self._connection.execute(f"DELETE FROM documents WHERE {chosen}", (names,))
        return len(keys)
