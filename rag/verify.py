"""Which span of a cited passage bears a sentence out, and whether any does: decided by code.

First form: numbers and Latin names of the sentence must stand in the passage, and the
sentence must be near the best span by the encoder. It errs towards "not supported".
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import regex

from index.backends.base import StoredPassage
from index.encoders.base import Encoder

# Of translated sentence pairs 96 % reach it, of unrelated ones 8 %: docs/decisions/0008.
_MIN_COSINE = 0.30
_NUMBER = regex.compile(r"\d+(?:[.,\u066b\u066c'’\u202f\u00a0 ]?\d+)*")
_CODE_NAME = regex.compile(r"(?<![\p{L}\d])(?=[A-Za-z\d-]*\d)(?=[A-Za-z\d-]*[A-Za-z])[A-Za-z\d][A-Za-z\d.-]*")


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
    needed = figures(sentence)
    # The sentence that holds the figures decides before the one that is merely similar.
    scores = [float(cosine) + 0.2 * len(needed & figures(text)) for cosine, text in zip(cosines, texts, strict=True)]
    best = max(range(len(spans)), key=lambda i: (scores[i], -i))
    missing = tuple(sorted(needed - figures(passage.text) - figures(passage.date)))
    return Support(*spans[best], float(cosines[best]), missing)


def figures(text: str) -> set[str]:
    """Numbers (digits of any script as ASCII, without grouping marks) and code names of `text`."""
    plain = "".join(_ascii_digit(char) for char in unicodedata.normalize("NFKC", text))
    numbers = {_ungrouped(match.group()) for match in _NUMBER.finditer(plain)}
    codes = {match.group().casefold().strip(".-") for match in _CODE_NAME.finditer(plain)}
    return numbers | codes


def _ascii_digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


def _ungrouped(number: str) -> str:
    """`5,100` and `5.100` as 5100, `3,5` and `3.5` as 3.5: three digits behind a mark are a group."""
    parts = regex.split(r"[.,\u066b\u066c'’\u202f\u00a0 ]", number)
    if len(parts) > 1 and all(len(part) == 3 for part in parts[1:]):
        return "".join(parts).lstrip("0") or "0"
    if len(parts) == 2:
        return f"{parts[0].lstrip('0') or '0'}.{parts[1]}"
    return ".".join(part.lstrip("0") or "0" for part in parts)
