"""Which span of a cited passage bears a sentence out, and whether any does: decided by code.

First form: numbers and Latin names of the sentence must stand in the passage, and the
sentence must be near the best span by the encoder. It errs towards "not supported".
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

from index.backends.base import StoredPassage
from index.encoders.base import Encoder
from index.language import detect_language
from index.quantities import dates, plain, quantities

# Of translated sentence pairs 99.2 % reach it, of unrelated ones 0.2 %: docs/decisions/0008.
_MIN_COSINE = 0.30
_CODE_NAME = regex.compile(r"(?<![\p{L}\d])(?=[A-Za-z\d-]*\d)[A-Za-z][A-Za-z\d.-]*")  # GPT-4; not 1990s, 5km
_ISO_DATE = regex.compile(r"(?:\d{4}|-)-\d{2}(?:-\d{2})?")


@dataclass(frozen=True, slots=True)
class Support:
    """The span of a document that bears a sentence out best, and whether it does."""

    start: int
    end: int
    cosine: float
    missing: tuple[str, ...]  # numbers and code names that the passage lacks

    @property
    def holds(self) -> bool:
        return self.cosine >= _MIN_COSINE and not self.missing


def support(sentence: str, passage: StoredPassage, encoder: Encoder) -> Support:
    """How far `passage` bears `sentence` out, with the span that decides."""
    spans = passage.sentences or ((passage.start, passage.end),)
    texts = [passage.text[start - passage.start : end - passage.start] for start, end in spans]
    cosines = encoder.encode_passages(texts) @ encoder.encode_passages([sentence])[0]
    needed = figures(sentence, detect_language(sentence))
    # The sentence that holds the figures decides before the one that is merely similar.
    of_spans = [figures(text, passage.language) for text in texts]
    scores = [float(cosine) + 0.2 * len(needed & own) for cosine, own in zip(cosines, of_spans, strict=True)]
    best = max(range(len(spans)), key=lambda i: (scores[i], -i))
    held = figures(passage.text, passage.language) | figures(passage.date)
    missing = tuple(sorted(_lacking(needed, held)))
    return Support(*spans[best], float(cosines[best]), missing)


def figures(text: str, language: str = "") -> set[str]:
    """Values of the numbers of `text` (13 billion is 13000000000), its dates (ISO 8601), and its code names."""
    normal = plain(text)
    numbers = {quantity.value for quantity in quantities(normal, language)}
    codes = {match.group().casefold().strip(".-") for match in _CODE_NAME.finditer(normal)}
    return numbers | codes | {date.value for date in dates(normal)}


def _lacking(needed: set[str], held: set[str]) -> set[str]:
    """What of `needed` is not held: a date is where its parts are, as 12 March in one place and the year in another."""
    return {figure for figure in needed - held if not any(_held_date(figure, other, held) for other in held)}


def _held_date(date: str, other: str, held: set[str]) -> bool:
    year, month_day = date[:4], date[4:]
    if _ISO_DATE.fullmatch(date) is None or _ISO_DATE.fullmatch(other) is None:
        return False
    if date.startswith("--"):
        return other.endswith(date[1:])
    return other.startswith(date) or (other.startswith("--") and other[1:] == month_day and year in held)
