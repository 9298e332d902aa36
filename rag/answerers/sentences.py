"""Which sentences of the found passages answer the question: a small linear model over cheap features.

docs/decisions/0012 says how the weights were fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from index.encoders.base import Encoder, FloatArray, LateInteraction
from index.search import ScoredPassage, SearchResult
from index.store.base import StoredPassage
from index.text.language import function_words
from index.text.terms import terms
from rag.answerers.kinds import Kind, holds, kind_of

MAX_PASSAGES = 5  # passages whose sentences are weighed

# Of each feature of a sentence: log-odds a unit. docs/decisions/0012
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
    "when: date": 3.69,
    "when: number": -2.66,
    "number: number": 0.15,
    "number: date": -0.62,
    "who, where: name": 0.23,
    "other: name": 0.15,
    "other: number": -0.28,
    "why: reason": 0.47,
}
_HEADING, _QUESTION = 5.0, 3.0  # taken off: a heading repeats the question's words, and a question answers none


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage; `score` is in log-odds, comparable within one question only."""

    passage: StoredPassage
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with what is known of it before it is weighed; `features` by name."""

    scored: ScoredPassage
    start: int
    end: int
    features: dict[str, float]

    @property
    def text(self) -> str:
        first = self.scored.passage.start
        return self.scored.passage.text[self.start - first : self.end - first]


def ranked(found: SearchResult, encoder: Encoder) -> list[Candidate]:
    """The sentences of the first passages, best first."""
    candidates = [
        Candidate(sentence.scored.passage, sentence.start, _end(sentence), _score(sentence))
        for sentence in sentences(found, encoder)
        if not _says_nothing(sentence.text)
    ]
    return sorted(candidates, key=lambda one: (-one.score, one.passage.pid, one.start))


def _end(sentence: Sentence) -> int:
    """Where to stop quoting: a sentence that ends in a colon only introduces the next."""
    spans = sentence.scored.passage.sentences
    place = spans.index((sentence.start, sentence.end))
    goes_on = regex.search(r"[:：]\s*$", sentence.text) is not None and place + 1 < len(spans)
    return spans[place + 1][1] if goes_on else sentence.end


def _score(sentence: Sentence) -> float:
    weighed = sum(WEIGHTS[name] * value for name, value in sentence.features.items())
    passage, text = sentence.scored.passage, sentence.text
    heading = (bool(passage.section) and text == passage.section) or text.strip() == passage.title
    asks = regex.search(r"[?？؟]['\"”’»」』)）]*$", text) is not None
    return weighed - (_HEADING if heading else _QUESTION if asks else 0.0)


def sentences(found: SearchResult, encoder: Encoder) -> list[Sentence]:
    """Every sentence of the first passages, with its features."""
    question, language = found.question, found.language
    passages = found.passages[:MAX_PASSAGES]
    spans = [(rank, scored, i) for rank, scored in enumerate(passages) for i in range(len(scored.passage.sentences))]
    alone = [_text(scored, i, i) for _, scored, i in spans]
    # What a sentence is about often stands in the one before it.
    with_before = [_text(scored, max(0, i - 1), i) for _, scored, i in spans]
    cosines, matches, wider = nearness(encoder, question, alone, with_before)
    best = {rank: max(matches[j] for j, span in enumerate(spans) if span[0] == rank) for rank, _, _ in spans}
    kind = kind_of(question, language)
    wanted = {term for term in terms(question) if term not in function_words(language)}
    sentences = []
    for j, (rank, scored, i) in enumerate(spans):
        share = len(wanted.intersection(terms(alone[j]))) / len(wanted) if wanted else 0.0
        features = {
            "cosine": float(cosines[j]),
            "match": float(matches[j]),
            "match with the one before": float(wider[j]),
            "below the best of the passage": float(matches[j] - best[rank]),
            "words": share,
            "rank": 1 / (1 + rank),
            "passage below the first": scored.score - passages[0].score,
            "opens the passage": float(i == 0),
            "length": math.log(max(4, _width(alone[j]))),
            **dict(_of_kind(kind, alone[j], question, scored.passage.language)),
        }
        sentences.append(Sentence(scored, *scored.passage.sentences[i], features))
    return sentences


def _of_kind(kind: Kind, sentence: str, question: str, language: str) -> Iterator[tuple[str, float]]:
    """Whether the sentence has what this kind of question wants, and what others want."""
    has = holds(sentence, question, language)
    yield "when: date", has.date * (kind is Kind.WHEN)
    yield "when: number", has.number * (kind is Kind.WHEN)
    yield "number: number", has.number * (kind is Kind.NUMBER)
    yield "number: date", has.date * (kind is Kind.NUMBER)
    yield "who, where: name", has.name * (kind in (Kind.WHO, Kind.WHERE))
    yield "other: name", has.name * (kind is Kind.OTHER)
    yield "other: number", has.number * (kind in (Kind.OTHER, Kind.HOW, Kind.WHY))
    yield "why: reason", has.reason * (kind is Kind.WHY)


def nearness(
    encoder: Encoder, question: str, sentences: Sequence[str], with_before: Sequence[str]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n,) each: cosine of each sentence, its word by word score, and that of it with the one before.

    Of an encoder without the word by word score the cosines stand for it.
    """
    query = encoder.encode_queries([question])[0]
    cosines: FloatArray = encoder.encode_passages(sentences) @ query
    if isinstance(encoder, LateInteraction):
        both = encoder.max_sim([question], [*sentences, *with_before])[0]
        return cosines, both[: len(sentences)], both[len(sentences) :]
    wider: FloatArray = encoder.encode_passages(with_before) @ query
    return cosines, cosines, wider


def _text(scored: ScoredPassage, first: int, last: int) -> str:
    """The sentences `first` to `last` of a passage."""
    passage = scored.passage
    return passage.text[passage.sentences[first][0] - passage.start : passage.sentences[last][1] - passage.start]


def _width(text: str) -> int:
    """Characters of `text`, those of scripts that say a word with two or three twice."""
    wide = sum("\u1100" <= char <= "\uffdc" for char in text) > len(text) / 4
    return len(text) * (2 if wide else 1)


def _says_nothing(text: str) -> bool:
    """Whether a "sentence" has too few letters to answer anything (a list mark, a page number)."""
    return len(regex.findall(r"\p{L}", text)) < 4
