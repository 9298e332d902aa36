"""Documents as rows of the tables, and back."""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from pgvector import HalfVector
from psycopg import Cursor

from index.documents import Document, Metadata, Passage, Span
from index.names import Alias, name_key
from index.store.base import EncodedDocument
from index.store.bm25 import TITLE_WEIGHT
from index.store.postgres.address import Connection
from index.store.postgres.schema import OF_DOCUMENTS

_AT_ONCE = 200  # documents read in one step

Row = tuple[Any, ...]


def doc_of(location: str) -> int:
    """The number of a location: 64 bits of its digest."""
    return int.from_bytes(hashlib.sha256(location.encode()).digest()[:8], "big", signed=True)


def folded(tag: str) -> str:
    """`tag` as it is compared: case and width do not count."""
    return unicodedata.normalize("NFKC", tag).casefold()


_DOCUMENTS = (
    "doc", "doc_id", "position", "file_key", "location", "file", "source", "sha256", "settings_key", "title", "url",
    "author", "date", "language", "tags", "folded_tags", "headings", "n_chars", "n_passages", "title_terms", "text",
)  # fmt: skip
_INSERT = (
    f"INSERT INTO documents ({', '.join(_DOCUMENTS)}) VALUES ({', '.join(['%s'] * len(_DOCUMENTS))})"
    f" ON CONFLICT (doc) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in _DOCUMENTS[1:])}"
)
_COPIED = {  # columns and their types
    "passages": (
        'pid, doc, ordinal, start, "end", n_terms, language, section, text, terms, sentences',
        ["int8", "int8", *["int4"] * 4, *["text"] * 4, "int4[]"],
    ),
    "vectors": ("pid, doc, language, embedding, parts, words", ["int8", "int8", "text", "halfvec", "bytea", "bytea"]),
    "names": ("key, form, doc", ["text", "text", "int8"]),
    "aliases": ("key, name, other, doc, confidence", ["text", "text", "text", "int8", "float8"]),
}
# The server counts the terms. A term is 64 bits of its digest, as a term may be longer than an index allows.
_POSTINGS = f"""
INSERT INTO postings (doc, pid, term, frequency, n_terms)
SELECT doc, pid, hashtextextended(word, 0), sum(weight), n_terms FROM (
    SELECT p.doc, p.pid, p.n_terms, word, 1::real AS weight
    FROM passages p, string_to_table(p.terms, ' ') word WHERE p.doc = ANY (%(docs)s)
    UNION ALL
    SELECT p.doc, p.pid, p.n_terms, word, {TITLE_WEIGHT}::real
    FROM passages p JOIN documents d USING (doc), string_to_table(d.title_terms, ' ') word WHERE p.doc = ANY (%(docs)s)
) held WHERE word != '' GROUP BY 1, 2, 3, 5
"""


def store(cursor: Cursor[Any], documents: Mapping[int, EncodedDocument], settings_key: str) -> int:
    """Write documents, by the number of their location, over older versions; returns the number of passages.

    Raises:
        ValueError: A document has not as many vectors, words or terms as passages.
    """
    copied: dict[str, list[Row]] = {table: [] for table in _COPIED}
    for doc, item in documents.items():
        copied["passages"] += _passage_rows(doc, item, settings_key)
        copied["vectors"] += _vector_rows(doc, item, settings_key)
        copied["names"] += [(key, form, doc) for key, form in _name_pairs(item.sounds)]
        copied["aliases"] += _alias_rows(doc, item.aliases)
    now = time.time_ns() // 1000
    rows = [_document_row(doc, item, now + place, settings_key) for place, (doc, item) in enumerate(documents.items())]
    # Every writer locks the rows of documents in the same order.
    cursor.executemany(_INSERT, sorted(rows))
    docs = list(documents)
    remove_rows(cursor, docs)
    for table, (columns, types) in _COPIED.items():
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in copied[table]:
                copy.write_row(row)
    cursor.execute(_POSTINGS, {"docs": docs})
    return len(copied["passages"])


def remove_rows(cursor: Cursor[Any], docs: Sequence[int]) -> None:
    """Remove all rows that belong to documents."""
    for table in OF_DOCUMENTS:
        cursor.execute(f"DELETE FROM {table} WHERE doc = ANY (%s)", (list(docs),))


def rebuild_postings(cursor: Cursor[Any], docs: Sequence[int]) -> None:
    """Write the postings of documents again, from the terms of their passages."""
    cursor.execute("DELETE FROM postings WHERE doc = ANY (%s)", (list(docs),))
    cursor.execute(_POSTINGS, {"docs": list(docs)})


def _document_row(doc: int, item: EncodedDocument, position: int, settings_key: str) -> Row:
    document, meta = item.document, item.document.metadata
    headings = [offset for span in document.headings for offset in span]
    tags = list(meta.tags)
    return (
        doc, document.doc_id, position, doc_of(item.file), document.location, item.file, document.source,
        document.sha256, settings_key, meta.title, meta.url, meta.author, meta.date, meta.language, tags,
        list(map(folded, tags)), headings, len(document.text), len(item.passages), item.title_terms, document.text,
    )  # fmt: skip


