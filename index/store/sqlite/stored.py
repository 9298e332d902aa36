"""What an embedded store holds of documents, read back as it was given."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from index.documents import Document, Metadata, Passage, Span
from index.names import Alias
from index.store.base import EncodedDocument
from index.store.sqlite.schema import has_names, has_tags, has_words

_AT_ONCE = 500  # documents


def whole_documents(
    connection: sqlite3.Connection, condition: str, value: str | int, limit: int
) -> Iterator[tuple[Document, str]]:
    """At most `limit` documents that `condition` (SQL with one mark) holds for, each with its file, in their order."""
    for _, document, file in _documents(connection, condition, value, limit):
        yield document, file


def encoded_documents(connection: sqlite3.Connection, dim: int, settings_key: str) -> Iterator[EncodedDocument]:
    """Every document made with the settings, its passages, vectors, terms and names, in the order of ingest.

    It can be of an older format, without names or words: they come back empty.
    """
    last = 0
    while True:
        condition = f"settings_key = '{settings_key}' AND doc_pk > ?"
        some = list(_documents(connection, condition, last, _AT_ONCE))
        for doc_pk, document, file in some:
            yield _encoded(connection, doc_pk, document, file, dim)
            last = doc_pk
        if len(some) < _AT_ONCE:
            return


def _documents(
    connection: sqlite3.Connection, condition: str, value: str | int, limit: int
) -> list[tuple[int, Document, str]]:
    rows = connection.execute(
        "SELECT doc_pk, file, location, source, text, title, url, author, date, language, headings FROM documents"
        f" WHERE {condition} ORDER BY doc_pk LIMIT ?",
        (value, limit),
    ).fetchall()
    tagged = has_tags(connection)
    found = []
    for doc_pk, file, location, source, text, *known, headings in rows:
        metadata = Metadata(*known)
        if tagged:
            tags = connection.execute("SELECT tag FROM tags WHERE doc_pk = ? ORDER BY ordinal", (doc_pk,))
            metadata = replace(metadata, tags=tuple(tag for (tag,) in tags))
        spans = tuple(Span(*pair) for pair in json.loads(headings))
        found.append((doc_pk, Document(location, source, text, metadata, spans), file))
    return found


def _encoded(connection: sqlite3.Connection, doc_pk: int, document: Document, file: str, dim: int) -> EncodedDocument:
    passages, vectors, words, terms = [], [], [], []
    title_terms = ""
    packed = "(SELECT words FROM words w WHERE w.pid = p.pid)" if has_words(connection) else "NULL"
    for ordinal, start, end, language, section, offsets, blob, own, body, title in connection.execute(
        f'SELECT p.ordinal, p.start, p."end", p.language, p.section, p.sentences, p.vectors, {packed}, t.body, t.title'
        " FROM passages p JOIN terms t ON t.rowid = p.pid WHERE p.doc_pk = ? ORDER BY p.ordinal",
        (doc_pk,),
    ):
        sentences = np.frombuffer(offsets, dtype=np.int32).reshape(-1, 2) + start
        spans = tuple(Span(int(a), int(b)) for a, b in sentences)
        passages.append(Passage(ordinal, start, end, document.text[start:end], spans, language, section))
        vectors.append(np.frombuffer(blob, dtype=np.float16).reshape(-1, dim))
        words.append(own or b"")
        terms.append(body)
        title_terms = title
    sounds, aliases = "", []
    if has_names(connection):
        row = connection.execute("SELECT forms FROM names WHERE rowid = ?", (doc_pk,)).fetchone()
        sounds = row[0] if row else ""
        pairs = connection.execute(
            "SELECT name, other, confidence FROM aliases WHERE doc_pk = ? ORDER BY name, other", (doc_pk,)
        )
        aliases = [Alias(*pair) for pair in pairs]
    return EncodedDocument(
        document,
        tuple(passages),
        tuple(vectors),
        tuple(words),
        tuple(terms),
        title_terms,
        sounds,
        tuple(aliases),
        file,
    )
