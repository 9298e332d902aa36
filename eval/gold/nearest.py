"""Where a text nearly stands in another: with other punctuation, case or letters."""

from __future__ import annotations

import unicodedata
from difflib import SequenceMatcher
from typing import NamedTuple

from index.documents import Span

_MAX_TEXT_CHARS = 2_000_000  # of a document that is looked through
_MAX_WANTED_CHARS = 400  # of the span that is looked for
_SEED = 6  # characters that must stand there as they are
_MAX_WINDOWS = 12  # places that are compared, and of each stretch
_MAX_OF_ONE = 3
_LEAST = 0.6  # likeness, 2 * common / (both lengths): below it the place says nothing


class Folded(NamedTuple):
    """The letters and digits of a text, NFKC and without case, and where each stood."""

    letters: str
    places: list[int]


class Near(NamedTuple):
    """A place that nearly reads as wanted; `likeness` in (0, 1] of letters and digits, 1 where only signs differ."""

    span: Span
    likeness: float


def fold(text: str) -> Folded:
    """`text` as `nearest` compares it; what is behind two million characters is left out."""
    letters: list[str] = []
    places: list[int] = []
    for i, char in enumerate(text[:_MAX_TEXT_CHARS]):
        for folded in unicodedata.normalize("NFKC", char).casefold():
            if folded.isalnum() or unicodedata.category(folded)[0] == "M":
                letters.append(folded)
                places.append(i)
    return Folded("".join(letters), places)


def nearest(text: Folded, wanted: str) -> Near | None:
    """The place that reads most like `wanted` (of a long one its beginning); None where none does."""
    needle = fold(unicodedata.normalize("NFC", wanted)).letters[:_MAX_WANTED_CHARS]
    if not needle:
        return None
    exact = text.letters.find(needle)
    if exact >= 0:
        return Near(_span(text, exact, exact + len(needle)), 1.0)
    found = [_best_in(text, needle, start) for start in _windows(text.letters, needle)]
    best = max(found, key=lambda near: near.likeness, default=None)
    return best if best and best.likeness >= _LEAST else None


def _windows(letters: str, needle: str) -> list[int]:
    """Where `needle` would begin by each stretch of it that stands in the text as it is, first stretches first."""
    starts: dict[int, None] = {}
    size = min(_SEED, max(2, len(needle) // 2))
    for at in range(0, max(1, len(needle) - size + 1), max(1, size // 2)):
        place = -1
        for _ in range(min(_MAX_OF_ONE, _MAX_WINDOWS - len(starts))):
            place = letters.find(needle[at : at + size], place + 1)
            if place < 0:
                break
            starts.setdefault(max(0, place - at))
    return list(starts)


def _best_in(text: Folded, needle: str, start: int) -> Near:
    """The stretch near `start` from the first to the last piece that it shares with `needle`."""
    slack = len(needle) // 4 + 1
    begin = max(0, start - slack)
    window = text.letters[begin : start + len(needle) + slack]
    blocks = [
        block for block in SequenceMatcher(None, window, needle, autojunk=False).get_matching_blocks() if block.size
    ]
    common = sum(block.size for block in blocks)
    # Its ends: where the needle's would be by its first and its last common piece.
    first = max(0, blocks[0].a - blocks[0].b)
    last = min(len(window), blocks[-1].a + len(needle) - blocks[-1].b)
    return Near(_span(text, begin + first, begin + last), 2 * common / (len(needle) + last - first))


def _span(text: Folded, start: int, end: int) -> Span:
    return Span(text.places[start], text.places[end - 1] + 1)
