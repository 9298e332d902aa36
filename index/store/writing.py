"""What every store offers to a process that changes it."""

from __future__ import annotations

import json
import os
import uuid
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, astuple

import numpy as np

from index.documents import Document
from index.encoders.base import Encoder, FloatArray
from index.errors import SettingsMismatch
from index.names import Alias, glosses, name_key
from index.settings import IndexSettings
from index.store.base import EncodedDocument, FileRecord
from index.store.quantized import packed, rounded
from index.store.rows import FILES, PassageRow, Row, Rows, checksum_of, folded, name_rows, names_of


class Writer(Rows, AbstractContextManager["Writer"]):
    """A process that changes an index, as a context manager; each call that writes is one durable transaction.

    Invariant: what a call has committed survives a kill at any later moment.
    """

    def __init__(
        self, place: str, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
    ) -> None:
        """See `index.store.open_writer`."""
        self._place, self._encoder, self._wanted, self._adopt = place, encoder, settings, adopt
        self._own = dict[str, str]()

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing of what is written in the block."""

    @abstractmethod
    def insert(self, table: str, rows: Iterable[Row]) -> None:
        """Add whole rows to a table, inside a transaction.

        Those of `terms` are (pid, doc, body, title), of `names` (doc, key, form); a vector is given in float16.
        """

    @abstractmethod
    def clear_terms(self) -> None:
        """Empty the lexical index and the names, inside a transaction."""

    def upsert(self, documents: Sequence[EncodedDocument], files: Sequence[FileRecord] = ()) -> None:
        """Store documents and log files in one durable transaction; older versions of the same location go.

        Raises:
            StoreFull: The disk is full; nothing of this call is kept, all before it is.
        """
        latest = {item.document.location: item for item in documents}  # of two versions, the later one
        log = {file.location: astuple(file) for file in files}
        with self.transaction():
            self.rows("DELETE FROM files WHERE location IN ?", list(log))
            self.insert("files", log.values())
            if latest:
                self._remove("location", list(latest))
                self._add(latest.values())
                self.next_generation()

    def _add(self, items: Iterable[EncodedDocument]) -> None:
        """Add documents with all that goes with them, by numbers that no other has."""
        added = defaultdict[str, list[Row]](list)
        next_pid = self.count("value FROM meta WHERE key = 'next_pid'")
        for doc, item in enumerate(items, 1 + self.count("coalesce(max(doc), 0) FROM documents")):
            passages = self._passages(item)
            added["documents"].append((doc, *self._columns(item, passages)))
            added["tags"] += [(doc, tag) for tag in {folded(tag) for tag in item.document.metadata.tags}]
            for pid, (row, terms) in enumerate(zip(passages, item.terms, strict=True), next_pid):
                added["passages"].append((pid, doc, *row[:7]))
                added["vectors"].append((pid, doc, row.language, row.vector))
                added["terms"].append((pid, doc, terms, item.title_terms))
            next_pid += len(passages)
            added["names"] += name_rows(doc, item.sounds.split())
            added["aliases"] += alias_rows(doc, item.aliases)
        for table, rows in added.items():
            self.insert(table, rows)
        self.set_meta({"next_pid": str(next_pid)})

    def _columns(self, item: EncodedDocument, passages: Sequence[PassageRow]) -> Row:
        """The columns of a document, without its number."""
        document, meta = item.document, item.document.metadata
        places = (document.doc_id, document.location, item.file, document.source)
        digests = (document.sha256, checksum_of(passages), self.settings_key)
        shown = (meta.title, meta.url, meta.author, meta.date, meta.language, json.dumps(meta.tags))
        sizes = (len(document.text), len(passages))
        return *places, *digests, *shown, json.dumps(document.headings), *sizes, document.text

    def _passages(self, item: EncodedDocument) -> list[PassageRow]:
        """The passages of a document as they are stored.

        Raises:
            ValueError: It has not as many vectors, words or terms as passages.
        """
        found = []
        vectors = rounded(item.vectors).astype("<f2")
        for passage, vector, words, _ in zip(item.passages, vectors, item.words, item.terms, strict=True):
            offsets = np.array(passage.sentences, dtype="<i4").reshape(-1, 2) - passage.start
            own = (passage.ordinal, passage.start, passage.end, passage.language, passage.section)
            found.append(PassageRow(*own, offsets.tobytes(), words, vector.tobytes()))
        return found

    def next_generation(self) -> None:
        """Count a change, inside a transaction; readers look again at what they have loaded.

        The token differs where a number comes twice: a replica without the last writes may become the primary.
        """
        self.rows(
            "UPDATE meta SET value = CASE key WHEN 'token' THEN ? ELSE CAST(CAST(value AS bigint) + 1 AS text) END"
            " WHERE key IN ('generation', 'token')",
            uuid.uuid4().hex,
        )

    def rebuild_terms(self) -> None:
        """Derive the lexical index, the names and the aliases again from the texts, inside a transaction."""
        self.clear_terms()
        self.rows("DELETE FROM aliases")
        for some in self.wholes("1 = 1"):
            self._derive(self, [one.doc for one in some])
            for one in some:
                self.insert("aliases", alias_rows(one.doc, glosses(one.document.text)))

    def _derive(self, origin: Rows, docs: list[int]) -> None:
        """Add the terms and names of documents of `origin`."""
        self.insert("terms", list(origin.texts(docs)))
        for some in origin.wholes("doc IN ?", docs):
            self.insert("names", [row for one in some for row in name_rows(one.doc, names_of(one.document))])

    def copy(self, origin: Rows, docs: list[int]) -> None:
        """Add documents of another index with all that goes with them, by the same numbers, in one transaction."""
        with self.transaction():
            for table, rows in origin.everything(docs):
                self.insert(table, rows)
            self._derive(origin, docs)
            meta = origin.meta()  # its numbers go on from there
            self.set_meta({key: meta[key] for key in ("next_pid", "context") if key in meta})
            self.next_generation()

    def copy_log(self, origin: Rows) -> None:
        """Replace the ingest log by that of another index."""
        with self.transaction():
            self.rows("DELETE FROM files")
            self.insert("files", origin.rows(FILES))

    def refresh_vectors(self, force: bool = False) -> bool:
        """Bring a vector index up to date, or build it again; whether anything was written."""
        return False

    def _remove_rows(self, docs: list[int]) -> None:
        """Remove all rows that belong to documents."""
        for table in self.tables:
            self.rows(f"DELETE FROM {table} WHERE doc IN ?", docs)

    def meta(self) -> dict[str, str]:
        """The index's description of itself, as it was when this writer had opened it."""
        return self._own

    def _settle(self) -> None:
        """Give a new index its settings; check those of another, or adopt new ones."""
        if "settings_key" not in super().meta():
            with self.transaction():
                wanted = self._described(self._wanted or IndexSettings())
                first = {"generation": "0", "token": uuid.uuid4().hex, "next_pid": "1"}
                self.set_meta(first | wanted, "DO NOTHING")
        self._own = super().meta()
        wanted_settings = self._wanted or self.settings
        if not self._adopt:
            self._check_settings()
        elif (key := wanted_settings.key(self._encoder.fingerprint)) != self.settings_key:
            with self.transaction():  # every document becomes stale
                self.set_meta(self._described(wanted_settings))
                self.rows("UPDATE documents SET settings_key = '' WHERE settings_key = ?", key)
                self.rows("DELETE FROM vectors")
                self.rebuild_terms()  # other rules may have made them
                self.next_generation()
            self._own = super().meta()

    def _described(self, settings: IndexSettings) -> dict[str, str]:
        """What an index with these settings and the writer's encoder says of itself."""
        return {
            "dim": str(self._encoder.dim),
            "encoder": self._encoder.name,
            "encoder_fingerprint": self._encoder.fingerprint,
            "settings": json.dumps(asdict(settings)),
            "settings_key": settings.key(self._encoder.fingerprint),
        }

    def _check_settings(self) -> None:
        """Refuse to write what would not go with the rest of the index."""
        own, encoder, wanted = self._own, self._encoder, self._wanted or self.settings
        if wanted.key(encoder.fingerprint) == self.settings_key:
            return
        other = encoder.fingerprint != own["encoder_fingerprint"]
        command = f"dragoman index --refresh --encoder {encoder.name}" if other else "dragoman index --refresh"
        raise SettingsMismatch(
            f"{self._place} was made with encoder {own['encoder']} ({own['encoder_fingerprint']}), {own['settings']}",
            f"the same, and this version's rules, not {encoder.name} ({encoder.fingerprint}), {asdict(wanted)}",
            f"{command} re-does the stored documents; the sources are not needed",
        )

    def add_context(self, fingerprint: str, vectors: Mapping[int, FloatArray]) -> None:
        """Store vectors by pid of the contextual encoder with this fingerprint; those of another one go."""
        with self.transaction():
            if super().meta().get("context") != fingerprint:
                self.rows("DELETE FROM context")
                self.set_meta({"context": fingerprint})
                self.next_generation()
            for pid, vector in vectors.items():  # its passage may be gone by now
                self.rows(
                    "INSERT INTO context SELECT pid, doc, ? FROM passages WHERE pid = ? ON CONFLICT DO NOTHING",
                    packed(vector[None]),
                    pid,
                )

    def set_meta(self, values: dict[str, str], conflict: str = "DO UPDATE SET value = excluded.value") -> None:
        """Set values of the index's description of itself."""
        for pair in values.items():
            self.rows(f"INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) {conflict}", *pair)

    def file_record(self, location: str) -> FileRecord | None:
        """The entry of a file in the ingest log."""
        return next((FileRecord(*row) for row in self.rows(f"{FILES} WHERE location = ?", location)), None)

    def files_under(self, folder: str) -> list[str]:
        """Locations of the logged files inside a folder, at any depth."""
        prefix = folder.rstrip(os.sep) + os.sep
        found = self.rows("SELECT location FROM files WHERE substr(location, 1, ?) = ?", len(prefix), prefix)
        return [location for (location,) in found]

    def documents_of(self, file: str) -> dict[str, str]:
        """doc_id by location of the documents that came from a file."""
        return dict(self.rows("SELECT location, doc_id FROM documents WHERE file = ?", file))

    def is_current(self, location: str, sha256: str) -> bool:
        """Whether this very document is stored with the current settings."""
        query = "SELECT 1 FROM documents WHERE location = ? AND sha256 = ? AND settings_key = ?"
        return bool(self.rows(query, location, sha256, self.settings_key))

    def n_stale(self) -> int:
        """Number of documents not made with the current settings."""
        return self.count("count(*) FROM documents WHERE settings_key != ?", self.settings_key)

    def stale_documents(self, limit: int) -> list[tuple[Document, str]]:
        """Documents not made with the current settings, as they were before chunking, each with its file."""
        found = self.wholes("settings_key != ?", self.settings_key, limit=limit)
        return [(one.document, one.file) for some in found for one in some]

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents for good; how many there were."""
        with self.transaction():
            files = self._remove("doc_id", list(doc_ids))
            # A file none of whose documents are left is forgotten, so that indexing it again stores it.
            self.rows(
                "DELETE FROM files WHERE status != 'failed' AND location IN ?"
                " AND location NOT IN (SELECT file FROM documents WHERE file IN ?)",
                files,
                files,
            )
            return len(files)

    def forget_files(self, locations: Iterable[str]) -> int:
        """Remove files from the log, and every document that came from them; how many documents."""
        names = list(locations)
        with self.transaction():
            n_removed = len(self._remove("file", names))
            self.rows("DELETE FROM files WHERE location IN ?", names)
            return n_removed

    def _remove(self, column: str, values: list[str]) -> list[str]:
        """Remove the documents that have one of `values` in a column; the file of each."""
        found = self.rows(f"SELECT doc, file FROM documents WHERE {column} IN ?", values)
        if found:
            docs = [doc for doc, _ in found]
            self._remove_rows(docs)
            self.rows("DELETE FROM documents WHERE doc IN ?", docs)
            self.next_generation()
        return [file for _, file in found]


def alias_rows(doc: int, aliases: Sequence[Alias]) -> list[Row]:
    """(doc, key, name, other, confidence) in both directions, each pair once; that of the text is preferred."""
    turned = [Alias(alias.other, alias.name, alias.confidence) for alias in aliases]
    found: dict[tuple[str, str], Row] = {}
    for alias in (*aliases, *turned):
        key = name_key(alias.name)
        found.setdefault((key, alias.other), (doc, key, alias.name, alias.other, alias.confidence))
    return list(found.values())
