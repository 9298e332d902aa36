"""The numbers, dates and code names of a sentence, and whether a text has them in any notation."""

from __future__ import annotations

from collections.abc import Set

import regex

from index.text.quantities import dates, plain, quantities, spelled

_CODE_NAME = regex.compile(r"(?<![\p{L}\d])(?=[A-Za-z\d-]*\d)[A-Za-z][A-Za-z\d.-]*")  # GPT-4; not 1990s, 5km
_ISO_DATE = regex.compile(r"(?:\d{4}|-)-\d{2}(?:-\d{2})?")  # the month is in all of them


def figures(text: str, language: str = "") -> set[str]:
    """Values of the numbers of `text` (13 billion is 13000000000), its dates (ISO 8601), and its code names.

    A date counts as a whole, and its year.
    """
    normal = plain(text)
    known = dates(normal)
    numbers = {
        quantity.value
        for quantity in quantities(normal, language)
        if not any(date.start <= quantity.start < date.end for date in known)
    }
    codes = {match.group().casefold().strip(".-") for match in _CODE_NAME.finditer(normal)}
    years = {date.value[:4] for date in known if not date.value.startswith("--")}
    return numbers | codes | years | {date.value for date in known}


def lacking_figures(sentence: str, language: str, text: str, text_language: str, date: str = "") -> set[str]:
    """The figures of `sentence` that `text` has neither in digits nor in words; `date` is that of its document."""
    needed = figures(sentence, language) - {"0"}  # mostly the minutes of a time, which others leave out
    held = figures(text, text_language) | figures(date) if needed else set()
    lacking = {figure for figure in needed - held if not any(_held_date(figure, other, held) for other in held)}
    return lacking - spelled(plain(text), text_language) if lacking else lacking


def _held_date(date: str, other: str, held: Set[str]) -> bool:
    """Whether `other` says `date`: to the day where `date` does; or its day, and its year stands elsewhere."""
    if _ISO_DATE.fullmatch(date) is None or _ISO_DATE.fullmatch(other) is None:
        return False
    if date.startswith("--"):
        return other[other.index("-", 1) :].startswith(date[1:])
    return other.startswith(date) or (other.startswith("--") and other[1:] == date[4:] and date[:4] in held)
