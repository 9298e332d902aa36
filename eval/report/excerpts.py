"""What of a passage is shown: the places of evidence in it with some text around them, or its beginning."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eval.measures.citation import SpanIn

FIRST_CHARS = 600  # of a passage without evidence, and at most of a single place of evidence
_AROUND = 160  # characters before and behind evidence
_MOST = 1_800  # characters of one passage in all
_NEAR = 16  # how far a cut moves to fall between words
_JOINER = "\u200d"  # of emoji and of Indic letters

Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a passage as it stands there; where `n_left_out` is not 0, so many characters that are not shown."""

    text: str
    evidence: bool = False
    n_left_out: int = 0


def evidence_in(passage: SpanIn, places: Iterable[SpanIn]) -> tuple[list[Stretch], bool, bool]:
    """Where evidence stands in a passage, merged and in order, and whether some begins before it, or ends behind it."""
    doc_id, start, end = passage
    own = [(a, b) for doc, a, b in places if doc == doc_id and a < end and start < b]
    inside = _merged((max(a, start) - start, min(b, end) - start) for a, b in own)
    return inside, any(a < start for a, _ in own), any(b > end for _, b in own)


def pieces(text: str, evidence: Sequence[Stretch], first: int = FIRST_CHARS) -> Iterator[Piece]:
    """What is shown of `text`, in order: all of a short one, else what stands around evidence, or the first characters.

    Evidence is whole but for what goes beyond 600 characters of it.
    """
    at = 0
    for start, end in _kept(text, evidence, first):
        if start > at:
            yield Piece("", n_left_out=start - at)
        yield from _split(text, start, end, evidence)
        at = end
    if at < len(text):
        yield Piece("", n_left_out=len(text) - at)


def _kept(text: str, evidence: Sequence[Stretch], first: int) -> list[Stretch]:
    """The stretches that are shown."""
    if len(text) <= first:
        return [(0, len(text))] if text else []
    if not evidence:
        return [(0, _cut(text, first))]
    windows = []
    for a, b in evidence:
        last = b if b - a <= FIRST_CHARS else _cut(text, a + FIRST_CHARS)
        windows.append((_cut(text, max(0, a - _AROUND)), last if last < b else max(b, _cut(text, b + _AROUND))))
    kept: list[Stretch] = []
    n_chars = 0
    for start, end in _merged(windows):
        if kept and n_chars + end - start > _MOST:
            break
        kept.append((start, min(end, start + _MOST)))
        n_chars += end - start
    return kept


def _split(text: str, start: int, end: int, evidence: Sequence[Stretch]) -> Iterator[Piece]:
    """`text[start:end]` at the ends of evidence."""
    at = start
    for a, b in evidence:
        if b <= start or a >= end:
            continue
        if max(a, start) > at:
            yield Piece(text[at : max(a, start)])
        yield Piece(text[max(a, start) : min(b, end)], evidence=True)
        at = min(b, end)
    if at < end:
        yield Piece(text[at:end])


def _cut(text: str, at: int) -> int:
    """A place at or a little before `at` where a word ends, or at least no sign is parted from its marks."""
    if at <= 0 or at >= len(text):
        return min(max(at, 0), len(text))
    for place in range(at, max(0, at - _NEAR), -1):
        if text[place].isspace() or text[place - 1].isspace():
            return place
    while at > 0 and (_joins(text[at]) or text[at - 1] == _JOINER):
        at -= 1
    return at


def _joins(char: str) -> bool:
    """Whether it belongs to the sign before it."""
    return char == _JOINER or unicodedata.category(char).startswith("M")


def _merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
