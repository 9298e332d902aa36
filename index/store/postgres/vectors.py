"""The HNSW indexes: one a language that has many vectors, made once those are stored, kept up by the server since."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from psycopg import errors, sql

from index.store.postgres import dense
from index.store.postgres.address import Address, Connection
from index.store.postgres.connections import EF_SEARCH, use_memory
from index.store.postgres.facts import Facts, index_name
from index.store.postgres.schema import lock_number

M, EF_CONSTRUCTION = 16, 100
_N_QUERIES = 30  # a language that recall is measured on
_BYTES_A_LINK = 8 * 2 * M  # about what the graph takes beside the vectors while it is made


def lacking(facts: Facts) -> list[str]:
    """Languages with so many vectors that an index pays, and without one."""
    return [tag for tag, own in facts.languages.items() if own.n_vectors > dense.EXACT_MAX and tag not in facts.indexed]


def build(connection: Connection, address: Address, facts: Facts, tags: Sequence[str]) -> dict[str, float]:
    """Make the index of each language, a transaction each; recall@10 of each against comparing all.

    Readers go on meanwhile, other writers wait: for one language at a time.
    """
    recalls = {}
    for tag in tags:
        try:
            _build(connection, address, facts, tag, parallel=True)
        except (errors.DiskFull, errors.OutOfMemory, errors.InsufficientResources):
            # Shared memory (64 MB in a container by default) is what parallel workers build in.
            _build(connection, address, facts, tag, parallel=False)
        recalls[tag] = _recall(connection, facts, tag)
    return recalls


def _build(connection: Connection, address: Address, facts: Facts, tag: str, parallel: bool) -> None:
    needed = facts.languages[tag].n_vectors * (2 * facts.dim + _BYTES_A_LINK + 100)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(address, "vectors"),))
        use_memory(connection, needed)
        if not parallel:
            connection.execute("SET LOCAL max_parallel_maintenance_workers = 0")
        name = index_name(tag, facts.dim)
        connection.execute(f'DROP INDEX IF EXISTS "{name}"')
        connection.execute(
            f'CREATE INDEX "{name}" ON vectors USING hnsw ((embedding::halfvec({facts.dim})) halfvec_ip_ops)'
            f" WITH (m = {M}, ef_construction = {EF_CONSTRUCTION})"
            f" WHERE language = {sql.Literal(tag).as_string(None)} AND dim = {facts.dim}"
        )


def drop_useless(connection: Connection, facts: Facts) -> list[str]:
    """Remove indexes of languages and dimensions that are no more, and such as a killed server left; their names."""
    wanted = {index_name(tag, facts.dim) for tag, own in facts.languages.items() if own.n_vectors}
    rows = connection.execute(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'vectors'::regclass AND c.relname LIKE 'hnsw%'"
    ).fetchall()
    gone = [name for (name,) in rows if name not in wanted]
    for name in gone:
        connection.execute(f'DROP INDEX IF EXISTS "{name}"')
    return gone


def _recall(connection: Connection, facts: Facts, tag: str) -> float:
    """Share of the ten nearest that the index finds, over stored vectors that have been moved a little."""
    generator, dim = np.random.default_rng(0), facts.dim
    hits = n = 0
    with connection.transaction():
        connection.execute(f"SET LOCAL hnsw.ef_search = {EF_SEARCH}; SET LOCAL jit = off")
        # The first of all languages by their number, which is drawn by lot, or of a small language all: few are read.
        n_read = 2 * _N_QUERIES * facts.n_passages // max(1, facts.languages[tag].n_passages)
        first = f"(SELECT * FROM passages ORDER BY pid LIMIT {n_read}) AS passages"
        rows = connection.execute(
            f"SELECT vectors FROM {first if n_read < facts.languages[tag].n_passages else 'passages'}"
            " WHERE language = %s AND n_vectors > 0 AND length(vectors) = n_vectors * %s ORDER BY pid LIMIT %s",
            (tag, 2 * dim, _N_QUERIES),
            binary=True,
        ).fetchall()
        for (blob,) in rows:
            matrix = dense.as_singles(blob, dim)
            query = matrix[generator.integers(len(matrix))]
            query = (query + generator.standard_normal(dim) * 0.5 / np.sqrt(dim)).astype(np.float32)
            found = [score for _, score in dense.indexed_nearest(connection, dim, tag, query, 10)]
            exact = [score for _, score in dense.exact_nearest(connection, dim, tag, query, 10)]
            hits += sum(score >= exact[-1] - 1e-9 for score in found) if exact else 0
            n += len(exact)
    return round(hits / n, 4) if n else 1.0


def recalls_of(meta: dict[str, str]) -> dict[str, float]:
    """What was measured when the indexes were made, by language."""
    found: dict[str, float] = json.loads(meta.get("recalls", "{}"))
    return found
