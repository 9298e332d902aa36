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
_MARKER = regex.compile(r"[\[［【〔]\s*([^\[\]［］【】〔〕]{1,120}?)\s*[\]］】〕]")
_OPENING = "[［【〔"
_MAX_HELD = 124  # characters held back while a marker may still be arriving
_SEPARATORS = regex.compile(r"[\s,;，、；]+")


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

    `n_unknown` counts markers that named no given key; they are removed.
    """

    keys: frozenset[str]
    n_unknown: int = 0
    _held: str = field(default="")

    def feed(self, text: str) -> Iterator[str | tuple[str, ...]]:
        """Pieces of text and, for each marker, the tuple of its known keys."""
        self._held += text
        while self._held:
            opening = next((i for i, char in enumerate(self._held) if char in _OPENING), -1)
            if opening < 0:
                yield self._take(len(self._held))
                return
            if opening:
                yield self._take(opening)
            match = _MARKER.match(self._held)
            if match is None:
                if len(self._held) < _MAX_HELD and not regex.match(r".[^\]］】〕]*[\[［【〔\n]", self._held):
                    return  # the rest of the marker may be on its way
                yield self._take(1)
                continue
            yield from self._marker(match)

    def close(self) -> Iterator[str | tuple[str, ...]]:
        """What is still held when the model has stopped."""
        if self._held:
            yield self._take(len(self._held))

    def _take(self, n: int) -> str:
        taken, self._held = self._held[:n], self._held[n:]
        return taken

    def _marker(self, match: regex.Match[str]) -> Iterator[str | tuple[str, ...]]:
        names = [name.strip("#^*`'\"").lower() for name in _SEPARATORS.split(match.group(1)) if name]
        known = tuple(dict.fromkeys(name for name in names if name in self.keys))
        looks_like_marker = bool(known) or all(_looks_like_key(name) for name in names)
        text = self._take(match.end())
        if not looks_like_marker:
            yield text  # brackets of the text itself
            return
        self.n_unknown += len({name for name in names if name not in self.keys})
        if known:
            yield known


def _looks_like_key(name: str) -> bool:
    """Whether a bracketed word can only be meant as a citation: a number, or letters like a key's."""
    return name.isdecimal() or (len(name) == _KEY_CHARS and all(char in _ALPHABET for char in name))
