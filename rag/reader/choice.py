"""From readings to the sentences that answer, and to the probability that one does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import regex

from index.search import ScoredPassage, SearchResult
from index.store.base import StoredPassage
from rag.reader.base import Reading, SentenceReading

# A sentence's score per unit of each: what the reader says of the passage, of the sentence, and how far the passage is
# below the first of the search. docs/decisions/0012
_MARGIN, _SENTENCE, _SEARCH = 0.4, 0.65, 10.0
_NEAR = 20.0  # per unit of cosine between the question and a sentence behind its title
_N_COMPARED = 6  # sentences: each takes time (docs/decisions/0012)
# Log-odds that a passage answers, per unit of what the reader says of it. docs/decisions/0008
_BY_HEAD, _BY_SPAN, _BIAS = 0.13, 0.25, 0.7
# Subtracted: a heading repeats the question's words, and a question answers none.
_HEADING, _QUESTION = 5.0, 3.0
_ASKS = regex.compile(r"[?？؟]['\"”’»」』)）]*$")
_INTRODUCES = regex.compile(r"[:：]\s*$")
_MIN_LETTERS = 4  # a "sentence" with fewer is a list mark or a page number


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer; offsets are code points of its document; a higher score is better."""

    passage: StoredPassage
    start: int
    end: int
    answer_start: int  # the words that answer
    answer_end: int
    score: float

    @property
    def text(self) -> str:
        return self.passage.text[self.start - self.passage.start : self.end - self.passage.start]

    def overlaps(self, other: Candidate) -> bool:
        """Whether both have a part of the document in common."""
        same = self.passage.doc_id == other.passage.doc_id
        return same and self.start < other.end and other.start < self.end


def chosen(found: SearchResult, readings: Sequence[Reading]) -> tuple[SearchResult, tuple[Candidate, ...]]:
    """`found` in the order of its best sentences, with the reader's relevance, and its sentences, best first.

    `readings` are of the first passages of `found`; the others come behind, as they were.
    """
    candidates: list[Candidate] = []
    read: list[tuple[float, ScoredPassage]] = []
    best_search = max((item.score for item in found.passages), default=0.0)
    for item, reading in zip(found.passages, readings, strict=False):
        base = _MARGIN * reading.margin + _SEARCH * (item.score - best_search)
        own = [
            _candidate(item.passage, one, base)
            for one in reading.sentences
            if len(regex.findall(r"\p{L}", _text(item.passage, one.start, one.end))) >= _MIN_LETTERS
        ]
        candidates += own
        best = max((one.score for one in own), default=-math.inf)
        read.append((best, replace(item, relevance=relevance(reading))))
    read.sort(key=lambda pair: -pair[0])
    passages = (*(item for _, item in read), *found.passages[len(read) :])
    ranked = sorted(candidates, key=_place)
    highest = max((item.relevance for _, item in read), default=0.0)
    return replace(found, passages=passages, relevance=highest), tuple(ranked)


def compared(
    found: SearchResult, sentences: Sequence[Candidate], near: Callable[[list[str]], Sequence[float]]
) -> tuple[SearchResult, tuple[Candidate, ...]]:
    """Both in an order that also counts how near the first sentences are to the question in meaning.

    `near` gives the cosine of each text with the question. A sentence that is not compared counts as the farthest one.
    """
    if len(sentences) < 2:
        return found, tuple(sentences)
    cosines = list(near([f"{one.passage.title} {one.text}".strip() for one in sentences[:_N_COMPARED]]))
    cosines += [min(cosines)] * (len(sentences) - len(cosines))
    highest = max(cosines)
    moved = [
        replace(one, score=one.score + _NEAR * (cosine - highest))
        for one, cosine in zip(sentences, cosines, strict=True)
    ]
    ranked = sorted(moved, key=_place)
    place = {one.passage.pid: number for number, one in reversed(list(enumerate(ranked)))}
    passages = sorted(found.passages, key=lambda item: place.get(item.passage.pid, len(ranked)))
    return replace(found, passages=tuple(passages)), tuple(ranked)


def relevance(reading: Reading) -> float:
    """The probability that a passage answers, in [0, 1]."""
    return 1 / (1 + math.exp(-(_BY_HEAD * reading.answerable + _BY_SPAN * reading.margin + _BIAS)))


def _candidate(passage: StoredPassage, one: SentenceReading, base: float) -> Candidate:
    text, end = _text(passage, one.start, one.end), one.end
    heading = (bool(passage.section) and text == passage.section) or text.strip() == passage.title
    score = base + _SENTENCE * one.score - (_HEADING if heading else _QUESTION if _ASKS.search(text) else 0.0)
    if _INTRODUCES.search(text):  # a sentence that ends in a colon is quoted with the next one
        end = min((after for _, after in passage.sentences if after > end), default=end)
    return Candidate(passage, one.start, end, one.answer_start, one.answer_end, score)


def _place(one: Candidate) -> tuple[float, int, int]:
    return -one.score, one.passage.pid, one.start


def _text(passage: StoredPassage, start: int, end: int) -> str:
    return passage.text[start - passage.start : end - passage.start]
