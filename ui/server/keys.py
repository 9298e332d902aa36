"""API keys: 32 random bytes, of which the index folder keeps only the SHA-256, and what each may do."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

KEYS_FILE = "keys.json"
_NAME = re.compile(r"[\w.-]{1,64}")
_MAX_TOKEN_CHARS = 200


class Scope(StrEnum):
    """What a key may do; none of them includes another."""

    ASK = "ask"
    INGEST = "ingest"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored: never the key itself."""

    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: str  # ISO 8601, UTC
    disabled: bool = False

    def may(self, scope: Scope) -> bool:
        """Whether it grants `scope`."""
        return scope in self.scopes and not self.disabled


class KeyFile:
    """The keys of one index folder; read again when the file has changed.

    Invariant: only its owner can read the file, and it is replaced as a whole.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEYS_FILE
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def all(self) -> tuple[Key, ...]:
        """Every key, oldest first.

        Raises:
            ValueError: The file holds no keys.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return ()
        # The inode too: two writes within one tick of the clock leave the same time and often the same size.
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen != self._seen:
            self._keys, self._seen = _read(self._path), seen
        return self._keys

    def find(self, token: str) -> Key | None:
        """The key whose text is `token`, also where it is disabled; every digest is compared in constant time."""
        given = _digest(token)
        return next(iter([key for key in self.all() if hmac.compare_digest(key.sha256, given)]), None)

    def any_may(self, scope: Scope) -> bool:
        """Whether there is a key with `scope`."""
        return any(key.may(scope) for key in self.all())

    def add(self, name: str, scopes: Sequence[Scope]) -> str:
        """Make a key; what comes back is the only copy of it.

        Raises:
            ValueError: The name is taken or no name, or there is no scope.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a key; expected: 1 to 64 letters, digits and any of . _ -")
        if not scopes:
            raise ValueError(f"a key without a scope can do nothing; expected: some of {', '.join(Scope)}")
        token = "dk_" + secrets.token_urlsafe(32)
        with self._changing() as keys:
            if any(key.name == name for key in keys):
                raise ValueError(f"there is a key {name} already; fix: choose another name, or remove that key first")
            created = datetime.now(UTC).isoformat(timespec="seconds")
            keys.append(Key(name, _digest(token), tuple(sorted(set(scopes))), created))
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
        """The keys to change in the block; written when it ends without an error."""
        from filelock import FileLock

        if not self._path.parent.is_dir():
            raise ValueError(f"there is no index in {self._path.parent}; fix: dragoman index PATH... makes one")
        with FileLock(self._path.with_suffix(".lock"), timeout=10):
            keys = list(self.all())
            yield keys
            part = self._path.with_suffix(".part")
            part.unlink(missing_ok=True)
            text = json.dumps({"keys": [asdict(key) for key in keys]}, ensure_ascii=False, indent=2)
            # Created with its final rights: a file that is restricted afterwards can be read in between.
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)


def _digest(token: str) -> str:
    """Hex SHA-256. A key has 256 random bits, so nothing slower is needed, as it would be for a password."""
    return hashlib.sha256(token[:_MAX_TOKEN_CHARS].encode("utf-8", "replace")).hexdigest()


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return tuple(_key(values) for values in json.loads(path.read_text("utf-8"))["keys"])
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{path} is no file of keys ({type(error).__name__})"
        raise ValueError(f"{problem}; fix: remove it and make new keys") from error


def _key(values: dict[str, Any]) -> Key:
    if not re.fullmatch(r"[0-9a-f]{64}", values["sha256"]) or not isinstance(values["disabled"], bool):
        raise ValueError("no digest")
    scopes = tuple(Scope(scope) for scope in values["scopes"])
    return Key(str(values["name"]), values["sha256"], scopes, str(values["created"]), values["disabled"])
