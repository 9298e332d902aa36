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

from index.errors import IndexLocked, IndexMissing, IndexProblem, StoreDamaged, StoreError, StoreFull
from index.store import shown_place

Connection = psycopg.Connection[tuple[Any, ...]]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_DEFAULT_SCHEMA = "dragoman"
_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Address:
    """Where an index lies: what libpq connects to, and the schema of that database; `text` is as the user gave it."""

    text: str
    conninfo: str
    schema: str

    def __repr__(self) -> str:
        return f"Address({self.shown})"

    @property
    def shown(self) -> str:
        """The address without its password."""
        return shown_place(self.text)

    @property
    def secrets(self) -> set[str]:
        """Passwords, which no message may hold."""
        parts = urlsplit(self.text)
        password = parts.netloc.rpartition("@")[0].partition(":")[2]
        named = [value for key, value in parse_qsl(parts.query) if "password" in key]
        return {password, unquote(password), *named} - {""}


def parsed(text: str) -> Address:
    """The address in `text`: a libpq URI, with `schema` among its parameters where it is not `dragoman`.

    Raises:
        StoreError: The name of the schema would need quotes.
    """
    parts = urlsplit(text)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(parameters).get("schema", _DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise StoreError(
            f"the schema {schema!r} of {shown_place(text)}",
            "lower case letters, digits and underscores, a letter first",
            "choose another name: ?schema=NAME",
        )
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
    except psycopg.Error as error:
        problem = _problem(address, error)
        if problem is None:
            raise
        raise problem from error


def _problem(address: Address, error: psycopg.Error) -> IndexProblem | None:
    message = "; ".join(line.strip() for line in str(error).strip().splitlines())
    for secret in address.secrets:
        message = message.replace(secret, "***")
    where = address.shown
    match error:
        case errors.DiskFull():
            remedy = "free some and run the same command again: it continues where it stopped"
            return StoreFull(f"no room left on the disk of {where} ({message})", "free space", remedy)
        case errors.InvalidSchemaName() | errors.UndefinedTable():
            return missing(address)
        case errors.InsufficientPrivilege():
            return StoreError(
                f"the user of {where} lacks a right ({message})",
                "the right to read the schema, and to write it where documents are added",
                f"GRANT it, or use another user; for a new index: GRANT CREATE ON DATABASE, or CREATE SCHEMA {address.schema}",
            )
        case errors.ReadOnlySqlTransaction():
            return replica(address)
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.SerializationFailure():
            return IndexLocked(f"{where} is locked ({message})", "a lock within the time allowed", "run it again")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return StoreDamaged(f"the database {where} is damaged ({message})", "a sound database", "restore a backup")
        case errors.OutOfMemory() | errors.ConfigurationLimitExceeded() | errors.TooManyConnections():
            return StoreError(f"the server of {where} has no room ({message})", "free memory and connections", "")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return _unreachable(where, message)
    return None


def _unreachable(where: str, message: str) -> StoreError:
    if "password" in message or "authentication" in message:
        remedy = "correct the address, or put the password into ~/.pgpass or $PGPASSWORD"
        return StoreError(
            f"the server of {where} refuses the user ({message})", "a user and a password it knows", remedy
        )
    if "does not exist" in message:
        return StoreError(f"{where} cannot be opened ({message})", "a database that exists", "create it: createdb")
    remedy = "start it, or correct the address"
    return StoreError(
        f"the server of {where} cannot be reached ({message})", "a PostgreSQL server that answers", remedy
    )


def missing(address: Address) -> IndexMissing:
    """The error where the schema is missing, or empty."""
    return IndexMissing(
        f"there is no index in {address.shown}",
        f"a schema {address.schema} with one",
        f"dragoman index --index '{address.shown}' PATH...",
    )


def replica(address: Address) -> StoreError:
    """The error where a replica would have to be written to."""
    return StoreError(
        f"{address.shown} can only be read: it is a replica",
        "the primary server",
        "use the primary in --index, or several hosts with target_session_attrs=read-write",
    )
