"""Other forms of the names in a question: by the user's table, by glosses in the corpus, by ours, by phonetic match."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np

from index.errors import AliasesUnusable
from index.names.glosses import Alias
from index.names.phonetic import bare_forms, likeness, name_forms, near_keys, phonetic_key
from index.text.language import dominant_script
from index.text.names import shown_names, written
from index.text.script import char_script
from index.text.terms import terms

_MAX_KEY_TERMS = 12  # a name of more terms is not looked up
_MAX_QUESTION_TERMS = 300
_MAX_FORMS = 24
_MAX_PHONETIC_FORMS = 4  # of one name
_LEAST_ALIKE = {2: 0.97, 3: 0.88, 4: 0.85}  # likeness of a phonetic match by the classes of the key; 0011
_LEAST_ALIKE_LONG = 0.82  # of a longer key, and so the least of all


def name_key(name: str) -> str:
    """What a name is compared by: its terms, so that case, width and script variants do not count."""
    return " ".join(terms(name))


def keys_in(question: str) -> list[str]:
    """The key of every stretch of `question` that may be a name, longest first."""
    found = terms(question)[:_MAX_QUESTION_TERMS]
    sizes = range(min(_MAX_KEY_TERMS, len(found)), 0, -1)
    return list(dict.fromkeys(" ".join(found[i : i + size]) for size in sizes for i in range(len(found) - size + 1)))


@dataclass(frozen=True, slots=True)
class KnownNames:
    """A table of names: by key, each with the other names of the same thing."""

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


NO_NAMES = KnownNames({})


@functools.cache
def common_names() -> KnownNames:
    """The project's own table."""
    table = tomllib.loads((files("index.names") / "common.toml").read_text("utf-8"))
    return KnownNames.of(table["names"], 0.9)


def read_aliases(path: Path) -> KnownNames:
    """The user's own table: `names = [["Jony Ive", "喬尼·艾維"], ...]`, each row one thing.

    Raises:
        AliasesUnusable: The file cannot be read, or does not have this shape; the message names the row.
    """
    expected = 'names = [["Jony Ive", "喬尼·艾維"], ...], two or more names a row'
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise AliasesUnusable(f"{path} cannot be read as TOML ({error})", expected, "correct or remove it") from error
    rows = content.get("names")
    if set(content) != {"names"} or not isinstance(rows, list):
        raise AliasesUnusable(f"{path} has the keys {', '.join(sorted(content)) or '(none)'}", expected, "correct it")
    for number, row in enumerate(rows, 1):
        usable = isinstance(row, list) and all(isinstance(name, str) and name_key(name) for name in row)
        if not usable or len({name_key(name) for name in row}) < 2:
            raise AliasesUnusable(f"{path}: row {number} is {row!r}", "two or more different names", "correct it")
    return KnownNames.of(rows, 1.0)


class Origin(StrEnum):
    """How two names are known to be aliases. A phonetic match is a guess, and is not shown to people."""

    USER = "aliases.toml"
    GLOSS = "an article"
    TABLE = "the table of common names"
    PHONETIC = "a phonetic match"


@dataclass(frozen=True, slots=True)
class OtherForm:
    """Another form of a name in the question; `phrase` is its terms, `confidence` in (0, 1]."""

    name: str
    form: str
    phrase: str
    confidence: float
    origin: Origin

    @property
    def other_script(self) -> bool:
        """Whether the form is written in another script than the name."""
        return _script(self.name) != _script(self.form)


class NameIndex(Protocol):
    """The names of a corpus; a `Snapshot` has them."""

    def aliases(self, keys: Sequence[str]) -> list[Alias]: ...

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]: ...


def other_forms(corpus: NameIndex, question: str, language: str, own: KnownNames = NO_NAMES) -> list[OtherForm]:
    """Forms that the names of `question` may have in the corpus, the surest first, without those of the question.

    `own` is the user's table.
    """
    own_keys = keys_in(question)
    found: dict[tuple[str, str], OtherForm] = {}
    for form in (*_by_alias(corpus, question, own_keys, own), *_by_phonetic_key(corpus, question, language)):
        known = found.get((form.name, form.phrase))
        if form.phrase not in own_keys and (known is None or known.confidence < form.confidence):
            found[form.name, form.phrase] = form
    return sorted(found.values(), key=lambda form: (-form.confidence, form.name, form.form))[:_MAX_FORMS]


