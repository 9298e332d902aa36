"""Which sentences of the found passages answer the question: a linear model over nine cheap features.

The weights were fitted on XQuAD (docs/decisions/0012); the reader will replace them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex

from index.encoders.base import Encoder, FloatArray, LateInteraction
from index.search import ScoredPassage, SearchResult
from index.store.base import StoredPassage
from index.text.language import function_words
from index.text.terms import terms

MAX_PASSAGES = 5  # passages whose sentences are weighed

# Log-odds per unit of each feature.
WEIGHTS: dict[str, float] = {
    "cosine": 2.98,
    "match": -2.98,
    "match with the one before": 5.20,
    "below the best of the passage": 9.46,
    "words": 0.66,
    "rank": 2.24,
    "passage below the first": 15.90,
    "opens the passage": 0.36,
    "length": 0.06,
}
# Subtracted: a heading repeats the question's words, and a question answers none.
_HEADING, _QUESTION = 5.0, 3.0
_ASKS = regex.compile(r"[?？؟]['\"”’»」』)）]*$")
_INTRODUCES = regex.compile(r"[:：]\s*$")
_MIN_LETTERS = 4  # a "sentence" with fewer is a list mark or a page number


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage; `score` is in log-odds, comparable within one question only."""

    passage: StoredPassage
    start: int
    end: int
    score: float

    @property
    def text(self) -> str:
        return self.passage.text[self.start - self.passage.start : self.end - self.passage.start]

    def overlaps(self, other: Candidate) -> bool:
        """Whether both have a part of the document in common."""
        same = self.passage.doc_id == other.passage.doc_id
        return same and self.start < other.end and other.start < self.end


def ranked(found: SearchResult, encoder: Encoder) -> list[Candidate]:
    """The sentences of the first passages, best first."""
    passages = found.passages[:MAX_PASSAGES]
    places = [(rank, i) for rank, item in enumerate(passages) for i in range(len(item.passage.sentences))]
    alone = [_text(passages[rank], i, i) for rank, i in places]
    # The subject of a sentence is often named in the one before it.
    with_before = [_text(passages[rank], max(0, i - 1), i) for rank, i in places]
    scores = _features(found, places, alone, with_before, encoder) @ np.array(list(WEIGHTS.values()))
    candidates = [
        _candidate(passages[rank].passage, i, text, float(score))
        for (rank, i), text, score in zip(places, alone, scores, strict=True)
        if len(regex.findall(r"\p{L}", text)) >= _MIN_LETTERS
    ]
    return sorted(candidates, key=lambda one: (-one.score, one.passage.pid, one.start))


def _candidate(passage: StoredPassage, i: int, text: str, score: float) -> Candidate:
    start, end = passage.sentences[i]
    heading = (bool(passage.section) and text == passage.section) or text.strip() == passage.title
    score -= _HEADING if heading else _QUESTION if _ASKS.search(text) else 0.0
    if _INTRODUCES.search(text) and i + 1 < len(passage.sentences):
        end = passage.sentences[i + 1][1]  # a sentence that ends in a colon is quoted with the one it introduces
    return Candidate(passage, start, end, score)


def _features(
    found: SearchResult,
    places: Sequence[tuple[int, int]],
    alone: Sequence[str],
    with_before: Sequence[str],
    encoder: Encoder,
) -> FloatArray:
    """(n_sentences, n_features), in the order of `WEIGHTS`; `places` are (passage, sentence)."""
    query = encoder.encode_queries([found.question])[0]
    cosines: FloatArray = encoder.encode_passages(alone) @ query
    if isinstance(encoder, LateInteraction):
        both = encoder.max_sim([found.question], [*alone, *with_before])[0]
        matches, wider = both[: len(alone)], both[len(alone) :]
    else:  # without a word by word score the cosines replace it
        matches, wider = cosines, encoder.encode_passages(with_before) @ query
    best = {rank: max(matches[j] for j, place in enumerate(places) if place[0] == rank) for rank, _ in places}
    wanted = {term for term in terms(found.question) if term not in function_words(found.language)}
    rows = [
        (
            cosines[j],
            matches[j],
            wider[j],
            matches[j] - best[rank],
            len(wanted.intersection(terms(text))) / len(wanted) if wanted else 0.0,
            1 / (1 + rank),
            found.passages[rank].score - found.passages[0].score,
            float(i == 0),
            math.log(max(4, _width(text))),
        )
        for j, ((rank, i), text) in enumerate(zip(places, alone, strict=True))
    ]
    return np.array(rows).reshape(len(rows), len(WEIGHTS))


def _text(item: ScoredPassage, first: int, last: int) -> str:
    """The sentences `first` to `last` of a passage."""
    passage = item.passage
    return passage.text[passage.sentences[first][0] - passage.start : passage.sentences[last][1] - passage.start]


def _width(text: str) -> int:
    """Characters of `text`; twice as many in scripts that write a word with two or three."""
    wide = sum("\u1100" <= char <= "\uffdc" for char in text) > len(text) / 4
    return len(text) * (2 if wide else 1)
