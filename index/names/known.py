"""Names known beforehand: the project's short table of very common ones, and the user's own `aliases.toml`."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from index.errors import AliasesUnusable
from index.names.mined import Alias
from index.text.terms import terms

MAX_KEY_TERMS = 12  # a name of more terms is not looked up
_MAX_QUESTION_TERMS = 300


def name_key(name: str) -> str:
    """What a name is compared by: its terms, so that case, width and script variants do not count."""
    return " ".join(terms(name))


def keys_in(question: str) -> list[str]:
    """The key of every stretch of `question` that may be a name, longest first."""
    found = terms(question)[:_MAX_QUESTION_TERMS]
    sizes = range(min(MAX_KEY_TERMS, len(found)), 0, -1)
    return list(dict.fromkeys(" ".join(found[i : i + size]) for size in sizes for i in range(len(found) - size + 1)))


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Names by key, each with the other names of the same thing."""

    by_key: dict[str, tuple[Alias, ...]]

    def aliases(self, keys: Iterable[str]) -> list[Alias]:
        """The aliases of the names with these keys."""
        return [alias for key in keys for alias in self.by_key.get(key, ())]

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]], confidence: float) -> KnownNames:
        """Every name of a row is an alias of every other."""
        found: dict[str, list[Alias]] = {}
        for row in rows:
            for name in row:
                others = (Alias(name, other, confidence) for other in row if name_key(other) != name_key(name))
                found.setdefault(name_key(name), []).extend(others)
        return cls({key: tuple(dict.fromkeys(aliases)) for key, aliases in found.items()})


@functools.cache
def common_names() -> KnownNames:
    """The project's own table."""
    table = tomllib.loads((files("index.names") / "common.toml").read_text("utf-8"))
    return KnownNames.of(table["names"], 0.9)


NO_NAMES = KnownNames({})


def read_aliases(path: Path) -> KnownNames:
    """The user's own names: `names = [["Jony Ive", "喬尼·艾維"], ...]`, each row one thing.

    Raises:
        AliasesUnusable: The file cannot be read, or is not of this shape; the message names the row.
    """
    expected = 'names = [["Jony Ive", "喬尼·艾維"], ...], two or more names a row'
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise AliasesUnusable(f"{path} cannot be read ({error.strerror})", "a file of names", "name another") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AliasesUnusable(f"{path} is not valid TOML ({error})", expected, "correct or remove it") from error
    rows = content.get("names")
    if set(content) != {"names"} or not isinstance(rows, list):
        raise AliasesUnusable(f"{path} has the keys {', '.join(sorted(content)) or '(none)'}", expected, "correct it")
    for number, row in enumerate(rows, 1):
        usable = isinstance(row, list) and all(isinstance(name, str) and name_key(name) for name in row)
        if not usable or len({name_key(name) for name in row}) < 2:
            raise AliasesUnusable(f"{path}: row {number} is {row!r}", "two or more different names", "correct it")
    return KnownNames.of(rows, 1.0)
