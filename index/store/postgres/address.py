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
_SENTENCES_END = re.compile(r"\s*\n\s*")


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
        """As it may be shown: without a password."""
        return shown_place(self.text)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        parts = urlsplit(self.text)
        password = parts.netloc.rpartition("@")[0].partition(":")[2]
        given = [value for key, value in parse_qsl(parts.query) if "password" in key]
        return tuple({password, unquote(password), *given} - {""})


def parsed(text: str) -> Address:
    """The address that `text` is: a libpq URI, with `schema` among its parameters where it is not `dragoman`.

    Raises:
        StoreError: The schema's name is none that needs no quotes.
    """
    parts = urlsplit(text)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    schema = next((value for key, value in parameters if key == "schema"), _DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise StoreError(
            f"the schema {schema!r} of {shown_place(text)}",
            "lower case letters, digits and underscores, a letter first",
            "name another with ?schema=NAME",
        )
    kept = urlencode([pair for pair in parameters if pair[0] != "schema"])
    return Address(text, urlunsplit(parts._replace(query=kept)), schema)


def connected(address: Address) -> Connection:
    """A new connection, in autocommit: every transaction is begun and ended by hand.

    Raises:
        StoreError: The server cannot be reached, or does not let this user in.
    """
    with translated(address):
        return psycopg.connect(
            address.conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, application_name="dragoman"
        )


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """PostgreSQL's errors as this package's; those that a mistake of this program makes are left as they are."""
    try:
        yield
    except psycopg.Error as error:
        problem = _problem(address, error)
        if problem is None:
            raise
        raise problem from error


def _problem(address: Address, error: psycopg.Error) -> IndexProblem | None:
    said = _said(address, error)
    where = address.shown
    match error:
        case errors.DiskFull():
            return StoreFull(
                f"no room left on the disk of {where} ({said})",
                "free space",
                "free some and run the same command again: it goes on where it stopped",
            )
        case errors.InvalidSchemaName() | errors.UndefinedTable():
            return missing(address)
        case errors.UndefinedObject() if "halfvec" in said:
            return no_pgvector(address, said)
        case errors.InsufficientPrivilege():
            return StoreError(
                f"the user of {where} may not do this ({said})",
                "the right to read the schema, and to write it where documents are added",
                f"GRANT it, or name another user; for a new index: GRANT CREATE ON DATABASE, or CREATE SCHEMA {address.schema}",
            )
        case errors.ReadOnlySqlTransaction():
            return replica(address)
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.SerializationFailure():
            return IndexLocked(f"{where} is locked ({said})", "a lock within the time allowed", "run it again")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return StoreDamaged(
                f"the database {where} is damaged ({said})", "a sound database", "restore it from a backup"
            )
        case errors.OutOfMemory() | errors.ConfigurationLimitExceeded() | errors.TooManyConnections():
            return StoreError(f"the server of {where} has no room ({said})", "memory and connections to spare", "")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return _unreachable(address, said)
    return None


def _unreachable(address: Address, said: str) -> StoreError:
    where = address.shown
    if "password" in said or "authentication" in said:
        return StoreError(
            f"the server of {where} does not let the user in ({said})",
            "a user and a password that it knows",
            "correct the address, or put the password into ~/.pgpass or $PGPASSWORD",
        )
    if "does not exist" in said:
        return StoreError(f"{where} cannot be opened ({said})", "a database that exists", "createdb makes one")
    return StoreError(
        f"the server of {where} cannot be reached ({said})",
        "a PostgreSQL server that answers",
        "start it, or correct the address",
    )


def _said(address: Address, error: Exception) -> str:
    """The server's own words on one line, no password among them."""
    said = _SENTENCES_END.sub("; ", str(error).strip())
    for secret in address.secrets:
        said = said.replace(secret, "***")
    return said


def missing(address: Address) -> IndexMissing:
    """The error to raise where the schema is not there, or not laid out."""
    return IndexMissing(
        f"there is no index in {address.shown}",
        f"a schema {address.schema} with one",
        f"dragoman index --index '{address.shown}' PATH... makes one",
    )


def replica(address: Address) -> StoreError:
    """The error to raise where a replica is to be written to."""
    return StoreError(
        f"{address.shown} can only be read: it is a replica",
        "the primary server",
        "name the primary in --index, or several hosts with target_session_attrs=read-write",
    )


def no_pgvector(address: Address, found: str) -> StoreError:
    """The error to raise where the database lacks pgvector, or has an older one."""
    return StoreError(
        f"the database of {address.shown} has no usable pgvector ({found})",
        "the extension vector, 0.8 or later",
        "install pgvector on the server, then as its superuser: CREATE EXTENSION vector (or ALTER EXTENSION vector UPDATE)",
    )
