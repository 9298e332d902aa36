"""Documents as rows of the tables, in the binary form that COPY takes; arrays of numbers are made by numpy."""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor

from index.names.known import name_key
from index.names.mined import Alias
from index.store.base import EncodedDocument
from index.store.postgres.postings import PostingRows, frequencies

MAX_PARTS = 256  # vectors a passage, as in the embedded backend
_HEAD, _TAIL = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"

Row = tuple[Any, ...]


def number_of(doc_id: str) -> int | None:
    """A document's id as the database has it, None where it is none."""
    try:
        return int.from_bytes(bytes.fromhex(doc_id), "big", signed=True) if len(doc_id) == 16 else None
    except ValueError:
        return None


def doc_id_of(number: int) -> str:
    """The id that `number_of` made a number."""
    return number.to_bytes(8, "big", signed=True).hex()


def numbers_of(doc_ids: Sequence[str]) -> list[int]:
    """The ids as the database has them; what is no id is left out."""
    return [number for doc_id in doc_ids if (number := number_of(doc_id)) is not None]


def location_key(location: str) -> uuid.UUID:
    """What a location is found and locked by: 128 bits of its digest, however long it is."""
    return uuid.UUID(bytes=hashlib.sha256(location.encode()).digest()[:16])


def passage_id(doc_id: str, settings_key: str, ordinal: int) -> int:
    """The pid of a passage, in 63 bits: the same again for the same text cut in the same way, and else never."""
    digest = hashlib.blake2b(f"{doc_id} {settings_key} {ordinal}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(slots=True)
class Rows:
    """The rows of some documents by table: values, or what numpy has made of them."""

    documents: list[Row]
    passages: list[Row]
    bodies: list[Row]
    names: list[Row]
    aliases: list[Row]
    tags: list[Row]
    postings: bytes
    vectors: list[bytes]


_COLUMNS = {
    "documents": (
        "doc_id, position, location_key, file_key, location, file, source, sha256, settings_key, title, url, author,"
        " date, language, headings, n_chars, n_passages, sounds, text",
        ["int8", "int8", "uuid", "uuid", *["text"] * 11, "int4", "int4", "text", "text"],
    ),
    "passages": (
        'doc_id, ordinal, pid, start, "end", length, n_terms, n_vectors, language, section, settings_key, text,'
        " sentences, vectors, words",
        ["int8", "int4", "int8", *["int4"] * 5, *["text"] * 4, "bytea", "bytea", "bytea"],
    ),
    "bodies": ("doc_id, pid, body, title", ["int8", "int8", "text", "text"]),
    "names": ("doc_id, sound, form", ["int8", "text", "text"]),
    "aliases": ("doc_id, key, name, other, confidence", ["int8", "text", "text", "text", "float8"]),
    "tags": ("doc_id, ordinal, tag, folded", ["int8", "int4", "text", "text"]),
}


def rows_of(documents: Sequence[EncodedDocument], settings_key: str, dim: int) -> Rows:
    """The rows of `documents`; they are in the order of ingest by the clock, and their place here.

    Raises:
        ValueError: A document has not as many vectors, words or terms as passages.
    """
    rows = Rows([], [], [], [], [], [], b"", [])
    postings = PostingRows()
    matrices: dict[str, list[tuple[int, int, NDArray[np.float16]]]] = defaultdict(list)
    now = time.time_ns() // 1000
    for place, item in enumerate(documents):
        number = number_of(item.document.doc_id)
        assert number is not None
        rows.documents.append(_document_row(item, number, now + place, settings_key))
        columns = zip(item.passages, item.vectors, item.words, item.terms, strict=True)
        for passage, matrix, words, terms in columns:
            pid = passage_id(item.document.doc_id, settings_key, passage.ordinal)
            kept = matrix[:MAX_PARTS]
            counted, length = frequencies(terms, item.title_terms)
            offsets = np.array(passage.sentences, dtype="<i4") - passage.start
            rows.passages.append(
                (number, passage.ordinal, pid, passage.start, passage.end, length, len(counted), len(kept),
                 passage.language, passage.section, settings_key, passage.text, offsets.astype("<i4").tobytes(),
                 kept.astype("<f2").tobytes(), words)
            )  # fmt: skip
            rows.bodies.append((number, pid, terms, item.title_terms))
            postings.add(number, pid, counted, length)
            matrices[passage.language].append((number, pid, kept))
        rows.names += [(number, *pair) for pair in sounds_of(item.sounds)]
        rows.aliases += alias_rows(number, item.aliases)
        rows.tags += [(number, i, tag, folded(tag)) for i, tag in enumerate(item.document.metadata.tags)]
    rows.postings = postings.as_bytes()
    rows.vectors = [vector_bytes(language, own, dim) for language, own in matrices.items()]
    return rows


def _document_row(item: EncodedDocument, number: int, position: int, settings_key: str) -> Row:
    document, meta = item.document, item.document.metadata
    return (
        number, position, location_key(document.location), location_key(item.file), document.location, item.file,
        document.source, document.sha256, settings_key, meta.title, meta.url, meta.author, meta.date, meta.language,
        json.dumps(document.headings), len(document.text), len(item.passages), item.sounds, document.text,
    )  # fmt: skip


def sounds_of(sounds: str) -> list[tuple[str, str]]:
    """(sound, form) of each name, once."""
    pairs = (entry.partition(":") for entry in dict.fromkeys(sounds.split()))
    return [(sound, form) for sound, _, form in pairs]


def alias_rows(number: int, aliases: Sequence[Alias]) -> list[Row]:
    """A document's aliases, both ways, each pair once; as said comes before turned round, so that a copy is the same."""
    turned = [Alias(alias.other, alias.name, alias.confidence) for alias in aliases]
    found: dict[tuple[str, str], Row] = {}
    for alias in (*aliases, *turned):
        key = name_key(alias.name)
        found.setdefault((key, alias.other), (number, key, alias.name, alias.other, alias.confidence))
    return list(found.values())


def folded(tag: str) -> str:
    """`tag` as it is compared: case and width do not count."""
    return unicodedata.normalize("NFKC", tag).casefold()


def vector_bytes(language: str, matrices: Sequence[tuple[int, int, NDArray[np.float16]]], dim: int) -> bytes:
    """The vectors of passages in one language, (doc_id, pid, vectors) each, as COPY takes them."""
    tag = language.encode()
    row = np.dtype(
        [("n", ">i2"), ("a", ">i4"), ("doc", ">i8"), ("b", ">i4"), ("pid", ">i8"), ("c", ">i4"), ("part", ">i2"),
         ("d", ">i4"), ("dim", ">i2"), ("e", ">i4"), ("language", f"V{len(tag)}"), ("f", ">i4"), ("size", ">i2"),
         ("zero", ">i2"), ("vector", ">f2", (dim,))]
    )  # fmt: skip
    table = np.zeros(sum(len(matrix) for _, _, matrix in matrices), row)
    table["n"], table["a"], table["b"], table["c"], table["d"], table["e"] = 6, 8, 8, 2, 2, len(tag)
    table["f"], table["dim"], table["size"] = 4 + 2 * dim, dim, dim
    if tag:
        table["language"] = np.void(tag)
    first = 0
    for number, pid, matrix in matrices:
        own = table[first : first + len(matrix)]
        own["doc"], own["pid"], own["part"], own["vector"] = number, pid, np.arange(len(matrix)), matrix
        first += len(matrix)
    return table.tobytes()


def copy_rows(cursor: Cursor[Any], rows: Rows) -> None:
    """Put the rows into their tables."""
    for table, (columns, types) in _COLUMNS.items():
        own = getattr(rows, table)
        if own:
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(types)
                for row in own:
                    copy.write_row(row)
    copy_bytes(cursor, "postings (doc_id, pid, term, frequency, length)", [rows.postings])
    copy_bytes(cursor, "vectors (doc_id, pid, part, dim, language, embedding)", rows.vectors)


def copy_bytes(cursor: Cursor[Any], table: str, parts: Sequence[bytes]) -> None:
    """Put rows that are bytes already into `table`."""
    if any(parts):
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
            for part in (_HEAD, *parts, _TAIL):
                copy.write(part)


def in_batches(values: Sequence[int], size: int) -> Iterator[list[int]]:
    """`values` in pieces of at most `size`."""
    return (list(values[i : i + size]) for i in range(0, len(values), size))
