"""From a question to ranked passages: the one place that knows how legs are fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from index.encoders.base import Encoder
from index.fusion import Copies, language_group, levels, with_places_for_others
from index.legs import (
    UNSEEN,
    WITHOUT_NAMES,
    WITHOUT_WORDS,
    Dense,
    Lexical,
    Named,
    bm25_bound,
    dense_leg,
    language_sizes,
    lexical_leg,
    names_leg,
    query_terms,
    quoted,
)
from index.names.known import NO_NAMES, KnownNames
from index.names.question import OtherForm, mentions, other_forms
from index.relevance import PASSAGE, RESULT, Weights, above_usual, lacking, probability
from index.rerank import Reranker
from index.settings import SearchSettings
from index.store.base import EVERYTHING, Filter, Snapshot, StoredPassage
from index.text.language import dominant_script, question_language, same_language

MAX_QUESTION_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage and why it was found.

    `score` is `dense`, more for the words and names it shares and for what the question quotes, less `level`;
    comparable within one result only. `dense` is what the encoder makes of it, in [-1, 1]: the mean
    of the cosines of the whole and of its best part, mixed with how well the question's words are met
    in it where the encoder can tell; `best_part` is the row of that part. `words` is the share of the
    question's information that its words hold, in [0, 1]; `names` that of its names which the passage has in
    another form, `forms` (empty where it has none). `level` is what passages of its language
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
    names: float = 0.0
    forms: tuple[OtherForm, ...] = ()
    above: float = 0.0  # how far dense, words and names are above what is usual; what the relevance rests on
    lacking: float = 0.0  # share of the names and numbers of the question that it does not hold, in [0, 1]
    relevance: float = 0.0  # in [0, 1]: how probable it is that this passage bears on the question
    reranked: float | None = None  # what the reranker says of it; None where none has looked at it


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The ranked passages for one question, and what its asker should know."""

    question: str
    language: str
    passages: tuple[ScoredPassage, ...]
    relevance: float  # in [0, 1]: how probable it is that a passage here bears on the question
    warnings: tuple[str, ...]
    query_terms: tuple[str, ...] = ()  # what the lexical leg looked for; a quoted phrase has spaces
    n_searched: int = 0  # passages that could be found


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
    *,
    language: str = "",
    yours: KnownNames = NO_NAMES,
    reranker: Reranker | None = None,
) -> SearchResult:
    """The `k` passages of `where` that bear most on `question`, best first.

    Args:
        snapshot: Where to search.
        encoder: The one that the index was made with.
        question: In any language.
        k: Passages wanted.
        settings: How they are ranked.
        where: Which may be found.
        language: The asker's, where it is known better than from `question` and from what most passages are in.
        yours: Names that the user knows to be one.
        reranker: Has the last word on the order of the first `settings.n_reranked`.

    Raises:
        ValueError: The question is empty or too long, or `k` is not positive.
    """
    question = check_question(question)
    if k < 1:
        raise ValueError(f"k is {k}; expected: 1 or more")
    settings = settings or SearchSettings()
    sizes = language_sizes(snapshot, where)
    shown = language or question_language(question)
    language = shown or question_language(question, corpus=majority_language(snapshot.languages()))
    if not shown and not dominant_script(question):
        shown = "und"  # letters of no script that is known, which is that of no passage's language
    n = max(settings.n_candidates, 2 * k)
    wanted, phrases = query_terms(question, language), quoted(question)
    most = bm25_bound(snapshot, wanted)
    lexical = lexical_leg(snapshot, wanted, most, n, where)
    forms = other_forms(snapshot, question, language, yours) if settings.names_weight > 0 else []
    named = names_leg(snapshot, forms, language, most, n, where)
    quoting = {hit.pid: hit.language for hit in snapshot.lexical(phrases, n, where)}
    by_name = sorted(named, key=lambda pid: (-named[pid].names, pid))[:n]
    others = (
        {pid: own.language for pid, own in lexical.items()} | {pid: named[pid].language for pid in by_name} | quoting
    )
    dense = dense_leg(snapshot, encoder, question, n, others, sizes, settings, where)
    named = {pid: named[pid] for pid in named if pid in dense or pid in by_name}
    n_ranked = max(k, settings.n_reranked) if reranker else k
    ranked = _fuse(snapshot, language, dense, lexical, named, quoting, sizes, n_ranked, settings)
    asked = mentions(question, language, forms)
    ranked = [_judged(item, shown, asked, sum(sizes.values()), settings) for item in ranked]
    says_something = any(map(str.isalnum, question))
    if not says_something:  # whatever is near to punctuation is so by chance
        ranked = [replace(item, relevance=0.0) for item in ranked]
    relevance = _relevance(RESULT, ranked[0], shown) if ranked and says_something else 0.0
    warnings = list(_warnings(snapshot, encoder, language))
    if reranker and ranked:
        n_scored, ranked = _reranked(reranker, question, language, ranked, k, settings)
        if n_scored < len(ranked):
            warnings.append(f"time ran out: {reranker.name} looked at {n_scored} of {len(ranked)} passages")
    return SearchResult(
        question,
        language,
        tuple(ranked[:k]),
        relevance,
        tuple(warnings),
        (*wanted, *phrases),
        sum(sizes.values()),
    )


def majority_language(sizes: Mapping[str, int]) -> str:
    """The language of more than half of the passages; empty where none has so many."""
    largest = max(sizes, key=lambda tag: sizes[tag], default="")
    return largest if 2 * sizes.get(largest, 0) > sum(sizes.values()) else ""


