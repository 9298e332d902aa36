"""What is said in passing ("hello", "thanks", "who are you?") and asked about the collection, and what is replied."""

from __future__ import annotations

import functools
import tomllib
import unicodedata
from collections.abc import Iterator
from importlib.resources import files

import regex

from index.store.reading import Backend
from rag.citations import without_markers
from rag.phrases import FALLBACK, own_name

# Of several kinds in one message, the first one is replied to.
_KINDS = ("titles", "count", "thanks", "about", "bye", "hello")
_FILLER = "filler"
_MIXED = "mixed"  # the phrases of all languages together, as in "hola, who are you?"
_N_TITLES = 5
_MAX_LANGUAGES = 12  # that are named
_MAX_UNITS = 24  # of a message; a longer one is a question
# Words, and single characters of scripts without spaces.
_UNIT = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}ー々]|[\p{L}\p{N}]+")
_REPEATED = regex.compile(r"(\p{L})\1{2,}")


def reply(message: str, language: str, backend: Backend, *, goes_on: bool = False) -> tuple[str, str] | None:
    """(text, its language), where all of `message` is said in passing or asked about the collection; else None.

    Args:
        message: In any language.
        language: The asker's, as far as it is known.
        backend: The collection.
        goes_on: Whether something was said before: then "what is this?" is about that.
    """
    found = _understood(message, language)
    if found is None or (goes_on and found[0] == "titles"):
        return None
    kind, tag = found
    sizes = backend.stats().languages
    names = [f"{own_name(name)} {n}" for name, n in sizes.items()]
    if len(names) > _MAX_LANGUAGES:
        names[_MAX_LANGUAGES:] = ["…"]
    values = {"n": str(sum(sizes.values())), "m": str(len(sizes)), "languages": ", ".join(names)}
    text = regex.sub(r"\{(\w+)\}", lambda place: values[place[1]], _table()[tag][f"say_{kind}"])
    return (text + "".join(_newest(backend)) if kind == "titles" else text), tag


def _newest(backend: Backend) -> Iterator[str]:
    """A line for each of the newest articles."""
    query = f"SELECT title, source, date FROM documents ORDER BY date DESC, doc LIMIT {_N_TITLES}"
    for title, source, date in backend.rows(query):
        shown = " ".join(without_markers(title or source.rpartition("/")[2]).split())
        yield f"\n• {shown} ({date})" if date else f"\n• {shown}"


def _understood(message: str, language: str) -> tuple[str, str] | None:
    """The kind of a message, and the language that it is in: the asker's, if it is a message in that too."""
    units = _units(message)
    if 0 < len(units) <= _MAX_UNITS:
        own = [tag for tag in (language, language.split("-")[0]) if tag in _table()]
        for tag in dict.fromkeys([*own, *_table(), _MIXED]):
            kinds = _kinds(units, tag)
            if kind := next((kind for kind in _KINDS if kind in kinds), None):
                return kind, tag if tag != _MIXED else next(iter(own), FALLBACK)
    return None


def _kinds(units: tuple[str, ...], tag: str) -> frozenset[str]:
    """The kinds of the phrases of a language that make up the whole of a message; empty where they do not."""
    phrases, longest = _phrases(tag)
    reached: dict[int, list[str]] = {0: []}  # the fewest phrases that make up the units before it
    for start in range(len(units)):
        for end in range(start + 1, min(len(units), start + longest) + 1) if start in reached else ():
            if kind := phrases.get(units[start:end]):
                way = [*reached[start], kind]
                reached[end] = min(reached.get(end, way), way, key=len)
    return frozenset(reached.get(len(units), ()))


def _units(text: str) -> tuple[str, ...]:
    """The words of a text without case, accents and punctuation."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = unicodedata.normalize("NFC", regex.sub(r"[\p{Mn}'’`]", "", folded))
    return tuple(_UNIT.findall(_REPEATED.sub(r"\1", plain)))


@functools.cache
def _table() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("rag").joinpath("conversation.toml").read_text("utf-8"))


@functools.cache
def _phrases(tag: str) -> tuple[dict[tuple[str, ...], str], int]:
    """The kind of each phrase of a language, by its words, and the words of the longest."""
    tables = _table().values() if tag == _MIXED else [_table()[tag]]
    said = ((kind, own[kind]) for kind in (_FILLER, *reversed(_KINDS)) for own in tables)
    found = {_units(phrase): kind for kind, of_kind in said for phrase in of_kind.split("|")}
    found.pop((), None)
    return found, max(map(len, found), default=0)
