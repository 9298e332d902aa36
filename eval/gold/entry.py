"""What a gold file of any format holds in one place, before it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """The values of one question, or the problem why a place in a file holds none.

    `line` is where it begins, from 1. `values` are not checked: `as_item` does that.
    """

    line: int
    values: Any = None
    problem: str = ""


def truth(text: str) -> bool | str:
    """True and False where `text` says so in letters of any case; else `text`, for `as_item` to refuse."""
    return {"true": True, "false": False}.get(text.strip().casefold(), text)
