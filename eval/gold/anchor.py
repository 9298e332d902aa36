"""Evidence that stands in one place only: a span, widened by whole words until nothing else reads like it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

import regex

from index.documents import Span

_SIGN = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
# A word; of scripts without spaces a character with its marks; any other sign.
_UNIT = regex.compile(rf"{_SIGN}\p{{M}}*|(?:(?!{_SIGN})[\p{{L}}\p{{M}}\p{{N}}])+|\S")


def unique_span(text: str, start: int, end: int) -> Span:
    """[start, end) of `text` (NFC, as stored), or the span around it that `find_evidence` finds in one place only.

    It grows by a unit behind and a unit before in turn: whole words, and characters where words have no spaces.
    """
    dense = "".join(text.split())
    place = [0, *accumulate(not char.isspace() for char in text)]  # of each character in `dense`
    units = [match.span() for match in _UNIT.finditer(text)]
    starts, ends = [unit[0] for unit in units], [unit[1] for unit in units]
    behind = True
    while not _alone(dense, place[start], place[end]):
        before, after = bisect_left(starts, start) - 1, bisect_right(ends, end)
        if after < len(ends) and (behind or before < 0):
            end = ends[after]
        else:
            start = starts[before]
        behind = not behind
    return Span(start, end)


def _alone(dense: str, start: int, end: int) -> bool:
    """Whether `dense[start:end]` stands nowhere else, overlaps included."""
    wanted = dense[start:end]
    return dense.find(wanted, dense.find(wanted) + 1) < 0
