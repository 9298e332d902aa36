"""The tables of an index in PostgreSQL.

The rules that let Citus shard them: every table but `meta` has a distribution column (`doc`; `location` of files),
every unique index holds it, and there are no foreign keys, sequences and triggers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
from pgvector.psycopg import register_vector
from psycopg import errors

from index.errors import StoreError
from index.store import shown_place
from index.store.postgres.address import Address, Connection, translated
from index.store.rows import Row, Rows, SqlValue
from index.store.tables import FORMAT_VERSION, TABLES, check_format

_MIN_PGVECTOR = (0, 8)
_TYPES = {
    "text": 'text COLLATE "C"',
    "number": "bigint",
    "real": "double precision",
    "blob": "bytea STORAGE EXTERNAL",
    "vector": "halfvec",
    "hash": "USING hash",
    "passage": "pid bigint NOT NULL, doc bigint NOT NULL, PRIMARY KEY (pid, doc)",
}
_OWN_TABLES = f"""
CREATE INDEX vectors_language ON vectors (language);
CREATE TABLE terms (
    {_TYPES["passage"]}, body text NOT NULL, title text NOT NULL,  -- joined by spaces
    n_terms integer GENERATED ALWAYS AS (
        cardinality(string_to_array(body, ' ')) + cardinality(string_to_array(title, ' '))
    ) STORED
);
CREATE INDEX terms_doc ON terms (doc);
CREATE INDEX terms_n_terms ON terms (n_terms);
-- The lexical index, derived from `terms`: a row for each term of each passage.
CREATE TABLE postings (
    doc bigint NOT NULL, pid bigint NOT NULL, term bigint NOT NULL,  -- digest of the term
    frequency real NOT NULL, n_terms integer NOT NULL
);
CREATE INDEX postings_term ON postings (term) INCLUDE (pid, frequency, n_terms);
CREATE INDEX postings_doc ON postings (doc);
CREATE TABLE names (doc bigint NOT NULL, key text COLLATE "C" NOT NULL, form text COLLATE "C" NOT NULL);
CREATE INDEX names_doc ON names (doc);
CREATE INDEX names_key ON names (key);
"""
# The frequencies of a passage add up to its terms, those of the title by their weight.
_WRONG_POSTINGS = """
count(DISTINCT doc) FROM passages LEFT JOIN terms USING (doc, pid) LEFT JOIN (
    SELECT doc, pid, sum(frequency) AS n, min(n_terms) AS least, max(n_terms) AS most FROM postings GROUP BY 1, 2
) held USING (doc, pid) WHERE n_terms IS NULL OR least != n_terms OR most != n_terms OR 0.1 < abs(coalesce(held.n, 0)
    - n_terms + 0.4 * cardinality(string_to_array(title, ' ')))
"""


class PostgresRows(Rows):
    """The tables in a schema of a database."""

    matches = "d.source LIKE ?"
    wildcards = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})
    vector = "halfvec_send(v.embedding)"
    forms = "(SELECT key, form, count(*) AS n_documents FROM names GROUP BY key, form) forms"
    tables = (*Rows.tables, "terms", "postings", "names")
    address: Address
    connection: Connection

    def translated(self) -> AbstractContextManager[None]:
        """The server's errors as this package's."""
        return translated(self.address)

    def rows(self, query: str, *values: SqlValue) -> list[Row]:
        """Run a statement; the rows that it gives."""
        marked = query.replace("IN ?", "= ANY (?)").replace("?", "%s")
        with self.translated():
            cursor = self.connection.execute(marked, values, binary=True)
            return cursor.fetchall() if cursor.description else []

    @staticmethod
    def half(data: bytes) -> bytes:
        """See `index.store.rows.Rows`; pgvector sends the dim, two bytes of nothing, and the rest."""
        return np.frombuffer(data[4:], ">f2").astype("<f2").tobytes()

    def lexical_problems(self) -> list[str]:
        """How many documents have other postings than their terms give."""
        n = self.count(_WRONG_POSTINGS)
        return [f"the lexical index is wrong for {n} documents"] if n else []


def check_layout(connection: Connection, address: Address) -> None:
    """Refuse a format that this program does not read; see `index.store.tables.check_format`."""
    mark = "&" if "?" in address.conninfo else "?"
    elsewhere = shown_place(f"{address.conninfo}{mark}schema={address.schema}_v{FORMAT_VERSION}")
    check_format(address.shown, _stored_version(connection, address), elsewhere)


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
    connection.execute(TABLES.format(**_TYPES) + _OWN_TABLES)
    connection.execute("INSERT INTO meta VALUES ('format', %s)", (str(FORMAT_VERSION),))
    if "citus" in extensions:
        for table in ("documents", *PostgresRows.tables, "files"):
            column = "location" if table == "files" else "doc"
            connection.execute("SELECT create_distributed_table(%s, %s)", (table, column))


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
