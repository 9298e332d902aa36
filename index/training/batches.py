"""Batches of text pairs whose vectors should be similar: what is drawn, how often, and in which form."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.training.corpus import SOURCE_NAMES, Corpus, Ints, Ragged, gather
from index.training.pairs import SOURCES, Kind

KIND_SHARES = {Kind.SENTENCES: 0.5, Kind.NAMES: 0.2, Kind.DICTIONARY: 0.22, Kind.INTERFACE: 0.08}
_LANGUAGE_POWER = 0.4  # a language's share grows with its number of pairs to this power
_PIVOT_SHARE = 0.5  # of the pairs whose English has several translations: two of those, and no English
_SENTENCE_SHARE = 0.6  # of the passages with a title and no question
_DROP_TOKENS = 0.1  # of a sentence's tokens, so that none is relied on
_KEEP_ALL = 4  # tokens; shorter texts lose none


@dataclass(slots=True)
class Batch:
    """2n texts, as token ids; text i and text n + i should be similar. Texts with one `key` are never distinguished."""

    texts: Ragged
    keys: Ints


class PairSampler:
    """Draws translation pairs: English and a translation, or two translations of one English text."""

    def __init__(self, corpus: Corpus, tokens: Ragged) -> None:
        self._corpus, self._tokens = corpus, tokens
        lengths = np.diff(tokens.offsets)
        sound = (lengths[corpus.english] > 0) & (lengths[corpus.other] > 0)
        self._cumulative = np.cumsum(_weights(corpus) * sound)
        # Pairs by their English text, for pivots; a headword's translations can be of different senses.
        pivots = np.array([SOURCES[name].kind is not Kind.DICTIONARY for name in SOURCE_NAMES])
        usable = np.flatnonzero(pivots[corpus.source] & sound)
        self._by_english = usable[np.argsort(corpus.english[usable], kind="stable")]
        self._english_sorted = corpus.english[self._by_english]
        self._may_pivot = pivots[corpus.source]

    def draw(self, n_pairs: int, rng: np.random.Generator) -> Batch:
        """A batch of `n_pairs`."""
        corpus = self._corpus
        picks = np.searchsorted(self._cumulative, rng.random(n_pairs) * self._cumulative[-1], side="right")
        english, other = corpus.english[picks], corpus.other[picks]
        first = np.searchsorted(self._english_sorted, english, side="left")
        n_group = np.searchsorted(self._english_sorted, english, side="right") - first
        chosen = first + (rng.random(n_pairs) * n_group).astype(np.int64)
        partner = self._by_english[np.minimum(chosen, len(self._by_english) - 1)]
        pivot = (
            (n_group > 1)
            & self._may_pivot[corpus.source[picks]]
            & (corpus.language[partner] != corpus.language[picks])
            & (rng.random(n_pairs) < _PIVOT_SHARE)
        )
        left = np.where(pivot, corpus.other[partner], english)
        rows = np.concatenate([left, other])
        return Batch(_drop(gather(self._tokens, rows), rng), np.concatenate([english, english]).astype(np.int32))


class TopicSampler:
    """Draws questions, titles and sentences, each with the passage it belongs to."""

    def __init__(self, corpus: Corpus, tokens: Ragged) -> None:
        self._corpus, self._tokens = corpus, tokens
        n_questions = np.diff(corpus.questions.offsets) // 2
        # A passage counts as often as it has questions, so that those of question sets are not drowned.
        self._cumulative = np.cumsum(np.sqrt(n_questions) + (n_questions > 1))

    def draw(self, n_pairs: int, rng: np.random.Generator) -> Batch:
        """A batch of `n_pairs`."""
        drawn = np.searchsorted(self._cumulative, rng.random(n_pairs) * self._cumulative[-1], side="right")
        left: list[Sequence[int]] = []
        right: list[Sequence[int]] = []
        keys: list[int] = []
        for topic in drawn:
            query, passage = self._pair(int(topic), rng)
            if len(query) and len(passage):
                left.append(query)
                right.append(passage)
                keys.append(int(topic))
        return Batch(_drop(self._joined([*left, *right]), rng), np.array(keys + keys, np.int32))

    def _joined(self, rows: Sequence[Sequence[int]]) -> Ragged:
        """Each of `rows`, numbers of texts, as the tokens of one text."""
        parts = gather(self._tokens, np.fromiter(itertools.chain.from_iterable(rows), np.int64))
        ends = np.cumsum([0, *map(len, rows)])
        return Ragged(parts.values, parts.offsets[ends])

    def _pair(self, topic: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """What asks and what answers, as texts; empty where the topic has no question."""
        corpus = self._corpus
        sentences = corpus.sentences[topic].tolist()
        questions = corpus.questions[topic]
        # A title only: mostly a sentence asks for the rest.
        if len(questions) == 2 and len(sentences) > 1 and rng.random() < _SENTENCE_SHARE:
            i = int(rng.integers(len(sentences)))
            return [sentences[i]], self._window(sentences[:i] + sentences[i + 1 :], -1, rng)
        if not len(questions):
            return [], []
        i = int(rng.integers(len(questions) // 2))
        return [int(questions[2 * i])], self._window(sentences, int(questions[2 * i + 1]), rng)

    def _window(self, sentences: list[int], must_hold: int, rng: np.random.Generator) -> list[int]:
        """The whole passage, or a run of its sentences that holds sentence `must_hold`."""
        n = len(sentences)
        if n < 2 or rng.random() < 0.5:
            return sentences
        size = int(rng.integers(1, min(n, 4) + 1))
        if must_hold < 0:
            start = int(rng.integers(0, n - size + 1))
        else:
            start = int(rng.integers(max(0, must_hold - size + 1), min(must_hold, n - size) + 1))
        return sentences[start : start + size]


def _weights(corpus: Corpus) -> NDArray[np.float64]:
    """How often each pair is drawn, relative to others: by its source's weight, kind and language."""
    kinds = list(KIND_SHARES)
    kind_of_source = np.array([kinds.index(SOURCES[name].kind) for name in SOURCE_NAMES])
    weight_of_source = np.array([SOURCES[name].weight for name in SOURCE_NAMES])
    weight = weight_of_source[corpus.source].astype(np.float64)
    kind = kind_of_source[corpus.source]
    n_languages = len(corpus.languages)
    cell = corpus.language.astype(np.int64) * len(kinds) + kind
    totals = np.bincount(cell, weights=weight, minlength=n_languages * len(kinds)).reshape(n_languages, len(kinds))
    language_share = np.bincount(corpus.language, minlength=n_languages) ** _LANGUAGE_POWER
    shares = np.array([KIND_SHARES[name] for name in kinds])[None, :] * (totals > 0)
    # A kind that a language has little of is not repeated without end: its share falls with the root.
    shares = shares * np.minimum(1.0, np.sqrt(totals / 20_000))
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12) * language_share[:, None]
    result: NDArray[np.float64] = weight * (shares / np.maximum(totals, 1e-12)).reshape(-1)[cell]
    return result


def _drop(texts: Ragged, rng: np.random.Generator) -> Ragged:
    lengths = np.diff(texts.offsets)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    keep = (rng.random(len(owner)) >= _DROP_TOKENS) | (lengths[owner] <= _KEEP_ALL)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner[keep], minlength=len(lengths)))])
    return Ragged(texts.values[keep], offsets)
