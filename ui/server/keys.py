"""API keys: 32 random bytes, of which the index folder keeps only the SHA-256, and what each may do."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS_FILE = "keys.json"
PREFIX = "dk_"
_NAME = re.compile(r"[\w.-]{1,64}")
_MAX_TOKEN_CHARS = 200


class Scope(StrEnum):
    """What a key may do; none of them includes another."""

    ASK = "ask"
    INGEST = "ingest"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept: never itself."""

    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: str  # ISO 8601, UTC
    disabled: bool = False

    def may(self, scope: Scope) -> bool:
        """Whether it is good for this."""
        return scope in self.scopes and not self.disabled


class KeyFile:
    """The keys of one index folder; read anew where the file has changed.

    Invariant: the file is readable by its owner alone, and replaced as a whole.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEYS_FILE
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def all(self) -> tuple[Key, ...]:
        """Every key, in the order in which they were made.

        Raises:
            ValueError: The file is not one of keys.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, ()
            return ()
        # The inode too: two writes within one tick of the clock leave the same time and often the same size.
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen != self._seen:
            self._keys = _read(self._path)
            self._seen = seen
        return self._keys

    def find(self, token: str) -> Key | None:
        """The key that `token` is, also where it is disabled; None where it is none.

        Every stored digest is compared, and each in constant time.
        """
        given = _digest(token)
        found = None
        for key in self.all():
            if hmac.compare_digest(key.sha256, given):
                found = key
        return found

    def any_may(self, scope: Scope) -> bool:
        """Whether there is a key for this."""
        return any(key.may(scope) for key in self.all())

    def add(self, name: str, scopes: Sequence[Scope]) -> str:
        """Make a key; what comes back is the only copy of it.

        Raises:
            ValueError: The name is taken or no name, or there is no scope.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a key; expected: 1 to 64 letters, digits and any of . _ -")
        if not scopes:
            raise ValueError(f"a key without a scope is good for nothing; expected: some of {', '.join(Scope)}")
        token = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as keys:
            if any(key.name == name for key in keys):
                raise ValueError(f"there is a key {name} already; to mend: name another, or remove that one first")
            created = datetime.now(UTC).isoformat(timespec="seconds")
            keys.append(Key(name, _digest(token), tuple(sorted(set(scopes))), created))
        return token

    def remove(self, name: str) -> None:
        """Remove a key for good.

        Raises:
            ValueError: There is none by this name.
        """
        with self._changing() as keys:
            keys.remove(_by_name(keys, name))

    def disable(self, name: str) -> None:
        """Make a key good for nothing, its name kept.

        Raises:
            ValueError: There is none by this name.
        """
        with self._changing() as keys:
            key = _by_name(keys, name)
            keys[keys.index(key)] = replace(key, disabled=True)

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys to change in the block; written where it ends well."""
        from filelock import FileLock

        if not self._path.parent.is_dir():
            raise ValueError(f"there is no index in {self._path.parent}; to mend: dragoman index PATH... makes one")
        with FileLock(self._path.with_suffix(".lock"), timeout=10):
            keys = list(self.all())
            yield keys
            self._write(keys)

    def _write(self, keys: Iterable[Key]) -> None:
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)
        text = json.dumps({"keys": [asdict(key) for key in keys]}, ensure_ascii=False, indent=2)
        # Made with its rights: one that is narrowed afterwards can be read meanwhile.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def _by_name(keys: Sequence[Key], name: str) -> Key:
    for key in keys:
        if key.name == name:
            return key
    raise ValueError(f"there is no key {name}; to mend: dragoman key list shows what there is")


def _digest(token: str) -> str:
    """Hex SHA-256. A key has 256 random bits: nothing slower is needed, as it would be for a password."""
    return hashlib.sha256(token[:_MAX_TOKEN_CHARS].encode("utf-8", "replace")).hexdigest()


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return tuple(_key(values) for values in json.loads(path.read_text("utf-8"))["keys"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no file of keys ({type(error).__name__}); to mend: remove it and make new"
        ) from error


def _key(values: dict[str, Any]) -> Key:
    if not re.fullmatch(r"[0-9a-f]{64}", values["sha256"]) or not isinstance(values["disabled"], bool):
        raise ValueError("no digest")
    scopes = tuple(Scope(scope) for scope in values["scopes"])
    return Key(str(values["name"]), values["sha256"], scopes, str(values["created"]), values["disabled"])
