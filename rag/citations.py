"""Passage keys of a request, and markers in model text to numbered citations.

The model is given opaque random keys, one a passage, and may cite only those: a key that
was not given is removed and counted. Text between the markers passes through unchanged.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import regex

from index.search import ScoredPassage

_ALPHABET = "bcdfghjkmnpqrstvwxz"  # no vowels: a key never is a word
_KEY_CHARS = 5
# Brackets that models use for citations, also in Chinese and Japanese text.
_OPENING, _CLOSING = "[［【〔{⁽", "]］】〕}⁾"
_EDGE = regex.compile(r"[\[［【〔{⁽\]］】〕}⁾\n]")
_MAX_HELD = 124  # characters held back while a marker may still be arriving
_SEPARATORS = regex.compile(r"[\s,;，、；]+")
_BRACKETED_NUMBERS = regex.compile(r"(?:(?<!\s)\s++)?[\[［【〔]\s*+\d+(?:[\s,;，、；–-]+\d+)*\s*[\]］】〕]")


def make_keys(passages: Sequence[ScoredPassage]) -> dict[str, ScoredPassage]:
    """A fresh random key for each passage, in order."""
    keys: dict[str, ScoredPassage] = {}
    for passage in passages:
        key = ""
        while not key or key in keys:
            key = "".join(secrets.choice(_ALPHABET) for _ in range(_KEY_CHARS))
        keys[key] = passage
    return keys


@dataclass(slots=True)
class MarkerStream:
    """Model text in, text and cited keys out, with half-arrived markers held back.

    `n_unknown` counts the keys and numbers in markers that were not given; they are removed.
    """

    keys: frozenset[str]
    n_unknown: int = 0
    _held: str = field(default="")

    def feed(self, text: str) -> Iterator[str | tuple[str, ...]]:
        """Pieces of text and, for each marker, the tuple of its known keys, empty where it has none."""
        self._held += text
        while self._held:
            opening = next((i for i, char in enumerate(self._held) if char in _OPENING), -1)
            if opening < 0:
                yield self._take(len(self._held))
                return
            if opening:
                yield self._take(opening)
            edge = _EDGE.search(self._held, 1, _MAX_HELD)
            if edge is None and len(self._held) < _MAX_HELD:
                return  # the rest of the marker may be on its way
            if edge is not None and edge.group() in _CLOSING:
                yield from self._marker(edge.end())
            else:
                yield self._take(1)

    def close(self) -> Iterator[str | tuple[str, ...]]:
        """What is still held when the model has stopped, perhaps in the middle of a marker."""
        held = self._take(len(self._held))
        names = _names(held[1:])
        known = tuple(dict.fromkeys(name for name in names if name in self.keys))
        if known:
            yield known
        elif held and not (names and any(key.startswith(names[-1]) for key in self.keys)):
            yield held

    def _take(self, n: int) -> str:
        taken, self._held = self._held[:n], self._held[n:]
        return taken

    def _marker(self, end: int) -> Iterator[str | tuple[str, ...]]:
        text = self._take(end)
        names = _names(text[1:-1])
        known = tuple(dict.fromkeys(name for name in names if name in self.keys))
        if not known and not (names and all(_looks_like_key(name) for name in names)):
            yield text  # brackets of the text itself
            return
        self.n_unknown += len({name for name in names if name not in self.keys and _looks_like_key(name)})
        yield known


def without_markers(text: str) -> str:
    """`text` without bracketed numbers, which would read as citations of the answer that it stands in."""
    return _BRACKETED_NUMBERS.sub("", text)


def _names(text: str) -> list[str]:
    """What stands between the brackets of a marker, one by one."""
    return [name for part in _SEPARATORS.split(text) if (name := part.strip("#^*`'\".:").lower())]


def _looks_like_key(name: str) -> bool:
    """Whether a bracketed word can only be meant as a citation: a number, also ① or 一, or letters like a key's."""
    return name.isnumeric() or (len(name) == _KEY_CHARS and all(char in _ALPHABET for char in name))
