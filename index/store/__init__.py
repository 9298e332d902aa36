"""Where an index lies: in a folder of this machine, or in a database.

Each backend is imported only where it is used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from index.encoders.base import Encoder
from index.errors import StoreError
from index.settings import IndexSettings
from index.store.base import IndexPlace

if TYPE_CHECKING:
    from index.store.reading import Backend
    from index.store.writing import Writer

_DATABASES = ("postgresql://", "postgres://")
_SHOWN = ("host", "port", "dbname", "user", "schema")  # parameters of an address


def as_place(text: str | Path) -> IndexPlace:
    """What a user names: the address of a database as it stands, anything else as a folder."""
    return text if isinstance(text, str) and text.startswith(_DATABASES) else Path(text)


def shown_place(place: IndexPlace) -> str:
    """A place as it may be shown: of an address only what says where it leads, no password and no other parameter."""
    if isinstance(place, Path):
        return str(place)
    parts = urlsplit(place)
    user, at, host = parts.netloc.rpartition("@")
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] in _SHOWN], safe="/")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query=query))


def own_folder(place: IndexPlace) -> Path:
    """Where what belongs to an index and is no part of it lies: keys, feedback, chats, runs.

    Of a database it is a folder of this machine, under $XDG_STATE_HOME, made when it is first asked for.
    """
    if isinstance(place, Path):
        return place
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = state / "dragoman" / hashlib.sha256(shown_place(place).encode()).hexdigest()[:16]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def open_backend(place: IndexPlace) -> Backend:
    """The index at `place`, for reading.

    Raises:
        IndexMissing: There is none.
        FormatTooNew, FormatTooOld, StoreDamaged, StoreError: See `index.errors`.
    """
    backend, _ = _classes(as_place(place))
    return backend(as_place(place))


def open_writer(
    place: IndexPlace, encoder: Encoder, settings: IndexSettings | None = None, *, adopt: bool = False
) -> Writer:
    """The index at `place`, for writing; made when it is entered, where there is none.

    Args:
        place: A folder or an address.
        encoder: What new vectors are made with.
        settings: For a new index; an existing one keeps its own, and other ones are refused.
        adopt: Make this encoder and these settings the index's own instead of refusing them.
    """
    _, writer = _classes(as_place(place))
    return writer(as_place(place), encoder, settings, adopt=adopt)


def _classes(place: IndexPlace) -> tuple[Callable[..., Backend], Callable[..., Writer]]:
    """The classes that read and write an index at `place`.

    Raises:
        StoreError: The client of PostgreSQL is not installed.
    """
    if isinstance(place, Path):
        from index.store import sqlite

        return sqlite.EmbeddedBackend, sqlite.Writer
    try:
        from index.store import postgres
    except ImportError as error:  # of psycopg, pgvector, or libpq
        first = str(error).partition("\n")[0]
        raise StoreError(
            f"the client of PostgreSQL is not installed, or not whole ({first})",
            "the extra `postgres`",
            "pip install 'dragoman[postgres]'",
        ) from error
    return postgres.PostgresBackend, postgres.Writer
