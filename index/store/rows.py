"""The tables that every store has, read by the same SQL, and what their rows stand for."""

from __future__ import annotations

import json
import struct
import unicodedata
import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, NamedTuple

from index.documents import Document, Metadata, Span
from index.names import phonetic_terms
from index.pieces import pieces
from index.settings import IndexSettings
from index.store.base import Filter
from index.text.terms import indexed_terms

SqlValue = str | int | bytes | list[str] | list[int]
Row = tuple[Any, ...]
KEY = "(SELECT value FROM meta WHERE key = 'settings_key')"
IS_CURRENT = f"settings_key = {KEY}"
IS_STALE = f"(settings_key < {KEY} OR settings_key > {KEY})"  # with != SQLite would read every key
PASSAGE_TEXT = 'substr(d.text, p.start + 1, p."end" - p.start)'
FILES = "SELECT location, source, digest, settings_key, status, reason FROM files"
_AT_ONCE = 200  # documents read in one step


class Whole(NamedTuple):
    """A stored document with its number, its file and the digests that it was stored with."""

    doc: int
    doc_id: str
    file: str
    sha256: str
    checksum: int
    document: Document


class PassageRow(NamedTuple):
    """A passage as it is stored."""

    ordinal: int
    start: int
    end: int
    language: str
    section: str
    sentences: bytes  # int32 pairs, offsets from the passage's start
    words: bytes
    vector: bytes  # float16; empty where it is missing


class Rows(ABC):
    """Tables that SQL of both stores reads and writes: `?` stands for a value, `IN ?` for a list of values."""

    matches: ClassVar[str]  # SQL that holds for a source that matches a pattern `?`
    wildcards: ClassVar[dict[int, str]] = {}  # what stands in it for `*`, `?` and others
    vector: ClassVar[str]  # SQL for the bytes of a vector `v`
    forms: ClassVar[str] = "forms"  # names: (key, form, n_documents), by phonetic key
    tables: ClassVar[tuple[str, ...]] = ("tags", "aliases", "passages", "vectors", "context")  # with rows of documents

    @abstractmethod
    def rows(self, query: str, *values: SqlValue) -> list[Row]:
        """Run a statement; the rows that it gives."""

    @abstractmethod
    def translated(self) -> AbstractContextManager[None]:
        """The errors of the store as this package's."""

    @abstractmethod
    def lexical_problems(self) -> list[str]:
        """How the lexical index differs from what the texts give; empty where it does not."""

    @staticmethod
    @abstractmethod
    def half(data: bytes) -> bytes:
        """The float16 components of a vector that the store gave; none of a damaged one."""

    def meta(self) -> dict[str, str]:
        """The index's description of itself."""
        return dict(self.rows("SELECT key, value FROM meta"))

    @property
    def settings(self) -> IndexSettings:
        """The settings that documents are chunked and encoded with."""
        return IndexSettings(**json.loads(self.meta()["settings"]))

    @property
    def settings_key(self) -> str:
        """Digest of the settings, the encoder and the rules that current documents carry."""
        return self.meta()["settings_key"]

    @property
    def is_of_older_rules(self) -> bool:
        """Whether documents were cut, or their terms and names made, by other rules than this program's."""
        return self.settings.key(self.meta()["encoder_fingerprint"]) != self.settings_key

    def count(self, what: str, *values: SqlValue) -> int:
        """The one number that `SELECT {what}` gives."""
        return int(self.rows(f"SELECT {what}", *values)[0][0])

    def wholes(self, condition: str, *values: SqlValue, limit: int = 2**62) -> Iterator[list[Whole]]:
        """At most `limit` documents for which `condition` holds, some hundred at a time, in the order of ingest."""
        chosen = f"SELECT doc FROM documents d WHERE {condition} ORDER BY doc LIMIT {limit}"
        numbers = [doc for (doc,) in self.rows(chosen, *values)]
        columns = "doc, doc_id, file, sha256, checksum, location, source, text, headings"
        query = f"SELECT {columns}, title, url, author, date, language, tags FROM documents WHERE doc IN ? ORDER BY doc"
        for first in range(0, len(numbers), _AT_ONCE):
            rows = self.rows(query, numbers[first : first + _AT_ONCE])
            yield [Whole(doc, doc_id, file, sha, crc, _document(row)) for doc, doc_id, file, sha, crc, *row in rows]

    def passage_rows(self, docs: list[int]) -> dict[int, list[PassageRow]]:
        """The passages of documents, in their order."""
        found = defaultdict(list)
        query = (
            'SELECT p.doc, p.ordinal, p.start, p."end", p.language, p.section, p.sentences, p.words,'
            f" {self.vector} FROM passages p LEFT JOIN vectors v ON v.doc = p.doc AND v.pid = p.pid"
            " WHERE p.doc IN ? ORDER BY p.doc, p.ordinal"
        )
        for doc, *row in self.rows(query, docs):
            own = PassageRow(*row)
            found[doc].append(own._replace(vector=self.half(own.vector or b"")))
        return found

    def everything(self, docs: list[int]) -> Iterator[tuple[str, list[Row]]]:
        """The rows of documents by table, in an order that all stores have; terms and names are derived of them."""
        for table in ("documents", "tags", "aliases", "passages", "context"):
            yield table, sorted(self.rows(f"SELECT * FROM {table} WHERE doc IN ?", docs))
        vectors = self.rows(f"SELECT pid, doc, language, {self.vector} FROM vectors v WHERE doc IN ?", docs)
        yield "vectors", sorted((*row, self.half(data)) for *row, data in vectors)

    def texts(self, docs: list[int]) -> Iterator[tuple[int, int, str, str]]:
        """pid, doc, terms and terms of the title of the passages of documents."""
        query = f"SELECT p.pid, d.doc, {PASSAGE_TEXT}, d.title FROM passages p JOIN documents d ON d.doc = p.doc"
        for pid, doc, text, title in self.rows(f"{query} WHERE d.doc IN ?", docs):
            yield pid, doc, terms_of(text), terms_of(title)

    def condition(self, where: Filter, tags: list[str]) -> tuple[str, list[SqlValue]]:
        """SQL that holds for the passages p of documents d in `where`, and its values.

        Args:
            where: Which passages are wanted.
            tags: The languages of the index in `where`.
        """
        inside, values = self.of_documents(where)
        return f"p.language IN ?{inside}", [tags, *values]

    def of_documents(self, where: Filter) -> tuple[str, list[SqlValue]]:
        """SQL for what `where` asks of documents d (languages aside), beginning with AND or empty; and its values."""
        parts, values = [], list[SqlValue]()
        if where.sources:
            one = f"d.source = ? OR {self.matches} OR substr(d.source, 1, ?) = ?"
            parts.append(f"({' OR '.join([one] * len(where.sources))})")
            for source in where.sources:
                folder = source.rstrip("/") + "/"
                values += [source, source.translate(self.wildcards), len(folder), folder]
        # Dates are ISO 8601, so that they compare as text; a month or a year ends with all that begins like it.
        if where.since:
            parts.append("d.date >= ?")
            values.append(where.since)
        if where.until:
            parts.append(f"d.date != '' AND substr(d.date, 1, {len(where.until)}) <= ?")
            values.append(where.until)
        if where.tags:
            parts.append("d.doc IN (SELECT doc FROM tags WHERE folded IN ?)")
            values.append([folded(tag) for tag in where.tags])
        return "".join(f" AND {part}" for part in parts), values


