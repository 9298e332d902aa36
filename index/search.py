"""From a question to ranked passages: the one place that knows how legs are fused."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

import regex

from index.backends.base import EVERYTHING, Filter, Snapshot, StoredPassage
from index.encoders.base import Encoder, FloatArray, LateInteraction
from index.fusion import Copies, language_group, levels, with_places_for_others
from index.language import detect_language, function_words, same_language
from index.relevance import PASSAGE, RESULT, Weights, above_usual, probability
from index.terms import number_terms, terms, with_relatives

MAX_QUESTION_CHARS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How passages are ranked. Defaults are measured in docs/decisions/0010."""

    n_candidates: int = 100  # passages a leg
    max_sim_weight: float = 0.6  # of the word by word score in the dense one; docs/decisions/0009
    lexical_weight: float = 0.3  # of the share of the question's information that a passage's words hold; 0010
    quoted_weight: float = 0.3  # of holding what the question quotes
    level_weight: float = 1.0  # of what is usual in a passage's language, which is taken off; 0 takes nothing off
    reserved_share: float = 0.2  # of the places, for languages other than the question's
    copy_share: float = 0.8  # of the shorter passage's shingles that makes it a copy


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage and why it was found.

    `score` is `dense`, more for the words it shares and for what the question quotes, less `level`;
    comparable within one result only. `dense` is what the encoder makes of it, in [-1, 1]: the mean
    of the cosines of the whole and of its best part, mixed with how well the question's words are met
    in it where the encoder can tell; `best_part` is the row of that part. `words` is the share of the
    question's information that its words hold, in [0, 1]. `level` is what passages of its language
    that do not answer reach for this question. Ranks count from 1 and are 0 where the leg did not find it.
    """

    passage: StoredPassage
    score: float
    dense: float
    best_part: int
    dense_rank: int
    words: float
    lexical_rank: int
    level: float
    quoted: bool
    relevance: float = 0.0  # in [0, 1]: how probable it is that this passage bears on the question


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
    wanted, phrases = query_terms(question, language), quoted(question)
    lexical = _lexical_leg(snapshot, wanted, n, where)
    quoting = {pid for pid, _ in snapshot.lexical(phrases, n, where)}
    sizes = _sizes(snapshot, where)
    dense = _dense_leg(snapshot, encoder, question, n, [*lexical, *(quoting - lexical.keys())], sizes, settings, where)
    ranked = _fuse(snapshot, language, dense, lexical, quoting, sizes, k, settings)
    relevance = _relevance(RESULT, ranked[0], language, sum(sizes.values()), settings) if ranked else 0.0
    warnings = tuple(_warnings(snapshot, encoder, language))
    return SearchResult(question, language, tuple(ranked), relevance, warnings, (*wanted, *phrases))


def _sizes(snapshot: Snapshot, where: Filter) -> Counter[str]:
    """Number of passages of each language group that `where` takes."""
    sizes: Counter[str] = Counter()
    for tag, n_own in snapshot.languages(where).items():
        sizes[language_group(tag)] += n_own
    return sizes


def query_terms(question: str, language: str) -> list[str]:
    """What the question is looked for by: its terms without its function words, unless nothing else is left.

    With the beginnings of its words and its numbers in plain digits, as in what is indexed.
    """
    found = terms(question)
    common = function_words(language)
    telling = [term for term in found if term not in common and (len(term) > 1 or not term.isascii())] or found
    return [*with_relatives(telling), *number_terms(question)]


_QUOTED = regex.compile(
    r"\"([^\"]+)\"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」|『([^『』]+)』|《([^《》]+)》"
)


def quoted(question: str) -> list[str]:
    """What stands in quotation marks in `question`, each as a phrase: its terms with spaces between them."""
    phrases = (" ".join(terms("".join(filter(None, match.groups())))) for match in _QUOTED.finditer(question))
    return [phrase for phrase in dict.fromkeys(phrases) if " " in phrase]


class _Lexical(NamedTuple):
    """What the lexical leg makes of a passage: the share of the question's information, and its rank from 1."""

    words: float
    rank: int


_WITHOUT_WORDS = _Lexical(0.0, 0)


def _lexical_leg(snapshot: Snapshot, wanted: Sequence[str], n: int, where: Filter) -> dict[int, _Lexical]:
    """The `n` best passages by BM25, each with its score as a share of the greatest that the question allows.

    Of a question in another language hardly a word stands in the passages, and what does is a
    small share of it: so words that are shared by chance count for little.
    """
    most = bm25_bound(snapshot, wanted)
    hits = snapshot.lexical(wanted, n, where)
    return {pid: _Lexical(min(1.0, score / most), rank) for rank, (pid, score) in enumerate(hits, 1)}


