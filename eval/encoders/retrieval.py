"""Passage retrieval and translation retrieval by an encoder alone, exact, for every pair of languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.encoders.sets import Bitext, PassageSet
from index.encoders import Encoder, FloatArray
from index.encoders.base import LateInteraction
from index.settings import Parts

_DEPTH = 10  # of nDCG


@dataclass(frozen=True, slots=True)
class Found:
    """Means over the questions of one pair of languages, each in [0, 1]."""

    recall_1: float
    recall_5: float
    ndcg_10: float
    n_questions: int


Pair = tuple[str, str]  # language of the questions, language of the passages


def passage_retrieval(encoder: Encoder, passages: PassageSet, parts: Parts, tokens: float) -> dict[Pair, Found]:
    """What is found of `passages`, ranked by the product's dense score (`index.search`).

    `tokens` is the share of the word by word score in it, for an encoder that has one.
    """
    results: dict[Pair, Found] = {}
    questions = {language: encoder.encode_queries(texts) for language, texts in passages.questions.items()}
    for held, texts in passages.passages.items():
        vectors = encoder.encode_parts(texts, parts)
        for asked, queries in questions.items():
            scores = dense_scores(queries, vectors)
            if tokens > 0 and isinstance(encoder, LateInteraction):
                joined = [" ".join(sentences) for sentences in texts]
                scores = (1 - tokens) * scores + tokens * encoder.max_sim(passages.questions[asked], joined)
            results[asked, held] = found(scores, passages.gold[asked])
    return results


def dense_scores(queries: FloatArray, passages: Sequence[FloatArray]) -> FloatArray:
    """(queries, passages): the mean of the cosines of the whole passage and of its best part."""
    whole = queries @ np.stack([vectors[0] for vectors in passages]).T
    parts = [vectors[1:] if len(vectors) > 1 else vectors for vectors in passages]
    starts = np.cumsum([0, *(len(own) for own in parts[:-1])])
    best = np.maximum.reduceat(queries @ np.concatenate(parts).T, starts, axis=1)
    mean: FloatArray = (whole + best) / 2
    return mean


def found(scores: FloatArray, gold: Sequence[int]) -> Found:
    """Recall and nDCG where passage `gold[i]` is the one wanted in row i; of equal scores the earlier ranks first."""
    ranks = ranks_of(scores, np.asarray(gold))
    gain = np.where(ranks < _DEPTH, 1 / np.log2(ranks + 2), 0)
    return Found(float((ranks < 1).mean()), float((ranks < 5).mean()), float(gain.mean()), len(ranks))


def ranks_of(scores: FloatArray, gold: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many columns rank before column `gold[i]` in row i."""
    own = scores[np.arange(len(scores)), gold][:, None]
    earlier = np.arange(scores.shape[1])[None, :] < np.asarray(gold)[:, None]
    ranks: NDArray[np.int64] = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return ranks


def translation_retrieval(encoder: Encoder, bitext: Bitext, languages: Sequence[str]) -> dict[Pair, float]:
    """Share of sentences whose nearest sentence in the other language is their translation, in [0, 1]."""
    vectors = {language: encoder.encode_passages(bitext.sentences[language]) for language in languages}
    results: dict[Pair, float] = {}
    for one in languages:
        for other in languages:
            if one != other:
                nearest = (vectors[one] @ vectors[other].T).argmax(axis=1)
                results[one, other] = float((nearest == np.arange(len(nearest))).mean())
    return results
