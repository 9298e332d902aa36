"""The address of an index in a PostgreSQL database, connections to it, and the server's errors as this package's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import errors

from index.errors import IndexLocked, IndexProblem, StoreDamaged, StoreError, StoreFull
from index.store import shown_place
from index.store.tables import missing

Connection = psycopg.Connection[tuple[Any, ...]]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_DEFAULT_SCHEMA = "dragoman"
_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where an index lies: what libpq connects to, and the schema of that database; `text` is as the user gave it."""

    text: str
    conninfo: str
    schema: str

    @property
    def shown(self) -> str:
        """The address without its password."""
        return shown_place(self.text)

    def without_secrets(self, message: str) -> str:
        """`message` on one line, without the passwords of this address."""
        parts = urlsplit(self.text)
        password = parts.netloc.rpartition("@")[0].partition(":")[2]
        named = [value for key, value in parse_qsl(parts.query) if "password" in key]
        for secret in {password, unquote(password), *named} - {""}:
            message = message.replace(secret, "***")
        return "; ".join(line.strip() for line in message.strip().splitlines())


def parsed(text: str) -> Address:
    """The address in `text`: a libpq URI, with `schema` among its parameters where it is not `dragoman`.

    Raises:
        StoreError: The name of the schema would need quotes.
    """
    parts = urlsplit(text)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(parameters).get("schema", _DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        expected = "lower case letters, digits and underscores, a letter first"
        raise StoreError(f"the schema {schema!r} of {shown_place(text)}", expected, "choose another name: ?schema=NAME")
    kept = urlencode([pair for pair in parameters if pair[0] != "schema"])
    return Address(text, urlunsplit(parts._replace(query=kept)), schema)


def connected(address: Address) -> Connection:
    """A new connection, in autocommit.

    Raises:
        StoreError: The server cannot be reached, or refuses this user.
    """
    with translated(address):
        return psycopg.connect(
            address.conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, application_name="dragoman"
        )


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Raise PostgreSQL's errors as this package's; errors that only a mistake of this program causes stay as they are."""
    try:
        yield
    except (errors.InvalidSchemaName, errors.UndefinedTable) as error:
        raise missing(address.shown) from error
    except psycopg.Error as error:
        message = address.without_secrets(str(error))
        for kinds, problem, found, expected, remedy in _PROBLEMS:
            if isinstance(error, kinds):
                raise problem(found.format(address.shown, message), expected, remedy) from error
        raise


_OUT_OF_ROOM = (errors.OutOfMemory, errors.ConfigurationLimitExceeded, errors.TooManyConnections)
_PROBLEMS: tuple[tuple[tuple[type[psycopg.Error], ...], type[IndexProblem], str, str, str], ...] = (
    ((errors.DiskFull,), StoreFull, "no room left on the disk of {} ({})", "free space",
     "free some and run the same command again: it continues where it stopped"),
    ((errors.InsufficientPrivilege,), StoreError, "the user of {} lacks a right ({})",
     "the right to read the schema, and to write it where documents are added",
     "GRANT it; for a new index: GRANT CREATE ON DATABASE, or CREATE SCHEMA"),
    ((errors.ReadOnlySqlTransaction,), StoreError, "{} can only be read: it is a replica ({})", "the primary server",
     "use the primary in --index, or several hosts with target_session_attrs=read-write"),
    ((errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure), IndexLocked, "{} is locked ({})",
     "a lock within the time allowed", "run it again"),
    ((errors.DataCorrupted, errors.IndexCorrupted), StoreDamaged, "the database {} is damaged ({})",
     "a sound database", "restore it from a backup"),
    (_OUT_OF_ROOM, StoreError, "the server of {} has no room ({})", "free memory and connections", ""),
    ((psycopg.OperationalError, psycopg.InterfaceError), StoreError, "{} cannot be reached ({})",
     "a PostgreSQL server that answers, a database that exists, and a user and a password it knows",
     "start the server, correct the address, or put the password into ~/.pgpass or $PGPASSWORD"),
)  # fmt: skip