def bm25_bound(snapshot: Snapshot, wanted: Sequence[str]) -> float:
    """What a passage would score by BM25 that held every term without end: (k1 + 1) times the sum of their IDF."""
    unique = list(dict.fromkeys(wanted))
    frequency, n = snapshot.document_frequency(unique), snapshot.n_passages()
    idf = (math.log((n - frequency.get(term, 0) + 0.5) / (frequency.get(term, 0) + 0.5)) for term in unique)
    return (_K1 + 1) * sum(max(_LEAST_IDF, value) for value in idf) or 1.0


_K1, _LEAST_IDF = 1.2, 1e-6  # of SQLite's FTS5


class _Dense(NamedTuple):
    """What the encoder makes of a passage: its score, the row of its best part, and its rank from 1."""

    score: float
    best_part: int
    rank: int


_UNSEEN = _Dense(0.0, 0, 0)  # a passage without current vectors


def _dense_leg(
    snapshot: Snapshot,
    encoder: Encoder,
    question: str,
    n: int,
    others: Sequence[int],
    sizes: Mapping[str, int],
    settings: SearchSettings,
    where: Filter,
) -> dict[int, _Dense]:
    """The passages that are nearest for their language, about `n`, and `others`, scored and ranked together."""
    query = encoder.encode_queries([question])[0]
    tags: dict[str, list[str]] = defaultdict(list)
    for tag in snapshot.languages(where):
        tags[language_group(tag)].append(tag)
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
    order = sorted(scores, key=lambda pid: (-scores[pid], pid))
    return {pid: _Dense(scores[pid], cosines[pid][1], rank) for rank, pid in enumerate(order, 1)}


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
    lexical: Mapping[int, _Lexical],
    quoting: Set[int],
    sizes: Mapping[str, int],
    k: int,
    settings: SearchSettings,
) -> list[ScoredPassage]:
    """Both legs in one score, each language's level taken off, copies left out, with places for other languages."""
    languages = snapshot.passage_languages(list({**dense, **lexical, **dict.fromkeys(quoting)}))
    group = {pid: language_group(tag) for pid, tag in languages.items()}
    both = {
        pid: dense.get(pid, _UNSEEN).score + settings.lexical_weight * lexical.get(pid, _WITHOUT_WORDS).words
        for pid in languages
    }
    level = levels(both, group, sizes)
    scores = {
        pid: value - settings.level_weight * level[group[pid]] + settings.quoted_weight * (pid in quoting)
        for pid, value in both.items()
    }
    order = sorted(scores, key=lambda pid: (-scores[pid], -dense.get(pid, _UNSEEN).score, pid))
    others = {pid for pid, tag in languages.items() if not same_language(language, tag)}
    passages = _told_once(snapshot, order, others, k, settings)
    chosen = with_places_for_others(list(passages), others, k, settings.reserved_share)
    found = [
        ScoredPassage(
            passages[pid],
            scores[pid],
            *dense.get(pid, _UNSEEN),
            *lexical.get(pid, _WITHOUT_WORDS),
            level[group[pid]],
            pid in quoting,
        )
        for pid in chosen
    ]
    return [
        replace(item, relevance=_relevance(PASSAGE, item, language, sum(sizes.values()), settings)) for item in found
    ]


def _relevance(
    weights: Weights, item: ScoredPassage, language: str, n_passages: int, settings: SearchSettings
) -> float:
    same = same_language(language, item.passage.language)
    raw = item.dense + settings.lexical_weight * item.words
    return probability(weights, above_usual(raw, item.level, same, n_passages), same)


def _told_once(
    snapshot: Snapshot, order: Sequence[int], others: Set[int], k: int, settings: SearchSettings
) -> dict[int, StoredPassage]:
    """The first of `order`, each thing told once in a language: `k`, and as many of `others` as have places."""
    copies = Copies(settings.copy_share)
    kept: dict[int, StoredPassage] = {}
    ahead = deque(order)
    n_places = int(k * settings.reserved_share)
    while ahead:
        if len(kept) >= k:
            lacking = n_places - len(others & kept.keys())
            ahead = deque(pid for pid in ahead if pid in others) if lacking > 0 else deque()
        some = [ahead.popleft() for _ in range(min(2 * k, len(ahead)))]
        passages = snapshot.passages(some)
        kept |= {pid: passages[pid] for pid in some if pid in passages and copies.original(passages[pid]) == pid}
    return kept


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
