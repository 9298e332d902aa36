"""Documents of an embedded store, read back as they were given."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from index.documents import Document, Metadata, Passage, Span
from index.names import Alias
from index.store.base import EncodedDocument
from index.store.quantized import unpacked
from index.text.terms import indexed_terms

_AT_ONCE = 500  # documents


def whole_documents(
    connection: sqlite3.Connection, condition: str, value: str | int, limit: int
) -> Iterator[tuple[int, Document, str]]:
    """doc_pk, document and file of at most `limit` documents that `condition` (SQL with one mark) holds for."""
    rows = connection.execute(
        "SELECT doc_pk, file, location, source, text, title, url, author, date, language, headings,"
        " (SELECT json_group_array(tag) FROM (SELECT tag FROM tags t WHERE t.doc_pk = d.doc_pk ORDER BY ordinal))"
        f" FROM documents d WHERE {condition} ORDER BY doc_pk LIMIT ?",
        (value, limit),
    ).fetchall()
    for doc_pk, file, location, source, text, *known, headings, tags in rows:
        spans = tuple(Span(*pair) for pair in json.loads(headings))
        metadata = replace(Metadata(*known), tags=tuple(json.loads(tags)))
        yield doc_pk, Document(location, source, text, metadata, spans), file


def encoded_documents(connection: sqlite3.Connection, dim: int, settings_key: str) -> Iterator[EncodedDocument]:
    """Every document made with the settings, its passages, vectors, terms and names, in the order of ingest."""
    last = 0
    while True:
        condition = f"settings_key = '{settings_key}' AND doc_pk > ?"
        some = list(whole_documents(connection, condition, last, _AT_ONCE))
        for doc_pk, document, file in some:
            yield _encoded(connection, doc_pk, document, file, dim)
            last = doc_pk
        if len(some) < _AT_ONCE:
            return


def _encoded(connection: sqlite3.Connection, doc_pk: int, document: Document, file: str, dim: int) -> EncodedDocument:
    passages, vectors, words = [], [], []
    for ordinal, start, end, language, section, offsets, parts, own in connection.execute(
        'SELECT p.ordinal, p.start, p."end", p.language, p.section, p.sentences, v.parts, v.words'
        " FROM passages p JOIN vectors v USING (pid) WHERE p.doc_pk = ? ORDER BY p.ordinal",
        (doc_pk,),
    ):
        pairs = (np.frombuffer(offsets, dtype=np.int32).reshape(-1, 2) + start).tolist()
        spans = tuple(Span(a, b) for a, b in pairs)
        passages.append(Passage(ordinal, start, end, document.text[start:end], spans, language, section))
        vectors.append(unpacked(parts, dim).astype(np.float16))
        words.append(own)
    row = connection.execute("SELECT forms FROM names WHERE doc_pk = ?", (doc_pk,)).fetchone()
    aliases = connection.execute(
        "SELECT name, other, confidence FROM aliases WHERE doc_pk = ? ORDER BY name, other", (doc_pk,)
    )
    return EncodedDocument(
        document,
        tuple(passages),
        tuple(vectors),
        tuple(words),
        tuple(terms_of(passage.text) for passage in passages),
        terms_of(document.metadata.title),
        zlib.decompress(row[0]).decode() if row else "",
        tuple(Alias(*pair) for pair in aliases),
        file,
    )


def terms_of(text: str) -> str:
    """The terms of a passage or a title as the lexical index holds them, joined by spaces."""
    return " ".join(indexed_terms(text))
