"""From a question to ranked passages: the one place that knows how legs are fused."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import regex

from index.backends.base import EVERYTHING, Filter, Snapshot, StoredPassage
from index.encoders.base import Encoder, FloatArray, LateInteraction
from index.fusion import Copies, language_group, levels, with_places_for_others
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
    quoted_weight: float = 1.0  # of passages that hold a quoted phrase
    level_weight: float = 1.0  # of a language's level in the dense score; 0 ranks by raw score; docs/decisions/0010
    reserved_share: float = 0.2  # of the places, for languages other than the question's
    copy_share: float = 0.8  # of the shorter passage's shingles that makes it a copy


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
    level: float
    dense_rank: int
    lexical_rank: int
    quoted_rank: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The ranked passages for one question, and what its asker should know."""

    question: str
    language: str
    passages: tuple[ScoredPassage, ...]
    relevance: float  # in [0, 1]: how probable it is that a passage here bears on the question
    warnings: tuple[str, ...]
    query_terms: tuple[str, ...] = ()  # what the lexical leg looked for; a quoted phrase has spaces


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
    snapshot: Snapshot,
    encoder: Encoder,
    question: str,
    k: int = 10,
    settings: SearchSettings | None = None,
    where: Filter = EVERYTHING,
) -> SearchResult:
    """The `k` passages of `where` that bear most on `question`, best first.

    Raises:
        ValueError: The question is empty or too long, or `k` is not positive.
    """
    question = check_question(question)
    if k < 1:
        raise ValueError(f"k is {k}; expected: 1 or more")
    settings = settings or SearchSettings()
    language = detect_language(question)
    n = max(settings.n_candidates, 2 * k)
    query_terms, phrases = _query_terms(question, language), quoted(question)
    lexical = snapshot.lexical([*query_terms, *phrases], n, where)
    quoting = snapshot.lexical(phrases, n, where) if phrases else []
    dense = _dense_leg(snapshot, encoder, question, n, [pid for pid, _ in lexical], settings, where)
    ranked = _fuse(snapshot, language, dense, lexical, quoting, k, settings)
    relevance = _relevance(snapshot, query_terms, language, ranked)
    warnings = tuple(_warnings(snapshot, encoder, language))
    return SearchResult(question, language, tuple(ranked), relevance, warnings, (*query_terms, *phrases))


def _query_terms(question: str, language: str) -> list[str]:
    """The question's terms without its function words, unless nothing else is left."""
    found = terms(question)
    common = function_words(language)
    return [term for term in found if term not in common and (len(term) > 1 or not term.isascii())] or found


_QUOTED = regex.compile(
    r"\"([^\"]+)\"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」|『([^『』]+)』|《([^《》]+)》"
)


def quoted(question: str) -> list[str]:
    """What stands in quotation marks in `question`, each as a phrase: its terms with spaces between them."""
    phrases = (" ".join(terms("".join(filter(None, match.groups())))) for match in _QUOTED.finditer(question))
    return [phrase for phrase in dict.fromkeys(phrases) if " " in phrase]


class _Dense(NamedTuple):
    """What the encoder makes of a passage.

    Its score, the row of its best part, the level of its language for this question, and its rank
    from 1 by how far it is above that level.
    """

    score: float
    best_part: int
    level: float
    rank: int


_UNSEEN = _Dense(0.0, 0, 0.0, 0)  # a passage without current vectors


