"""What an index in PostgreSQL holds of documents, read back as it was given."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from index.documents import Document, Metadata, Passage, Span
from index.names.mined import Alias
from index.store.base import EncodedDocument, StoredDocument
from index.store.postgres.address import Connection
from index.store.postgres.facts import has_words
from index.store.postgres.rows import doc_id_of

_AT_ONCE = 200  # documents


class Whole(NamedTuple):
    """A document as it was before it was cut, its number, the file it came from, and its names."""

    number: int
    document: Document
    file: str
    sounds: str


def whole_documents(connection: Connection, condition: str, values: dict[str, Any], limit: int) -> list[Whole]:
    """At most `limit` documents that `condition` holds for, in the order of ingest."""
    rows = connection.execute(
        "SELECT d.doc_id, d.file, d.sounds, d.location, d.source, d.text, d.headings, d.title, d.url, d.author, d.date,"
        " d.language, (SELECT array_agg(tag ORDER BY ordinal) FROM tags t WHERE t.doc_id = d.doc_id)"
        f" FROM documents d WHERE {condition} ORDER BY d.position, d.doc_id LIMIT {limit}",
        values,
    )
    found = []
    for number, file, sounds, location, source, text, headings, *known, tags in rows:
        spans = tuple(Span(*pair) for pair in json.loads(headings))
        document = Document(location, source, text, replace(Metadata(*known), tags=tuple(tags or ())), spans)
        found.append(Whole(number, document, file, sounds))
    return found


def encoded_documents(connection: Connection, meta: dict[str, str]) -> Iterator[EncodedDocument]:
    """Every document made with the current settings, its passages, vectors, terms and names, in the order of ingest.

    It can be of an older version, without words: they come back empty.
    """
    dim, packed = int(meta["dim"]), "p.words" if has_words(meta) else "''::bytea"
    condition = "settings_key = %(key)s AND (position, doc_id) > (%(position)s, %(number)s)"
    last = {"key": meta["settings_key"], "position": -1, "number": -(2**63)}
    while some := whole_documents(connection, condition, last, _AT_ONCE):
        numbers = [one.number for one in some]
        passages, aliases = _passages(connection, numbers, packed), _aliases(connection, numbers)
        for one in some:
            yield _encoded(one, passages[one.number], aliases[one.number], dim)
        row = connection.execute("SELECT position FROM documents WHERE doc_id = %s", (numbers[-1],)).fetchone()
        last |= {"position": row[0] if row else 0, "number": numbers[-1]}


def _passages(connection: Connection, numbers: Sequence[int], packed: str) -> dict[int, list[tuple[Any, ...]]]:
    rows = connection.execute(
        'SELECT p.doc_id, p.ordinal, p.start, p."end", p.language, p.section, p.sentences, p.vectors,'
        f" {packed}, b.body, b.title"
        " FROM passages p JOIN bodies b USING (doc_id, pid) WHERE p.doc_id = ANY (%s) ORDER BY p.doc_id, p.ordinal",
        (list(numbers),),
        binary=True,
    )
    found = defaultdict(list)
    for number, *row in rows:
        found[number].append(tuple(row))
    return found


def _aliases(connection: Connection, numbers: Sequence[int]) -> dict[int, list[Alias]]:
    rows = connection.execute(
        "SELECT doc_id, name, other, confidence FROM aliases WHERE doc_id = ANY (%s) ORDER BY doc_id, name, other",
        (list(numbers),),
    )
    found = defaultdict(list)
    for number, *alias in rows:
        found[number].append(Alias(*alias))
    return found


def _encoded(one: Whole, rows: Sequence[tuple[Any, ...]], aliases: Sequence[Alias], dim: int) -> EncodedDocument:
    passages, vectors, words, terms = [], [], [], []
    title_terms = ""
    for ordinal, start, end, language, section, offsets, blob, own, body, title in rows:
        pairs = (np.frombuffer(offsets, dtype="<i4").reshape(-1, 2) + start).tolist()
        sentences = tuple(Span(a, b) for a, b in pairs)
        passages.append(Passage(ordinal, start, end, one.document.text[start:end], sentences, language, section))
        vectors.append(np.frombuffer(blob, dtype="<f2").reshape(-1, dim))
        words.append(own)
        terms.append(body)
        title_terms = title
    return EncodedDocument(
        one.document,
        tuple(passages),
        tuple(vectors),
        tuple(words),
        tuple(terms),
        title_terms,
        one.sounds,
        tuple(aliases),
        one.file,
    )


def listed(connection: Connection, settings_key: str, number: int | None = None) -> Iterator[StoredDocument]:
    """Every stored document without its text, in the order of ingest; or one."""
    rows = connection.execute(
        "SELECT doc_id, location, source, title, url, author, date, language, n_chars, n_passages, settings_key != %s,"
        " (SELECT array_agg(tag ORDER BY ordinal) FROM tags t WHERE t.doc_id = d.doc_id)"
        f" FROM documents d WHERE {'true' if number is None else 'doc_id = %s'} ORDER BY position, doc_id",
        (settings_key,) if number is None else (settings_key, number),
    )
    for row in rows:
        fields: list[Any] = [doc_id_of(row[0]), *row[1:11], tuple(row[11] or ())]
        yield StoredDocument(*fields)
