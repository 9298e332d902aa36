"""From readings to the sentences that answer, and to the probability that one does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import regex

from index.search import ScoredPassage, SearchResult
from index.store.base import StoredPassage
from rag.reader.base import Reading, SentenceReading

# Log-odds that a sentence answers, per unit of each; docs/decisions/0019
_ANSWERABLE, _SENTENCE, _SEARCH, _BIAS = 1.0, 1.0, 10.0, 0.0
# Subtracted: a heading repeats the question's words, and a question answers none.
_HEADING, _QUESTION = 5.0, 3.0
_ASKS = regex.compile(r"[?？؟]['\"”’»」』)）]*$")
_INTRODUCES = regex.compile(r"[:：]\s*$")
_MIN_LETTERS = 4  # a "sentence" with fewer is a list mark or a page number


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer; offsets are code points of its document, `score` is in log-odds."""

    passage: StoredPassage
    start: int
    end: int
    answer_start: int  # the words that answer
    answer_end: int
    score: float

    @property
    def text(self) -> str:
        return self.passage.text[self.start - self.passage.start : self.end - self.passage.start]

    @property
    def probability(self) -> float:
        """The probability that it answers the question, in [0, 1]."""
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, self.score))))

    def overlaps(self, other: Candidate) -> bool:
        """Whether both have a part of the document in common."""
        same = self.passage.doc_id == other.passage.doc_id
        return same and self.start < other.end and other.start < self.end


def chosen(found: SearchResult, readings: Sequence[Reading]) -> tuple[SearchResult, tuple[Candidate, ...]]:
    """`found` in the order of its readings, with their probabilities as relevance, and its sentences, best first.

    `readings` are of the first passages of `found`; the others come behind, as they were.
    """
    candidates: list[Candidate] = []
    read: list[ScoredPassage] = []
    best_search = max((item.score for item in found.passages), default=0.0)
    for item, reading in zip(found.passages, readings, strict=False):
        passage_score = _ANSWERABLE * reading.answerable + _SEARCH * (item.score - best_search) + _BIAS
        own = [
            _candidate(item.passage, one, passage_score)
            for one in reading.sentences
            if len(regex.findall(r"\p{L}", _text(item.passage, one.start, one.end))) >= _MIN_LETTERS
        ]
        candidates += own
        read.append(replace(item, relevance=max((one.probability for one in own), default=0.0)))
    order = sorted(range(len(read)), key=lambda i: (-read[i].relevance, i))
    passages = (*(read[i] for i in order), *found.passages[len(read) :])
    ranked = sorted(candidates, key=lambda one: (-one.score, one.passage.pid, one.start))
    relevance = passages[0].relevance if passages else 0.0
    return replace(found, passages=passages, relevance=relevance), tuple(ranked)


def _candidate(passage: StoredPassage, one: SentenceReading, passage_score: float) -> Candidate:
    text, end = _text(passage, one.start, one.end), one.end
    heading = (bool(passage.section) and text == passage.section) or text.strip() == passage.title
    score = passage_score + _SENTENCE * one.score - (_HEADING if heading else _QUESTION if _ASKS.search(text) else 0.0)
    if _INTRODUCES.search(text):  # a sentence that ends in a colon is quoted with the one that it introduces
        end = min((after for _, after in passage.sentences if after > end), default=end)
    return Candidate(passage, one.start, end, one.answer_start, one.answer_end, score)


def _text(passage: StoredPassage, start: int, end: int) -> str:
    return passage.text[start - passage.start : end - passage.start]
