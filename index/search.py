"""From a question to ranked passages: the one place that knows how legs are fused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from index.backends.base import Snapshot, StoredPassage
from index.encoders.base import Encoder, FloatArray, LateInteraction
from index.language import detect_language, function_words, same_language
from index.terms import terms

MAX_QUESTION_CHARS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How passages are ranked. Defaults are measured in docs/decisions/0006."""

    n_candidates: int = 100  # passages a leg
    rank_constant: float = 5.0  # of reciprocal rank fusion (Cormack et al. 2009 use 60)
    lexical_weight_same: float = 0.1  # of the lexical leg where question and passage share a language
    lexical_weight_other: float = 0.1  # where they do not
    max_sim_weight: float = 0.6  # of the word by word score in the dense one


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage and why it was found.

    `score` is the fused one, comparable within one result only. `dense` is what the encoder makes of
    it, in [-1, 1]: the mean of the cosines of the whole and of its best part, mixed with how well
    the question's words are met in it where the encoder can tell; `best_part` is the row of that
    part. Ranks count from 1 and are 0 where the leg did not find the passage.
    """

    passage: StoredPassage
    score: float
    dense: float
    best_part: int
    dense_rank: int
    lexical_rank: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The ranked passages for one question, and what its asker should know."""

    question: str
    language: str
    passages: tuple[ScoredPassage, ...]
    relevance: float  # in [0, 1]: how probable it is that a passage here bears on the question
    warnings: tuple[str, ...]


def check_question(question: str) -> str:
    """`question` without outer white space.

    Raises:
        ValueError: It is empty or too long.
    """
    stripped = question.strip()
    if not stripped:
        raise ValueError("the question is empty; expected: some words; to mend: ask something")
    if len(stripped) > MAX_QUESTION_CHARS:
        raise ValueError(
            f"the question has {len(stripped)} characters; expected: at most {MAX_QUESTION_CHARS}; to mend: shorten it"
        )
    return stripped.encode("utf-8", "replace").decode("utf-8")


def search(
    snapshot: Snapshot, encoder: Encoder, question: str, k: int = 10, settings: SearchSettings | None = None
) -> SearchResult:
    """The `k` passages that bear most on `question`, best first.

    Raises:
        ValueError: The question is empty or too long, or `k` is not positive.
    """
    question = check_question(question)
    if k < 1:
        raise ValueError(f"k is {k}; expected: 1 or more")
    settings = settings or SearchSettings()
    language = detect_language(question)
    n = max(settings.n_candidates, 2 * k)
    query_terms = _query_terms(question, language)
    lexical = snapshot.lexical(query_terms, n)
    dense = _dense_leg(snapshot, encoder, question, n, [pid for pid, _ in lexical], settings)
    ranked = _fuse(snapshot, language, dense, lexical, k, settings)
    relevance = _relevance(snapshot, query_terms, language, ranked)
    return SearchResult(question, language, tuple(ranked), relevance, tuple(_warnings(snapshot, encoder, language)))


def _query_terms(question: str, language: str) -> list[str]:
    """The question's terms without its function words, unless nothing else is left."""
    found = terms(question)
    common = function_words(language)
    return [term for term in found if term not in common and (len(term) > 1 or not term.isascii())] or found


class _Dense(NamedTuple):
    """What the encoder makes of a passage: its score, the row of its best part, and its rank from 1."""

    score: float
    best_part: int
    rank: int


_UNSEEN = _Dense(0.0, 0, 0)  # a passage without current vectors


def _dense_leg(
    snapshot: Snapshot, encoder: Encoder, question: str, n: int, others: Sequence[int], settings: SearchSettings
) -> dict[int, _Dense]:
    """The `n` passages whose vectors are nearest, and `others`, scored and ranked together."""
    query = encoder.encode_queries([question])[0]
    # A passage has up to a dozen vectors: enough of them are fetched that n passages are among them.
    near = [pid for pid, _ in snapshot.dense(query, 8 * n)][: 2 * n]
    scored = _cosines(snapshot.vectors(near), query)
    kept = sorted(scored, key=lambda pid: (-scored[pid][0], pid))[:n]
    more = [pid for pid in others if pid not in scored]
    scored |= _cosines(snapshot.vectors(more) if more else {}, query)
    pids = list(dict.fromkeys([*kept, *(pid for pid in others if pid in scored)]))
    scores = {pid: scored[pid][0] for pid in pids}
    share = settings.max_sim_weight
    if share > 0 and pids and isinstance(encoder, LateInteraction):
        texts = snapshot.passages(pids)
        present = [pid for pid in pids if pid in texts]
        matches = encoder.max_sim([question], [texts[pid].text for pid in present])[0]
        scores = {pid: (1 - share) * scores[pid] + share * float(m) for pid, m in zip(present, matches, strict=True)}
    order = sorted(scores, key=lambda pid: (-scores[pid], pid))
    return {pid: _Dense(scores[pid], scored[pid][1], rank) for rank, pid in enumerate(order, 1)}


