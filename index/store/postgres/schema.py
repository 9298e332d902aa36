"""The tables of an index in PostgreSQL.

The rules that let Citus shard them: every table but `meta` has a distribution column (`doc`), every unique index holds
it, and there are no foreign keys, sequences and triggers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pgvector.psycopg import register_vector
from psycopg import errors

from index.encoders.base import FloatArray
from index.errors import FormatTooNew, FormatTooOld, StoreError
from index.store import shown_place
from index.store.postgres.address import Address, Connection, missing
from index.store.rows import Row, Rows, SqlValue

FORMAT_VERSION = 5
_MIN_PGVECTOR = (0, 8)

# `doc` is a digest of the location: a location has one row, which its writer locks. `pid` is a digest of the document,
# the settings and the passage's place: writers need no common counter, and a pid never means another passage.
_LAYOUT = """
CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE files (
    doc bigint PRIMARY KEY, location text COLLATE "C" NOT NULL, source text NOT NULL, digest text NOT NULL,
    settings_key text NOT NULL, status text NOT NULL, reason text NOT NULL
);
CREATE INDEX ON files USING hash (location);
CREATE TABLE documents (
    doc bigint PRIMARY KEY, doc_id text COLLATE "C" NOT NULL, position bigint NOT NULL, location text NOT NULL,
    file text NOT NULL, source text COLLATE "C" NOT NULL, sha256 text NOT NULL,
    checksum bigint NOT NULL,  -- CRC-32 of the passages
    settings_key text NOT NULL, title text NOT NULL, url text NOT NULL, author text NOT NULL,
    date text COLLATE "C" NOT NULL, language text COLLATE "C" NOT NULL, tags text[] NOT NULL,
    folded_tags text[] NOT NULL, headings text NOT NULL, n_chars integer NOT NULL, n_passages integer NOT NULL,
    title_terms text NOT NULL, text text NOT NULL
);
CREATE INDEX ON documents (doc_id);
CREATE INDEX ON documents USING hash (location);
CREATE INDEX ON documents USING hash (file);
CREATE INDEX ON documents (position, doc);
CREATE INDEX ON documents USING gin (folded_tags);
CREATE TABLE passages (
    pid bigint NOT NULL, doc bigint NOT NULL, ordinal integer NOT NULL, start integer NOT NULL, "end" integer NOT NULL,
    language text COLLATE "C" NOT NULL, section text NOT NULL,
    sentences bytea NOT NULL,  -- int32 pairs, offsets from the passage's start
    n_terms integer NOT NULL,  -- of its text and of the title
    terms text NOT NULL,  -- of its text, joined by spaces
    words bytea STORAGE EXTERNAL NOT NULL,  -- as the encoder packs them
    PRIMARY KEY (pid, doc)
);
CREATE INDEX ON passages (doc);
CREATE INDEX ON passages (language) INCLUDE (n_terms);
-- Those of current documents only.
CREATE TABLE vectors (
    pid bigint NOT NULL, doc bigint NOT NULL, language text COLLATE "C" NOT NULL, embedding halfvec NOT NULL,
    PRIMARY KEY (pid, doc)
);
CREATE INDEX ON vectors (doc);
CREATE INDEX ON vectors (language);
-- Vectors of passages by the contextual encoder, which are made after all else.
CREATE TABLE context (pid bigint NOT NULL, doc bigint NOT NULL, embedding bytea NOT NULL, PRIMARY KEY (pid, doc));
CREATE INDEX ON context (doc);
-- The lexical index, derived from `passages` and `documents`: a row for each term of each passage.
CREATE TABLE postings (
    doc bigint NOT NULL, pid bigint NOT NULL, term bigint NOT NULL,  -- digest of the term
    frequency real NOT NULL, n_terms integer NOT NULL
);
CREATE INDEX ON postings (term) INCLUDE (pid, frequency, n_terms);
CREATE INDEX ON postings (doc);
CREATE TABLE names (
    key text COLLATE "C" NOT NULL, form text COLLATE "C" NOT NULL, doc bigint NOT NULL, PRIMARY KEY (key, form, doc)
);
CREATE INDEX ON names (doc);
CREATE TABLE aliases (
    doc bigint NOT NULL, key text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, other text COLLATE "C" NOT NULL,
    confidence double precision NOT NULL, PRIMARY KEY (key, other, doc)
);
CREATE INDEX ON aliases (doc);
"""
# The frequencies of a passage add up to its terms, those of the title by their weight.
WRONG_POSTINGS = """
SELECT DISTINCT doc FROM passages p JOIN documents d USING (doc) LEFT JOIN (
    SELECT doc, pid, sum(frequency) AS n, min(n_terms) AS least, max(n_terms) AS most FROM postings GROUP BY 1, 2
) held USING (doc, pid) WHERE least != p.n_terms OR most != p.n_terms OR 0.1 < abs(coalesce(held.n, 0)
    - p.n_terms + 0.4 * cardinality(string_to_array(d.title_terms, ' ')))