def _passage_id(item: EncodedDocument, passage: Passage, settings_key: str) -> int:
    """63 bits of a digest: the same for the same text chunked in the same way, never for another passage."""
    name = f"{item.document.doc_id} {settings_key} {passage.ordinal}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def _passage_rows(doc: int, item: EncodedDocument, settings_key: str) -> Iterator[Row]:
    n_title = len(item.title_terms.split())
    for one, terms in zip(item.passages, item.terms, strict=True):
        n_terms = len(terms.split()) + n_title
        sentences = [offset for span in one.sentences for offset in span]
        yield (
            _passage_id(item, one, settings_key), doc, one.ordinal, one.start, one.end, n_terms, one.language,
            one.section, one.text, terms, sentences,
        )  # fmt: skip


def _vector_rows(doc: int, item: EncodedDocument, settings_key: str) -> Iterator[Row]:
    for one, matrix, words in zip(item.passages, item.vectors, item.words, strict=True):
        pid = _passage_id(item, one, settings_key)
        yield pid, doc, one.language, HalfVector(matrix[0]), matrix.astype("<f2").tobytes(), words


def _name_pairs(sounds: str) -> list[tuple[str, str]]:
    parts = (entry.partition(":") for entry in dict.fromkeys(sounds.split()))
    return [(key, form) for key, _, form in parts]


def _alias_rows(doc: int, aliases: Sequence[Alias]) -> list[Row]:
    """A document's aliases in both directions, each pair once; the direction in the text is preferred."""
    turned = [Alias(alias.other, alias.name, alias.confidence) for alias in aliases]
    found: dict[tuple[str, str], Row] = {}
    for alias in (*aliases, *turned):
        key = name_key(alias.name)
        found.setdefault((key, alias.other), (key, alias.name, alias.other, doc, alias.confidence))
    return list(found.values())


class Whole(NamedTuple):
    """A document with the number of its location, its place in the order of ingest, its file and its title's terms."""

    doc: int
    position: int
    document: Document
    file: str
    title_terms: str


def whole_documents(connection: Connection, condition: str, values: dict[str, Any], limit: int) -> list[Whole]:
    """At most `limit` documents for which `condition` holds, in the order of ingest."""
    rows = connection.execute(
        "SELECT doc, position, file, title_terms, location, source, text, headings, title, url, author, date, language,"
        f" tags FROM documents WHERE {condition} ORDER BY position, doc LIMIT {limit}",
        values,
        binary=True,
    )
    found = []
    for doc, position, file, title_terms, location, source, text, headings, *known, tags in rows:
        metadata = replace(Metadata(*known), tags=tuple(tags))
        found.append(
            Whole(doc, position, Document(location, source, text, metadata, spans(headings)), file, title_terms)
        )
    return found


def spans(offsets: Sequence[int]) -> tuple[Span, ...]:
    """Pairs of offsets."""
    return tuple(Span(a, b) for a, b in zip(offsets[::2], offsets[1::2], strict=True))


def encoded_documents(connection: Connection, settings_key: str) -> Iterator[EncodedDocument]:
    """Every current document with all that is stored of it, in the order of ingest."""
    condition = "settings_key = %(key)s AND (position, doc) > (%(position)s, %(doc)s)"
    last: dict[str, Any] = {"key": settings_key, "position": -1, "doc": 0}
    while some := whole_documents(connection, condition, last, _AT_ONCE):
        docs = [one.doc for one in some]
        passages = _by_doc(
            connection,
            'SELECT doc, ordinal, start, "end", p.language, section, sentences, words, terms, parts,'
            " vector_dims(embedding) FROM passages p JOIN vectors USING (doc, pid) WHERE doc = ANY (%s)"
            " ORDER BY doc, ordinal",
            docs,
        )
        names = _by_doc(connection, "SELECT doc, key || ':' || form FROM names WHERE doc = ANY (%s) ORDER BY 2", docs)
        aliases = _by_doc(connection, "SELECT doc, name, other, confidence FROM aliases WHERE doc = ANY (%s)", docs)
        for one in some:
            yield _encoded(one, passages[one.doc], " ".join(name for (name,) in names[one.doc]), aliases[one.doc])
        last |= {"position": some[-1].position, "doc": some[-1].doc}


def _by_doc(connection: Connection, query: str, docs: list[int]) -> dict[int, list[Row]]:
    found = defaultdict(list)
    for doc, *row in connection.execute(query, (docs,), binary=True):
        found[doc].append(tuple(row))
    return found


def _encoded(one: Whole, rows: Sequence[Row], sounds: str, aliases: Sequence[Row]) -> EncodedDocument:
    passages, matrices = [], []
    for ordinal, start, end, language, section, sentences, _, _, parts, dim in rows:
        text = one.document.text[start:end]
        passages.append(Passage(ordinal, start, end, text, spans(sentences), language, section))
        matrices.append(np.frombuffer(parts, "<f2").reshape(-1, dim))
    return EncodedDocument(
        document=one.document,
        passages=tuple(passages),
        vectors=tuple(matrices),
        words=tuple(row[6] for row in rows),
        terms=tuple(row[7] for row in rows),
        title_terms=one.title_terms,
        sounds=sounds,
        aliases=tuple(Alias(*row) for row in aliases),
        file=one.file,
    )
