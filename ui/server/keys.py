"""API keys: 32 random bytes, of which the index folder keeps only the SHA-256, and what each may do."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

KEYS_FILE = "keys.json"
_NAME = re.compile(r"[\w.-]{1,64}")
_MAX_TOKEN_CHARS = 200


class Scope(StrEnum):
    """What a key may do; none of them includes another."""

    ASK = "ask"
    INGEST = "ingest"
    ADMIN = "admin"


class Key(BaseModel):
    """A key as it is stored: never the key itself."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}\z")
    scopes: tuple[Scope, ...]
    created: str  # ISO 8601, UTC
    disabled: bool = False

    def may(self, scope: Scope) -> bool:
        """Whether it grants `scope`."""
        return scope in self.scopes and not self.disabled


class _Keys(BaseModel):
    keys: list[Key]


class KeyFile:
    """The keys of one index folder, read at each use: a change holds from the next request on.

    Invariant: only its owner can read the file, and it is replaced as a whole.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEYS_FILE

    def all(self) -> list[Key]:
        """Every key, oldest first.

        Raises:
            ValueError: The file holds no keys.
        """
        try:
            return _Keys.model_validate_json(self._path.read_bytes()).keys
        except FileNotFoundError:
            return []
        except ValidationError:
            raise ValueError(f"{self._path} is no file of keys; fix: remove it and make new keys") from None

    def find(self, token: str) -> Key | None:
        """The key whose text is `token`, also where it is disabled."""
        given = _digest(token)
        return next((key for key in self.all() if hmac.compare_digest(key.sha256, given)), None)

    def any_may(self, scope: Scope) -> bool:
        """Whether there is a key with `scope`."""
        return any(key.may(scope) for key in self.all())

    def add(self, name: str, scopes: Sequence[Scope]) -> str:
        """Make a key; what comes back is the only copy of it.

        Raises:
            ValueError: The name is taken or no name, or there is no scope.
        """
        if not scopes:
            raise ValueError(f"a key without a scope can do nothing; expected: some of {', '.join(Scope)}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a key; expected: 1 to 64 letters, digits and any of . _ -")
        token, created = "dk_" + secrets.token_urlsafe(32), datetime.now(UTC).isoformat(timespec="seconds")
        with self._changing() as keys:
            if any(one.name == name for one in keys):
                raise ValueError(f"there is a key {name} already; fix: choose another name, or remove that key first")
            keys.append(Key(name=name, sha256=_digest(token), scopes=tuple(sorted(set(scopes))), created=created))
        return token

    def remove(self, name: str) -> None:
        """Remove a key for good.

        Raises:
            ValueError: There is no key of this name.
        """
        with self._changing() as keys:
            found = [key for key in keys if key.name == name]
            if not found:
                raise ValueError(f"there is no key {name}; fix: dragoman key list shows the keys")
            keys.remove(found[0])

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys, to be changed by nobody else in the block; they are written at its end."""
        folder = self._path.parent
        if not folder.is_dir():
            raise ValueError(f"there is no index in {folder}; fix: dragoman index PATH... makes one")
        with FileLock(self._path.with_suffix(".lock"), timeout=10):
            keys = self.all()
            yield keys
            # A temporary file is its owner's alone from the start: one restricted afterwards can be read in between.
            with NamedTemporaryFile("w", dir=folder, prefix=KEYS_FILE, delete=False, encoding="utf-8") as file:
                file.write(_Keys(keys=keys).model_dump_json(indent=2) + "\n")
            Path(file.name).replace(self._path)


def _digest(token: str) -> str:
    """Hex SHA-256. A key has 256 random bits, so nothing slower is needed, as it would be for a password."""
    return hashlib.sha256(token[:_MAX_TOKEN_CHARS].encode("utf-8", "replace")).hexdigest()
