"""The HNSW indexes: one for each language with many vectors, created at the end of an ingest, then kept by the server."""

from __future__ import annotations

from typing import Any

import numpy as np
from pgvector import HalfVector
from psycopg import errors, sql

from index.encoders.base import FloatArray
from index.store.postgres.address import Connection

EXACT_MAX = 2_000  # vectors of a language: up to so many are compared one by one, which takes 1 ms
_N_QUERIES = 30  # to measure the recall of a language's index
_BYTES_A_VECTOR = 400  # about what the graph takes beside the vector while it is built
_MAX_MEMORY_KB = 2 * 2**20


def index_name(language: str, dim: int) -> str:
    """The name of the HNSW index of a language."""
    letters = "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in language)
    return f"hnsw_{dim}_{letters}"[:63]


def existing(connection: Connection) -> set[str]:
    """Names of the HNSW indexes that there are."""
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'vectors'"
    return {name for (name,) in connection.execute(indexes) if name.startswith("hnsw_")}


def near(language: str, dim: int, n: int, inside: str = "", exact: bool = False) -> str:
    """SQL for (pid, cosine) of the `n` vectors of a language that are nearest to %(query)s.

    The language and the numbers stand in the text: a plan for any language and any number would use no index.

    Args:
        language: Tag of the language.
        dim: Components of a vector.
        n: Vectors wanted.
        inside: A further condition, beginning with AND.
        exact: Whether all vectors are compared, though there may be an index.
    """
    distance = f"embedding::halfvec({dim}) <#> %(query)s"
    order = f"({distance}) + 0" if exact else distance
    where = f"language = {_literal(language)} AND vector_dims(embedding) = {dim}{inside}"
    return f"SELECT pid, -({distance}) AS score FROM vectors WHERE {where} ORDER BY {order} LIMIT {n}"


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def refresh(connection: Connection, dim: int, force: bool) -> dict[str, float]:
    """Create the indexes that are missing, or all again, and drop those that serve no language.

    Readers continue meanwhile; other writers wait for one language at a time.

    Returns:
        Recall@10 of each new index against exact search, by language.
    """
    sizes: dict[str, int] = dict(
        connection.execute("SELECT language, sum(n_vectors)::bigint FROM passages GROUP BY 1").fetchall()
    )
    large = {tag: n for tag, n in sizes.items() if n > EXACT_MAX}
    known = existing(connection)
    for name in known - {index_name(tag, dim) for tag in sizes}:
        connection.execute(f'DROP INDEX IF EXISTS "{name}"')
    recalls = {}
    for tag, n_vectors in large.items():
        if force or index_name(tag, dim) not in known:
            try:
                _build(connection, tag, dim, n_vectors, parallel="")
            except (errors.DiskFull, errors.OutOfMemory, errors.InsufficientResources):
                # Parallel workers build in shared memory, of which a container has 64 MB by default.
                _build(connection, tag, dim, n_vectors, parallel="SET LOCAL max_parallel_maintenance_workers = 0")
            recalls[tag] = _recall(connection, tag, dim)
    return recalls


def _build(connection: Connection, language: str, dim: int, n_vectors: int, parallel: str) -> None:
    name = index_name(language, dim)
    needed_kb = min(n_vectors * (2 * dim + _BYTES_A_VECTOR) // 1024, _MAX_MEMORY_KB)
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0)); {parallel}")
        connection.execute(
            "SELECT set_config('maintenance_work_mem', greatest(%s,"
            " pg_size_bytes(current_setting('maintenance_work_mem')) / 1024)::text || 'kB', true)",
            (needed_kb,),
        )
        connection.execute(f'DROP INDEX IF EXISTS "{name}"')
        connection.execute(
            f'CREATE INDEX "{name}" ON vectors USING hnsw ((embedding::halfvec({dim})) halfvec_ip_ops)'
            " WITH (m = 16, ef_construction = 100)"
            f" WHERE language = {_literal(language)} AND vector_dims(embedding) = {dim}"
        )


def _recall(connection: Connection, language: str, dim: int) -> float:
    """Share of the ten nearest vectors that the index finds, for stored vectors with some noise."""
    sample = "SELECT embedding FROM vectors WHERE language = %s AND vector_dims(embedding) = %s AND part = 0 ORDER BY pid LIMIT %s"
    generator = np.random.default_rng(0)
    n_found = n_expected = 0
    for (vector,) in connection.execute(sample, (language, dim, _N_QUERIES)).fetchall():
        query = vector.to_numpy() + generator.standard_normal(dim) * 0.5 / np.sqrt(dim)
        asked = {"query": HalfVector(query)}
        exact = _scores(connection.execute(near(language, dim, 10, exact=True), asked).fetchall())
        found = _scores(connection.execute(near(language, dim, 10), asked).fetchall())
        n_expected += len(exact)
        n_found += int((found >= exact[-1] - 1e-9).sum()) if len(exact) else 0
    return round(n_found / n_expected, 4) if n_expected else 1.0


def _scores(rows: list[tuple[Any, ...]]) -> FloatArray:
    return np.array([score for _, score in rows])
