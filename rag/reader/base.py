"""What a reader is: it reads a question or a claim together with passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from index.store.base import StoredPassage


@dataclass(frozen=True, slots=True)
class SentenceReading:
    """What the reader found in one sentence of a passage; all offsets are code points of the document."""

    start: int
    end: int
    answer_start: int  # the words that answer, if the sentence does
    answer_end: int
    score: float  # log-probability that the answer stands in this sentence of the passage


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader found in one passage.

    `answerable` and `margin` are both log-odds that it answers: by a head of its own, and of any span against none.
    `sentences` are those of the passage, in order; one beyond the reader's last token is
    not among them.
    """

    answerable: float
    margin: float
    sentences: tuple[SentenceReading, ...]


class Judgement(NamedTuple):
    """Probabilities of what a passage says about a claim; their sum is 1."""

    supported: float
    contradicted: float
    not_mentioned: float


class Reader(Protocol):
    """Reads pairs of a text and a passage."""

    @property
    def name(self) -> str: ...

    def read(self, question: str, passages: Sequence[StoredPassage]) -> list[Reading]:
        """Where each passage answers `question`, and whether it does, in order."""
        ...

    def near(self, question: str, texts: Sequence[str]) -> list[float]:
        """How near each text is to `question` in meaning: the cosine of their vectors, in order."""
        ...

    def judge(self, claims: Sequence[tuple[str, StoredPassage]]) -> list[Judgement]:
        """What each passage says about the claim beside it, in order."""
        ...
