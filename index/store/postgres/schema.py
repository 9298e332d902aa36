"""The tables of an index in PostgreSQL, their version, and how they are brought up to date.

Every table has a distribution column (`doc_id`, `location_key` where a document is not yet known) that
every unique index holds, there are no foreign keys and no sequences: so the same tables can be sharded by Citus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from psycopg import errors

from index.errors import FormatTooNew, StoreError
from index.store.postgres.address import Address, Connection, missing, no_pgvector, translated

FORMAT_VERSION = 2
_LEAST_PGVECTOR = (0, 8)

# doc_id is the document's own, as a number; pid a digest of it, of the settings and of the place in it: so that
# writers need no common counter, a repeat writes what is there, and a pid never means another passage.
_LAYOUT = """
CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
CREATE TABLE files (
    location_key uuid PRIMARY KEY, location text COLLATE "C" NOT NULL, source text NOT NULL, digest text NOT NULL,
    settings_key text NOT NULL, status text NOT NULL, reason text NOT NULL, at timestamptz NOT NULL DEFAULT now()
);
-- Which document a location holds: whoever writes one locks its row, so that no two versions are left.
CREATE TABLE locations (location_key uuid PRIMARY KEY, doc_id bigint NOT NULL);
CREATE TABLE documents (
    doc_id bigint PRIMARY KEY, position bigint NOT NULL, location_key uuid NOT NULL, file_key uuid NOT NULL,
    location text COLLATE "C" NOT NULL, file text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL,
    sha256 text NOT NULL, settings_key text NOT NULL, title text NOT NULL, url text NOT NULL, author text NOT NULL,
    date text COLLATE "C" NOT NULL, language text COLLATE "C" NOT NULL, headings text NOT NULL,
    n_chars integer NOT NULL, n_passages integer NOT NULL, sounds text NOT NULL, text text NOT NULL
);
CREATE INDEX documents_location ON documents (location_key);
CREATE INDEX documents_file ON documents (file_key);
CREATE INDEX documents_position ON documents (position, doc_id);
CREATE TABLE passages (
    doc_id bigint NOT NULL, ordinal integer NOT NULL, pid bigint NOT NULL, start integer NOT NULL,
    "end" integer NOT NULL, length integer NOT NULL, n_terms integer NOT NULL, n_vectors integer NOT NULL,
    language text COLLATE "C" NOT NULL, section text NOT NULL, settings_key text NOT NULL, text text NOT NULL,
    sentences bytea NOT NULL,  -- int32 pairs, offsets from the passage's start
    vectors bytea NOT NULL,  -- float16, (n_vectors, dim), the whole first
    PRIMARY KEY (doc_id, ordinal)
) WITH (toast_tuple_target = 8160);  -- a passage and its vectors lie on one page
CREATE INDEX passages_pid ON passages (pid);
CREATE INDEX passages_language ON passages (language, settings_key) INCLUDE (n_vectors, length);
CREATE TABLE bodies (
    doc_id bigint NOT NULL, pid bigint NOT NULL, body text NOT NULL, title text NOT NULL, PRIMARY KEY (doc_id, pid)
);
CREATE INDEX bodies_pid ON bodies (pid);
-- One row for each term of each passage; a term is 64 bits of its digest, its words are in `bodies`.
CREATE TABLE postings (
    doc_id bigint NOT NULL, pid bigint NOT NULL, term bigint NOT NULL,
    frequency real NOT NULL,  -- how often in the body, and 0.6 of how often in the title
    length integer NOT NULL  -- terms of the passage, title and all
);
-- The vectors of current passages once more, one a row, for what HNSW finds.
CREATE TABLE vectors (
    doc_id bigint NOT NULL, pid bigint NOT NULL, part smallint NOT NULL, dim smallint NOT NULL,
    language text COLLATE "C" NOT NULL, embedding halfvec NOT NULL, PRIMARY KEY (doc_id, pid, part)
);
CREATE INDEX vectors_language ON vectors (language, dim);
CREATE TABLE names (
    doc_id bigint NOT NULL, sound text COLLATE "C" NOT NULL, form text COLLATE "C" NOT NULL,
    PRIMARY KEY (doc_id, sound, form)
);
CREATE INDEX names_sound ON names (sound, form);
CREATE TABLE aliases (
    doc_id bigint NOT NULL, key text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    other text COLLATE "C" NOT NULL, confidence double precision NOT NULL, PRIMARY KEY (doc_id, key, other)
);
CREATE INDEX aliases_key ON aliases (key);
CREATE TABLE tags (
    doc_id bigint NOT NULL, ordinal integer NOT NULL, tag text NOT NULL, folded text COLLATE "C" NOT NULL,
    PRIMARY KEY (doc_id, ordinal)
);
CREATE INDEX tags_folded ON tags (folded);
"""
# Made once an index has been filled for the first time: kept up meanwhile they take three times as long.
POSTINGS_INDEXES = {
    "postings_term": "(term) INCLUDE (pid, frequency, length)",
    "postings_document": "(doc_id)",
}
# What each version added to the one before: an index of an older one gets it when it is next written to.
MIGRATIONS: Mapping[int, str] = {
    1: _LAYOUT,
    2: "ALTER TABLE passages ADD COLUMN words bytea NOT NULL DEFAULT ''",  # as the encoder packs them; '' for none
}

# By distribution column; `meta` stays on the coordinator.
DISTRIBUTED = {
    "documents": "doc_id", "passages": "doc_id", "bodies": "doc_id", "postings": "doc_id", "vectors": "doc_id",
    "names": "doc_id", "aliases": "doc_id", "tags": "doc_id", "locations": "location_key", "files": "location_key",
}  # fmt: skip
OF_DOCUMENTS = tuple(table for table, column in DISTRIBUTED.items() if column == "doc_id")


def lock_number(address: Address, what: str) -> int:
    """The number of the advisory lock for `what` of this index."""
    digest = hashlib.blake2b(f"dragoman {what} {address.schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def search_path(connection: Connection, address: Address) -> str:
    """The schemas in which this index's tables, and pgvector's types, are found.

    Raises:
        StoreError: There is no pgvector, or too old a one.
    """
    row = connection.execute(
        "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'vector'"
    ).fetchone()
    if row is None:
        raise no_pgvector(address, "the extension vector has not been created in it")
    home, version = row
    if tuple(int(part) for part in version.split(".")[:2]) < _LEAST_PGVECTOR:
        raise no_pgvector(address, f"version {version}")
    return f'"{address.schema}", "{home}", pg_catalog'


def stored_version(connection: Connection, address: Address) -> int:
    """The version of the tables; 0 where there are none."""
    # The catalogue itself: to_regclass remembers that there was no schema while it waits for the lock of the layout.
    there = connection.execute(
        "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'meta'", (address.schema,)
    ).fetchone()
    if there is None:
        return 0
    row = connection.execute(f"SELECT value FROM {address.schema}.meta WHERE key = 'format'").fetchone()
    return int(row[0]) if row else 0


def check_version(connection: Connection, address: Address) -> int:
    """The version of the tables, of an index that can be read.

    Raises:
        IndexMissing: There are none.
        FormatTooNew: A newer version of this program made them.
    """
    version = stored_version(connection, address)
    if version == 0:
        raise missing(address)
    if version > FORMAT_VERSION:
        raise _too_new(address, version)
    return version


def _too_new(address: Address, version: int) -> FormatTooNew:
    return FormatTooNew(
        f"{address.shown} has index format {version}",
        f"at most {FORMAT_VERSION}",
        "use a newer dragoman, or index anew in another schema (?schema=NAME)",
    )


def bring_up_to_date(connection: Connection, address: Address, migrations: Mapping[int, str] = MIGRATIONS) -> None:
    """Lay out the tables, or add what an older version lacks, in one transaction that one writer at a time makes."""
    with translated(address):
        if stored_version(connection, address) == max(migrations):
            return
        _check_server(connection, address)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(address, "layout"),))
            version = stored_version(connection, address)
            if version > max(migrations):
                raise _too_new(address, version)
            _create_extension(connection, address)
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {address.schema}")
            connection.execute(f"SET LOCAL search_path = {search_path(connection, address)}")
            for number in sorted(migrations):
                if number > version:
                    connection.execute(migrations[number])
            connection.execute(
                "INSERT INTO meta VALUES ('format', %s) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
                (str(max(migrations)),),
            )
            if version == 0 and has_citus(connection):
                distribute(connection)


def _check_server(connection: Connection, address: Address) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"the database of {address.shown} is encoded in {encoding}",
            "UTF8",
            "createdb --encoding UTF8 --template template0",
        )


def _create_extension(connection: Connection, address: Address) -> None:
    if connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone():
        return
    try:
        connection.execute("CREATE EXTENSION vector")
    except (errors.InsufficientPrivilege, errors.FeatureNotSupported, errors.UndefinedFile) as error:
        raise no_pgvector(address, str(error).strip().partition("\n")[0]) from error


def has_citus(connection: Connection) -> bool:
    """Whether the database can shard tables."""
    return connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'citus'").fetchone() is not None


def distribute(connection: Connection) -> None:
    """Shard the tables by Citus, those of documents side by side; inside a transaction, its search path set."""
    first: dict[str, str] = {}
    for table, column in DISTRIBUTED.items():
        beside = first.get(column, "none")
        connection.execute("SELECT create_distributed_table(%s, %s, colocate_with => %s)", (table, column, beside))
        first.setdefault(column, table)


def unsuited_to_sharding(connection: Connection, address: Address) -> list[str]:
    """What in the catalogue breaks the rules that let Citus shard the tables; empty where nothing does."""
    found = []
    unique = connection.execute(
        "SELECT c.relname, i.indexrelid::regclass::text, array_agg(a.attname::text) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indisunique AND c.relnamespace = %s::regnamespace GROUP BY 1, 2",
        (address.schema,),
    )
    for table, index, columns in unique:
        if table != "meta" and DISTRIBUTED.get(table) not in columns:
            found.append(f"the unique index {index} of {table} lacks its distribution column")
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace", (address.schema,)
    )
    found += [f"{table} has no distribution column" for (table,) in tables if table not in {*DISTRIBUTED, "meta"}]
    others = connection.execute(
        "SELECT conname FROM pg_constraint WHERE contype IN ('f', 'x') AND connamespace = %(own)s::regnamespace"
        " UNION ALL SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = %(own)s::regnamespace"
        " UNION ALL SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE NOT tgisinternal AND c.relnamespace = %(own)s::regnamespace",
        {"own": address.schema},
    )
    return found + [f"{name} is a foreign key, an exclusion, a sequence or a trigger" for (name,) in others]