def _dense_leg(
    snapshot: Snapshot,
    encoder: Encoder,
    question: str,
    n: int,
    others: Sequence[int],
    settings: SearchSettings,
    where: Filter,
) -> dict[int, _Dense]:
    """The passages that are nearest for their language, about `n`, and `others`, scored and ranked together."""
    query = encoder.encode_queries([question])[0]
    tags: dict[str, list[str]] = defaultdict(list)
    sizes: Counter[str] = Counter()
    for tag, n_own in snapshot.languages().items():
        if where.takes(tag):
            tags[language_group(tag)].append(tag)
            sizes[language_group(tag)] += n_own
    n_each = max(_MIN_EACH, -(-2 * n // max(1, len(tags))))
    near: list[int] = []
    for own in tags.values():
        # A passage has up to a dozen vectors: so many are fetched that the language's share of passages is there.
        hits = snapshot.dense(query, 8 * n_each, replace(where, languages=tuple(own)))
        near += [pid for pid, _ in hits[:n_each]]
    cosines = _cosines(snapshot.vectors([*near, *others]), query)
    group = {pid: language_group(tag) for pid, tag in snapshot.passage_languages(list(cosines)).items()}
    scores = {pid: cosines[pid][0] for pid in cosines if pid in group}
    share = settings.max_sim_weight
    if share > 0 and scores and isinstance(encoder, LateInteraction):
        kept = _kept({pid: scores[pid] for pid in near if pid in scores}, group, sizes, n, settings)
        texts = snapshot.passages([*kept, *(pid for pid in others if pid in scores and pid not in kept)])
        matches = encoder.max_sim([question], [passage.text for passage in texts.values()])[0]
        scores = {pid: (1 - share) * scores[pid] + share * float(m) for pid, m in zip(texts, matches, strict=True)}
    level = levels(scores, group, sizes)
    above = {pid: score - settings.level_weight * level[group[pid]] for pid, score in scores.items()}
    order = sorted(above, key=lambda pid: (-above[pid], pid))
    return {pid: _Dense(scores[pid], cosines[pid][1], level[group[pid]], rank) for rank, pid in enumerate(order, 1)}


_MIN_EACH = 24  # passages of a language that are looked at, however many languages there are
_MIN_MATCHED = 12  # of them that are compared word by word: what its level is taken from


def _kept(
    scores: Mapping[int, float], group: Mapping[int, str], sizes: Mapping[str, int], n: int, settings: SearchSettings
) -> list[int]:
    """The `n` passages that are most above their language's level, and the best of each language."""
    level = levels(scores, group, sizes)
    order = sorted(scores, key=lambda pid: (settings.level_weight * level[group[pid]] - scores[pid], pid))
    n_seen: Counter[str] = Counter()
    kept = []
    for place, pid in enumerate(order):
        n_seen[group[pid]] += 1
        if place < n or n_seen[group[pid]] <= _MIN_MATCHED:
            kept.append(pid)
    return kept


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
    quoting: Sequence[tuple[int, float]],
    k: int,
    settings: SearchSettings,
) -> list[ScoredPassage]:
    """Reciprocal rank fusion, copies left out, with places for other languages."""
    lexical_rank = {pid: rank for rank, (pid, _) in enumerate(lexical, 1)}
    quoting_rank = {pid: rank for rank, (pid, _) in enumerate(quoting, 1)}
    languages = snapshot.passage_languages(list({**dense, **lexical_rank, **quoting_rank}))

    def fused(pid: int) -> float:
        same = same_language(language, languages[pid])
        weight = settings.lexical_weight_same if same else settings.lexical_weight_other
        return (
            _reciprocal(dense.get(pid, _UNSEEN).rank, settings)
            + weight * _reciprocal(lexical_rank.get(pid, 0), settings)
            + settings.quoted_weight * _reciprocal(quoting_rank.get(pid, 0), settings)
        )

    scores = {pid: fused(pid) for pid in languages}
    order = sorted(scores, key=lambda pid: (-scores[pid], -dense.get(pid, _UNSEEN).score, pid))
    passages, kept = _without_copies(snapshot, order, k, settings)
    chosen = with_places_for_others(
        kept, lambda pid: not same_language(language, languages[pid]), k, settings.reserved_share
    )
    return [
        ScoredPassage(
            passages[pid], scores[pid], *dense.get(pid, _UNSEEN), lexical_rank.get(pid, 0), quoting_rank.get(pid, 0)
        )
        for pid in chosen
    ]


def _without_copies(
    snapshot: Snapshot, order: Sequence[int], k: int, settings: SearchSettings
) -> tuple[dict[int, StoredPassage], list[int]]:
    """The first of `order`, each thing said once in a language: enough of them for `k` and places for others."""
    copies = Copies(settings.copy_share)
    passages: dict[int, StoredPassage] = {}
    kept: list[int] = []
    for start in range(0, len(order), 2 * k):
        passages |= snapshot.passages(order[start : start + 2 * k])
        for pid in order[start : start + 2 * k]:
            if pid in passages and copies.original(passages[pid]) == pid:
                kept.append(pid)
        if len(kept) >= 2 * k:
            break
    return passages, kept


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