"""


class PostgresRows(Rows):
    """The tables in a schema of a database."""

    order = "d.position, d.doc"
    tags = "array_to_json(d.tags)::text"
    tagged = "d.folded_tags && ?"
    matches = "d.source LIKE ?"
    wildcards = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})
    vector = "halfvec_send(v.embedding)"
    tables = ("passages", "vectors", "context", "postings", "names", "aliases")
    connection: Connection

    def rows(self, query: str, *values: SqlValue) -> list[Row]:
        """Run a statement; the rows that it gives."""
        marked = query.replace("IN ?", "= ANY (?)").replace("?", "%s")
        cursor = self.connection.execute(marked, values, binary=True)
        return cursor.fetchall() if cursor.description else []

    @staticmethod
    def packed_vector(vector: NDArray[np.floating]) -> bytes:
        """A vector as pgvector sends it: the dim, two bytes of nothing, then float16."""
        return struct.pack(">hh", len(vector), 0) + bytes(vector.astype(">f2").tobytes())

    @staticmethod
    def unpacked_vectors(data: Sequence[bytes], dim: int) -> FloatArray:
        """float32, (n, dim), of vectors that pgvector sent."""
        return np.frombuffer(b"".join(one[4:] for one in data), ">f2").reshape(-1, dim).astype(np.float32)

    def lexical_problems(self) -> list[str]:
        """How many documents have other postings than their terms give."""
        n = len(self.rows(WRONG_POSTINGS))
        return [f"the lexical index is wrong for {n} documents"] if n else []


def check_layout(connection: Connection, address: Address) -> None:
    """Refuse an index that this version cannot read.

    Raises:
        IndexMissing: There is no index.
        FormatTooNew, FormatTooOld: A newer or an older version of this program made it.
    """
    version = _stored_version(connection, address)
    if version == 0:
        raise missing(address)
    found = f"{address.shown} has index format {version}"
    if version > FORMAT_VERSION:
        remedy = "use a newer dragoman, or index into another schema (?schema=NAME)"
        raise FormatTooNew(found, f"at most {FORMAT_VERSION}", remedy)
    if version < FORMAT_VERSION:
        mark = "&" if "?" in address.conninfo else "?"
        place = shown_place(f"{address.conninfo}{mark}schema={address.schema}_v{FORMAT_VERSION}")
        remedy = f"index the sources into a new schema: dragoman index --index '{place}' PATH..."
        raise FormatTooOld(f"{found}, of an older version of this program", f"format {FORMAT_VERSION}", remedy)


def _stored_version(connection: Connection, address: Address) -> int:
    """The format of the tables; 0 where there are none."""
    tables = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'meta'"
    if connection.execute(tables, (address.schema,)).fetchone() is None:
        return 0
    row = connection.execute(f"SELECT value FROM {address.schema}.meta WHERE key = 'format'").fetchone()
    return int(row[0]) if row else 0


def lay_out(connection: Connection, address: Address) -> None:
    """Create the tables where there are none; one writer at a time does.

    Raises:
        FormatTooNew, FormatTooOld, StoreError: There are tables of another format; or the server is a replica, has no pgvector, or
            encodes the database in another way than UTF-8.
    """
    if _stored_version(connection, address) == 0:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (address.schema,))
            if _stored_version(connection, address) == 0:
                _create(connection, address)
    check_layout(connection, address)


def _create(connection: Connection, address: Address) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        remedy = "createdb --encoding UTF8 --template template0"
        raise StoreError(f"the database of {address.shown} is encoded in {encoding}", "UTF8", remedy)
    extensions = {name for (name,) in connection.execute("SELECT extname FROM pg_extension")}
    if "vector" not in extensions:
        try:
            connection.execute("CREATE EXTENSION vector")
        except (errors.InsufficientPrivilege, errors.FeatureNotSupported, errors.UndefinedFile) as error:
            raise _no_pgvector(address, address.without_secrets(str(error))) from error
    # A user may write to a schema without the right to create one: so IF NOT EXISTS is not enough.
    if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (address.schema,)).fetchone() is None:
        connection.execute(f"CREATE SCHEMA {address.schema}")
    prepare(connection, address)
    connection.execute(_LAYOUT)
    connection.execute("INSERT INTO meta VALUES ('format', %s)", (str(FORMAT_VERSION),))
    if "citus" in extensions:
        for table in ("documents", *PostgresRows.tables, "files"):
            connection.execute("SELECT create_distributed_table(%s, 'doc')", (table,))


def prepare(connection: Connection, address: Address) -> None:
    """Let the session find this index's tables and pgvector's types, and search as it should.

    Raises:
        StoreError: There is no pgvector, or an older one.
    """
    row = connection.execute(
        "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'vector'"
    ).fetchone()
    home, version = row or ("", "0.0")
    if tuple(int(part) for part in version.split(".")[:2]) < _MIN_PGVECTOR:
        raise _no_pgvector(address, f"version {version}" if row else "the extension vector is not created in it")
    connection.execute(f'SET search_path = "{address.schema}", "{home}", pg_catalog; {_SETTINGS}')
    register_vector(connection)


# JIT takes longer than any query here. ef_search: docs/decisions/0016. A commit is on the disk when it returns.
_SETTINGS = (
    "SET jit = off; SET hnsw.ef_search = 200; SET hnsw.iterative_scan = strict_order; SET hnsw.max_scan_tuples = 200000;"
    " SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


def _no_pgvector(address: Address, found: str) -> StoreError:
    return StoreError(
        f"the database of {address.shown} has no usable pgvector ({found})",
        "the extension vector, 0.8 or later",
        "install pgvector on the server, then as its superuser: CREATE EXTENSION vector (or ALTER EXTENSION vector UPDATE)",
    )