def _document(row: Sequence[Any]) -> Document:
    location, source, text, headings, *known, tags = row
    metadata = replace(Metadata(*known), tags=tuple(json.loads(tags)))
    return Document(location, source, text, metadata, tuple(Span(*pair) for pair in json.loads(headings)))


def checksum_of(passages: Sequence[PassageRow]) -> int:
    """CRC-32 of the passages of a document, with their vectors and words."""
    found = 0
    for row in passages:
        found = zlib.crc32(repr(tuple(row)).encode("utf-8", "surrogatepass"), found)
    return found


def spans(start: int, sentences: bytes) -> tuple[Span, ...]:
    """The sentences of a passage that begins at `start`."""
    offsets = struct.unpack_from(f"<{len(sentences) // 8 * 2}i", sentences)
    return tuple(Span(start + a, start + b) for a, b in zip(offsets[::2], offsets[1::2], strict=True))


def names_of(document: Document) -> list[str]:
    """`KEY:FORM` of the names of a document; a long one is taken in the pieces that it was encoded in."""
    meta = document.metadata
    found = (phonetic_terms(f"{meta.title}\n{part.text}", meta.language) for part in pieces(document))
    return list(dict.fromkeys(chain.from_iterable(found)))


def name_rows(doc: int, names: Iterable[str]) -> list[Row]:
    """(doc, key, form) of names that are given as `KEY:FORM`."""
    pairs = (name.partition(":") for name in dict.fromkeys(names))
    return [(doc, key, form) for key, _, form in pairs]


def terms_of(text: str) -> str:
    """The terms of a passage or a title as the lexical index holds them, joined by spaces."""
    return " ".join(indexed_terms(text))


def folded(tag: str) -> str:
    """`tag` as it is compared: case and width do not count."""
    return unicodedata.normalize("NFKC", tag).casefold()