def _by_alias(corpus: NameIndex, question: str, keys: Sequence[str], own: KnownNames) -> Iterator[OtherForm]:
    """The aliases of the names of the question, and the aliases of these."""
    first = [
        OtherForm(alias.name, alias.other, name_key(alias.other), alias.confidence, origin)
        for alias, origin in _aliases(corpus, keys, own)
        if written(alias.name, question)
    ]
    yield from first
    through: dict[str, OtherForm] = {}
    for form in sorted(first, key=lambda form: -form.confidence)[:_MAX_FORMS]:
        through.setdefault(form.phrase, form)
    for alias, origin in _aliases(corpus, list(through), own):
        link = through[name_key(alias.name)]
        if not (origin is link.origin is Origin.TABLE):  # the first step gave the whole row of the table
            confidence = link.confidence * alias.confidence
            yield OtherForm(link.name, alias.other, name_key(alias.other), confidence, origin)


def _aliases(corpus: NameIndex, keys: Sequence[str], own: KnownNames) -> Iterator[tuple[Alias, Origin]]:
    yield from ((alias, Origin.USER) for alias in own.aliases(keys))
    yield from ((alias, Origin.GLOSS) for alias in corpus.aliases(keys))
    yield from ((alias, Origin.TABLE) for alias in common_names().aliases(keys))


def _by_phonetic_key(corpus: NameIndex, question: str, language: str) -> Iterator[OtherForm]:
    """Forms in the corpus, in another script, that sound like a word of the question which looks like a name."""
    shown = {name.casefold() for name in shown_names(question, language)}
    # Without capitals any word of a question may be a name.
    text = question if any(char.isupper() for char in question[1:]) else question.title()
    for name in name_forms(text, language):
        keys = {near for bare in bare_forms(name) for near in near_keys(phonetic_key(bare)) if len(near) >= 2}
        first = char_script(name[0])  # decides for most forms at once
        held = {form: n for form, n in corpus.phonetic(sorted(keys)).items() if char_script(form[0]) != first}
        pairs = [(bare, other, form) for form in held for other in bare_forms(form) for bare in bare_forms(name)]
        best: dict[str, float] = {}
        alike = likeness([pair[:2] for pair in pairs])
        for i in np.flatnonzero(alike >= _LEAST_ALIKE_LONG).tolist():
            bare, other, form = pairs[i]
            n_classes = min(len(phonetic_key(bare)), len(phonetic_key(other)))
            least = _least_alike(n_classes, name in shown or _shown(form))
            if alike[i] >= least and _script(form) != _script(name):
                best[form] = max(best.get(form, 0.0), round(0.5 + 0.5 * float(alike[i] - least) / (1 - least), 3))
        for form in sorted(best, key=lambda form: (-best[form], -held[form], form))[:_MAX_PHONETIC_FORMS]:
            yield OtherForm(written(name, question) or name, form, name_key(form), best[form], Origin.PHONETIC)


def _least_alike(n_classes: int, shown: bool) -> float:
    """The least likeness of a phonetic match by keys of `n_classes`; over 1 where none is possible.

    Short keys agree by chance, and so do words of which neither script shows that they are names: these need a key
    that is longer by one.
    """
    if not shown:
        n_classes -= 1
        if n_classes <= 2:
            return 2.0
    return _LEAST_ALIKE.get(n_classes, _LEAST_ALIKE_LONG if n_classes > 4 else 2.0)


def _shown(form: str) -> bool:
    """Whether the script of a form in the corpus shows a name: by a capital, or as Katakana."""
    return char_script(form[0]) in ("Latin", "Cyrillic", "Greek", "Armenian", "Katakana")


@functools.lru_cache(maxsize=4096)
def _script(name: str) -> str:
    return dominant_script(name)
