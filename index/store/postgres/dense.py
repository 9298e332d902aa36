"""The nearest vectors: exactly in languages with few, by an HNSW index of its own in each of the others."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from index.encoders.base import FloatArray
from index.store.base import Filter
from index.store.postgres.address import Connection
from index.store.postgres.facts import Facts, of_documents

# Vectors of a language: up to so many are compared one by one, which takes 1 ms; docs/decisions/0016
EXACT_MAX = 2_000
# Through a filter that leaves less than this, an index finds too little in reasonable time.
_LEAST_SHARE = 0.1
# Vectors fetched for each passage wanted: it has up to a dozen, of which several may be near.
_VECTORS, _MANY_VECTORS = 4, 16
_MOST_BY_INDEX = 1_000  # vectors wanted; of more, comparing all is as fast


Hit = tuple[float, int]  # cosine, pid


class HalfVector:
    """A vector on its way to the server as `halfvec`."""

    def __init__(self, values: FloatArray) -> None:
        self.values = values


class HalfVectorDumper(Dumper):
    """Writes a `HalfVector` in pgvector's binary form."""

    format = Format.BINARY

    def dump(self, obj: HalfVector) -> Buffer:
        return struct.pack(">HH", len(obj.values), 0) + obj.values.astype(">f2").tobytes()


def nearest_of_each(
    connection: Connection, facts: Facts, query: FloatArray, n: int, where: Filter
) -> list[tuple[int, float]]:
    """(pid, greatest cosine) of the `n` nearest passages of each language (primary subtag) in `where`, nearest first."""
    found = _grouped(_hits(connection, facts, query, _VECTORS * n, where), n)
    sizes: Counter[str] = Counter()
    for tag, n_taken in facts.counted(connection, where).items():
        sizes[_group(tag)] += n_taken
    # Of passages with many near vectors more are fetched.
    short = {group for group, own in found.items() if len(own) < min(n, sizes[group])}
    if short:
        found |= _grouped(_hits(connection, facts, query, _MANY_VECTORS * n, where, short), n)
    return sorted((hit for own in found.values() for hit in own), key=lambda hit: (-hit[1], hit[0]))


def _grouped(hits: Mapping[str, list[Hit]], n: int) -> dict[str, list[tuple[int, float]]]:
    groups: dict[str, list[Hit]] = defaultdict(list)
    for tag, own in hits.items():
        groups[_group(tag)] += own
    return {group: best_of_parts(own, len(own))[:n] for group, own in groups.items()}


def _group(tag: str) -> str:
    return tag.split("-")[0]


def best_of_parts(hits: list[Hit], n: int) -> list[tuple[int, float]]:
    """The passages of the `n` best of `hits`, each with its best score."""
    hits.sort(key=lambda hit: (-hit[0], hit[1]))
    best: dict[int, float] = {}
    for score, pid in hits[:n]:
        best.setdefault(pid, score)
    return list(best.items())


def _hits(
    connection: Connection, facts: Facts, query: FloatArray, n: int, where: Filter, groups: Set[str] | None = None
) -> dict[str, list[Hit]]:
    """The `n` nearest vectors of each language that `where` takes (of these primary subtags), by one statement."""
    taken = facts.counted(connection, where)
    if groups is not None:
        taken = {tag: n_taken for tag, n_taken in taken.items() if _group(tag) in groups}
    values = _asked(query)
    inside = ""
    if where.of_documents:
        condition, of = of_documents(where)
        inside = f" AND doc_id IN (SELECT d.doc_id FROM documents d WHERE {condition})"
        values |= of
    wanted = {tag: min(n, facts.languages[tag].n_vectors) for tag in taken if facts.languages[tag].n_vectors}
    by_index = {tag for tag in wanted if _pays(facts, tag, taken[tag], wanted[tag])}
    found = _searched(connection, facts.dim, wanted, by_index, inside, values)
    if inside:
        # Through a filter an index may stop before it has found enough.
        short = {tag: wanted[tag] for tag in by_index if len(found[tag]) < wanted[tag]}
        found |= _searched(connection, facts.dim, short, set(), inside, values)
    return found


def _pays(facts: Facts, tag: str, n_taken: int, n_wanted: int) -> bool:
    """Whether the index of a language finds what is wanted, and sooner than comparing all."""
    known = facts.languages[tag]
    share = n_taken / known.n_passages
    enough = known.n_vectors > EXACT_MAX and 4 * n_wanted < share * known.n_vectors and n_wanted <= _MOST_BY_INDEX
    return tag in facts.indexed and enough and share >= _LEAST_SHARE


def _searched(
    connection: Connection, dim: int, wanted: Mapping[str, int], by_index: Set[str], inside: str, values: dict[str, Any]
) -> dict[str, list[Hit]]:
    """The nearest vectors of each language, as many as are wanted of it."""
    if not wanted:
        return {}
    tags = list(wanted)
    parts = [
        f"SELECT {i} AS place, pid, score FROM ("
        + (_BY_INDEX if tag in by_index else _EXACTLY).format(tag=_literal(tag), dim=dim, inside=inside, n=wanted[tag])
        + f") own{i}"
        for i, tag in enumerate(tags)
    ]
    found: dict[str, list[Hit]] = {tag: [] for tag in tags}
    rows = connection.execute(" UNION ALL ".join(parts), values, prepare=True, binary=True)
    for place, pid, score in rows:
        found[tags[place]].append((score, pid))
    return found


def _literal(tag: str) -> str:
    return sql.Literal(tag).as_string(None)


# Numbers and the tag stand in the text: a plan for any limit and any language would use no index. A query has more
# digits than `halfvec` holds: what it leaves out is added to the scores of what is found.
_FOUND = (
    "SELECT pid, -(own <#> %(query)s::halfvec({dim})) - (own <#> %(rest)s::halfvec({dim})) AS score FROM"
    " (SELECT pid, embedding::halfvec({dim}) AS own FROM vectors WHERE language = {tag} AND dim = {dim}{inside}"
)
_BY_INDEX = _FOUND + " ORDER BY embedding::halfvec({dim}) <#> %(query)s::halfvec({dim}) LIMIT {n}) near"
_EXACTLY = _FOUND + " ORDER BY (embedding::halfvec({dim}) <#> %(query)s::halfvec({dim})) + 0 LIMIT {n}) near"


def _asked(query: FloatArray) -> dict[str, Any]:
    """A query in two halves, which are it together."""
    first = query.astype(np.float16).astype(np.float32)
    return {"query": HalfVector(first), "rest": HalfVector(query - first)}


def exact_nearest(connection: Connection, dim: int, tag: str, query: FloatArray, n: int) -> list[tuple[int, float]]:
    """(pid, cosine) of the `n` nearest vectors of a language, by comparing all: what an index is held against."""
    statement = _EXACTLY.format(tag=_literal(tag), dim=dim, inside="", n=n)
    return connection.execute(statement, _asked(query)).fetchall()


def indexed_nearest(connection: Connection, dim: int, tag: str, query: FloatArray, n: int) -> list[tuple[int, float]]:
    """(pid, cosine) of the `n` nearest vectors of a language that its index finds."""
    statement = _BY_INDEX.format(tag=_literal(tag), dim=dim, inside="", n=n)
    return connection.execute(statement, _asked(query)).fetchall()


def as_singles(blob: bytes, dim: int) -> FloatArray:
    """Vectors of passages as they are stored, (n_vectors, dim)."""
    return np.frombuffer(blob, dtype="<f2").reshape(-1, dim).astype(np.float32)
