"""SQLite's errors, and those of a full disk, as this package's."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import IndexLocked, StoreDamaged, StoreError, StoreFull

STORE = "store.sqlite"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors, and those of a full disk, as this package's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _problem(path, error) from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise full(path, error) from error


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READING = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


def _problem(path: Path, error: sqlite3.Error) -> Exception:
    """What SQLite's code means; only what SQLite calls damage is called damage, since its fix is drastic."""
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:  # the sqlite3 module's own: a damaged text, or a mistake of this program
        return damaged(path, error) if isinstance(error, sqlite3.OperationalError) else error
    file = path / STORE
    match extended & 0xFF:
        case sqlite3.SQLITE_FULL:
            return full(path, error)
        case sqlite3.SQLITE_IOERR if extended not in _READING:
            return full(path, error)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return IndexLocked(f"{file} is locked ({error})", "one writer at a time", "wait for the other writer")
        case sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            expected = "the right to read it, and to write beside it"
            return StoreError(f"{file} cannot be opened ({error})", expected, f"look at the rights of {path}")
    if extended == sqlite3.SQLITE_CORRUPT_VTAB:  # FTS5's tables are derived from the others
        return StoreDamaged(f"the lexical index of {path} is damaged ({error})", "", "dragoman doctor --repair")
    return damaged(path, error)


def damaged(path: Path, error: Exception | str) -> StoreDamaged:
    """The error to raise where SQLite finds its file damaged."""
    return StoreDamaged(
        f"the store {path / STORE} is damaged ({error})",
        "a sound SQLite file",
        f"restore it from a backup, or delete {path} and index the sources again",
    )


def full(path: Path, error: Exception) -> StoreFull:
    """The error to raise where the disk has no room."""
    return StoreFull(
        f"no room left on the disk that holds {path} ({error})",
        "free space",
        "free some and run the same command again: it goes on where it stopped",
    )
