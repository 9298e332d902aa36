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

# Of translated sentence pairs 99.2 % reach it, of unrelated ones 0.2 %: docs/decisions/0008.
_MIN_COSINE = 0.30
_NUMBER = regex.compile(r"\d{1,3}(?: \d{3})+(?!\d)(?:[.,\u066b]\d+)?|\d+(?:[.,\u066b\u066c'’]\d+)*")
_CODE_NAME = regex.compile(r"(?<![\p{L}\d])(?=[A-Za-z\d-]*\d)[A-Za-z][A-Za-z\d.-]*")  # GPT-4; not 1990s, 5km
_SUPERSCRIPT = regex.compile(r"[⁰¹²³⁴-⁹]+")  # an exponent or a note; NFKC would make 10² a 102


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
    normal = unicodedata.normalize("NFKC", _SUPERSCRIPT.sub(" ", text))
    plain = "".join(_ascii_digit(char) for char in normal)
    numbers = {_ungrouped(match.group()) for match in _NUMBER.finditer(plain)}
    codes = {match.group().casefold().strip(".-") for match in _CODE_NAME.finditer(plain)}
    return numbers | codes


def _ascii_digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


def _ungrouped(number: str) -> str:
    """`5,100` and `5.100` as 5100, `3,5` and `3.5` as 3.5: three digits behind a mark are a group."""
    marks, parts = regex.findall(r"\D", number), regex.split(r"\D", number)
    of_two_kinds = len(marks) > 1 and marks[-1] not in marks[:-1]  # 1.234,5
    alone = len(marks) == 1 and (marks == ["\u066b"] or not _grouped(parts))
    decimals = f".{parts.pop()}" if of_two_kinds or alone else ""
    if len(parts) > 1 and not _grouped(parts):
        return ".".join(part.lstrip("0") or "0" for part in parts) + decimals  # a date, a version
    return ("".join(parts).lstrip("0") or "0") + decimals


def _grouped(parts: list[str]) -> bool:
    """Whether digits between marks are groups of a number: by thousands, or as in 12,34,567."""
    if not (1 <= len(parts[0]) <= 3) or parts[0].startswith("0") or len(parts[-1]) != 3:
        return False
    middle = {len(part) for part in parts[1:-1]}
    return middle <= {3} or (middle == {2} and len(parts[0]) <= 2)