def _fuse(
    snapshot: Snapshot,
    language: str,
    dense: Mapping[int, Dense],
    lexical: Mapping[int, Lexical],
    named: Mapping[int, Named],
    quoting: Mapping[int, str],
    sizes: Mapping[str, int],
    k: int,
    settings: SearchSettings,
) -> list[ScoredPassage]:
    """Both legs in one score, each language's level taken off, copies left out, with places for other languages."""
    found = (dense, lexical, named)
    languages = {pid: own.language for leg in found for pid, own in leg.items()} | dict(quoting)
    groups = {tag: language_group(tag) for tag in set(languages.values())}
    group = {pid: groups[tag] for pid, tag in languages.items()}
    both = dict.fromkeys(languages, 0.0) | {pid: own.score for pid, own in dense.items() if pid in languages}
    for pid in lexical.keys() & languages.keys():
        both[pid] += settings.lexical_weight * lexical[pid].words
    for pid in named.keys() & languages.keys():
        both[pid] += settings.names_weight * named[pid].names
    # A question that says nothing to the encoder is found by words alone, and what is usual is to share none.
    says_nothing = bool(dense) and not any(own.score for own in dense.values())
    level = dict.fromkeys(groups.values(), 0.0) if says_nothing else levels(both, group, sizes)
    off = {name: settings.level_weight * own for name, own in level.items()}
    scores = {pid: value - off[group[pid]] for pid, value in both.items()}
    for pid in quoting & languages.keys():
        scores[pid] += settings.quoted_weight
    falling = sorted((-score, -dense.get(pid, UNSEEN).score, pid) for pid, score in scores.items())
    order = [pid for _, _, pid in falling]
    foreign = {tag for tag in groups if not same_language(language, tag)}
    others = {pid for pid, tag in languages.items() if tag in foreign}
    passages = _told_once(snapshot, order, others, k, settings)
    chosen = with_places_for_others(list(passages), others, k, settings.reserved_share)
    return [
        ScoredPassage(
            passages[pid],
            scores[pid],
            *dense.get(pid, UNSEEN)[:3],
            *lexical.get(pid, WITHOUT_WORDS)[:2],
            level[group[pid]],
            pid in quoting,
            *named.get(pid, WITHOUT_NAMES)[:2],
        )
        for pid in chosen
    ]


def _reranked(
    reranker: Reranker, question: str, language: str, ranked: list[ScoredPassage], k: int, settings: SearchSettings
) -> tuple[int, list[ScoredPassage]]:
    """How many passages the reranker scored, and all of them in its order; what it did not score comes behind.

    Other languages keep their places among the first `k`: most rerankers prefer the question's own.
    """
    n = max(k, settings.n_reranked)
    scores = reranker.scores(question, [item.passage.text for item in ranked[:n]])
    scored = [replace(item, reranked=score) for item, score in zip(ranked, scores, strict=False)]
    order = sorted(range(len(scored)), key=lambda i: (-scores[i], i))
    items = {item.passage.pid: item for item in [*(scored[i] for i in order), *ranked[len(scored) :]]}
    others = {pid for pid, item in items.items() if not same_language(language, item.passage.language)}
    first = with_places_for_others(list(items), others, k, settings.reserved_share)
    return len(scored), [items[pid] for pid in dict.fromkeys([*first, *items])]


def _judged(
    item: ScoredPassage, language: str, asked: Sequence[Set[str]], n_passages: int, settings: SearchSettings
) -> ScoredPassage:
    """`item` with what its relevance rests on, and its relevance; `asked` are the names and numbers of the question."""
    raw = item.dense + settings.lexical_weight * item.words + settings.names_weight * item.names
    above = above_usual(raw, item.level, _may_be_same(language, item.passage.language), n_passages)
    judged = replace(item, above=above, lacking=lacking(asked, item.passage))
    return replace(judged, relevance=_relevance(PASSAGE, judged, language))


def _relevance(weights: Weights, item: ScoredPassage, language: str) -> float:
    return probability(weights, item.above, _may_be_same(language, item.passage.language), item.lacking)


def _may_be_same(language: str, other: str) -> float:
    """How probable it is that a question of `language` is in the other language; 0.5 where it does not show its own."""
    return float(same_language(language, other)) if language else 0.5


def _told_once(
    snapshot: Snapshot, order: Sequence[int], others: Set[int], k: int, settings: SearchSettings
) -> dict[int, StoredPassage]:
    """The first of `order`, each thing told once in a language: `k`, and as many of `others` as have places."""
    copies = Copies(settings.copy_share)
    kept: dict[int, StoredPassage] = {}

    def keep(pids: Sequence[int], n: int) -> int:
        """Keep `n` more originals of `pids`; how many of these have been looked at."""
        n += len(kept)
        for start in range(0, len(pids), 2 * k):
            some = pids[start : start + 2 * k]
            passages = snapshot.passages(some)
            for place, pid in enumerate(some, start):
                if len(kept) >= n:
                    return place
                if pid in passages and copies.original(passages[pid]) == pid:
                    kept[pid] = passages[pid]
        return len(pids)

    n_seen = keep(order, k)
    lacking = int(k * settings.reserved_share) - len(others & kept.keys())
    if lacking > 0:
        keep([pid for pid in order[n_seen:] if pid in others], lacking)
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