def _cosines(vectors: Mapping[int, FloatArray], query: FloatArray) -> dict[int, tuple[float, int]]:
    """Mean of the cosines of each passage's whole and best part, and the row of that part."""
    scored: dict[int, tuple[float, int]] = {}
    for pid, matrix in vectors.items():
        cosines = matrix @ query
        best = int(cosines[1:].argmax()) + 1 if len(cosines) > 1 else 0
        scored[pid] = (float(cosines[0] + cosines[best]) / 2, best)
    return scored


def _fuse(
    snapshot: Snapshot,
    language: str,
    dense: Mapping[int, _Dense],
    lexical: Sequence[tuple[int, float]],
    k: int,
    settings: SearchSettings,
) -> list[ScoredPassage]:
    """Reciprocal rank fusion; the lexical leg weighs by whether the languages are the same."""
    lexical_rank = {pid: rank for rank, (pid, _) in enumerate(lexical, 1)}
    languages = snapshot.passage_languages(list({**dense, **lexical_rank}))

    def fused(pid: int) -> float:
        same = same_language(language, languages[pid])
        weight = settings.lexical_weight_same if same else settings.lexical_weight_other
        rank = dense.get(pid, _UNSEEN).rank
        return _reciprocal(rank, settings) + weight * _reciprocal(lexical_rank.get(pid, 0), settings)

    scores = {pid: fused(pid) for pid in languages}
    order = sorted(scores, key=lambda pid: (-scores[pid], -dense.get(pid, _UNSEEN).score, pid))[:k]
    passages = snapshot.passages(order)
    return [
        ScoredPassage(passages[pid], scores[pid], *dense.get(pid, _UNSEEN), lexical_rank.get(pid, 0)) for pid in order
    ]


def _relevance(snapshot: Snapshot, query_terms: Sequence[str], language: str, ranked: Sequence[ScoredPassage]) -> float:
    """How probable it is that the best passages bear on the question, 0 to 1.

    Logistic in the best dense score, in whether that passage is in the question's language (where
    unrelated passages are nearer too), and in the share of the question's information (sum of
    its terms' IDF) that the best of the first three passages holds. Fitted on XQuAD's
    development half with and without the gold article, docs/decisions/0008.
    """
    if not ranked:
        return 0.0
    unique = list(dict.fromkeys(query_terms))
    frequency = snapshot.document_frequency(unique)
    n = snapshot.n_passages()
    idf = {term: math.log(1 + n / (1 + frequency.get(term, 0))) for term in unique}
    total = sum(idf.values())
    coverage = 0.0
    for item in ranked[:3]:
        held = set(terms(item.passage.text))
        coverage = max(coverage, sum(value for term, value in idf.items() if term in held) / total if total else 0.0)
    best = max(ranked, key=lambda item: item.dense)
    same = same_language(language, best.passage.language)
    dense, words, own, bias = _RELEVANCE
    return 1 / (1 + math.exp(-(dense * best.dense + words * coverage + own * same + bias)))


_RELEVANCE = (21.21, 3.51, -4.42, -7.22)  # of the dense score, the coverage, the same language; and the bias


def _reciprocal(rank: int, settings: SearchSettings) -> float:
    return settings.rank_constant / (settings.rank_constant + rank) if rank else 0.0


def _warnings(snapshot: Snapshot, encoder: Encoder, language: str) -> list[str]:
    """What the encoder does not cover: of the question, and of the corpus."""
    covered = encoder.languages
    if not covered:
        return []
    warnings = []
    if language and language.split("-")[0] not in covered:
        warnings.append(
            f"the encoder {encoder.name} was not trained on the question's language ({language}); results may be poor"
        )
    uncovered = sorted(tag for tag in snapshot.languages() if tag and tag.split("-")[0] not in covered)
    if uncovered:
        warnings.append(f"the encoder {encoder.name} was not trained on {', '.join(uncovered)}, which the corpus has")
    return warnings
