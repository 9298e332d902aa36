"""The HNSW indexes: one for each language with many vectors, created at the end of an ingest, then kept by the server."""

from __future__ import annotations

from index.store.postgres.address import Connection

EXACT_MAX = 2_000  # passages of a language: up to so many are compared one by one, which takes 1 ms
_MEMORY = "2GB"  # at most, for the graph while it is built


def near(language: str, dim: int, n: int, inside: str, exact: bool) -> str:
    """SQL for (pid, score) of the `n` vectors of a language that are nearest to a query, by their inner product.

    Its values are the query, those of `inside`, and the query again.

    The language and the numbers stand in the text: a plan for any language and any number would use no index.

    Args:
        language: Tag of the language.
        dim: Components of a vector.
        n: Vectors wanted.
        inside: A further condition, beginning with AND; or empty.
        exact: Whether all vectors are compared, though there may be an index.
    """
    distance = f"embedding::halfvec({dim}) <#> ?"
    order = f"({distance}) + 0" if exact else distance
    where = _of(language, dim) + inside
    return f"SELECT pid, -({distance}) AS score FROM vectors WHERE {where} ORDER BY {order} LIMIT {n}"


def _of(language: str, dim: int) -> str:
    plain = "".join(char if char.isalnum() or char == "-" else f"\\U{ord(char):08x}" for char in language)
    return f"language = E'{plain}' AND vector_dims(embedding) = {dim}"


def refresh(connection: Connection, dim: int, force: bool) -> bool:
    """Create the indexes that are missing, or all again, and drop those that serve no language; whether any was created.

    Readers continue meanwhile; other writers wait for one language at a time.
    """
    sizes = connection.execute("SELECT language, count(*) FROM vectors GROUP BY 1").fetchall()
    wanted = {_name(tag, dim): tag for tag, n in sizes if n > EXACT_MAX}
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname ^@ 'hnsw_'"
    known = {name for (name,) in connection.execute(indexes)}
    for name in known - wanted.keys() if not force else known:
        connection.execute(f'DROP INDEX IF EXISTS "{name}"')
    fresh = [name for name in wanted if force or name not in known]
    for name in fresh:
        _build(connection, name, dim, wanted[name])
    return bool(fresh)


def _name(language: str, dim: int) -> str:
    letters = "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in language)
    return f"hnsw_{dim}_{letters}"[:63]


def _build(connection: Connection, name: str, dim: int, language: str) -> None:
    # Parallel workers build in shared memory, of which a container has 64 MB; one process takes what the graph needs.
    memory = f"greatest(pg_size_bytes('{_MEMORY}'), pg_size_bytes(current_setting('maintenance_work_mem'))) / 1024"
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0)),"
            " set_config('max_parallel_maintenance_workers', '0', true),"
            f" set_config('maintenance_work_mem', {memory} || 'kB', true)"
        )
        connection.execute(
            f'CREATE INDEX IF NOT EXISTS "{name}" ON vectors USING hnsw ((embedding::halfvec({dim})) halfvec_ip_ops)'
            f" WITH (m = 16, ef_construction = 100) WHERE {_of(language, dim)}"
        )
