"""The legs of a search: what the encoder, the words and the names of a question find, each by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import regex

from index.encoders.base import Encoder, FloatArray, LateInteraction
from index.fusion import language_group, levels
from index.names.known import name_key
from index.names.question import Origin, OtherForm, is_acronym, written
from index.settings import SearchSettings
from index.store import bm25
from index.store.base import Filter, PassageVectors, Snapshot
from index.text.language import function_words, same_language
from index.text.terms import number_terms, terms, with_relatives


def language_sizes(snapshot: Snapshot, where: Filter) -> Counter[str]:
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


class Lexical(NamedTuple):
    """What the lexical leg makes of a passage: the share of the question's information, and its rank from 1."""

    words: float
    rank: int
    language: str


WITHOUT_WORDS = Lexical(0.0, 0, "")


def lexical_leg(snapshot: Snapshot, wanted: Sequence[str], most: float, n: int, where: Filter) -> dict[int, Lexical]:
    """The `n` best passages by BM25, each with its score as a share of `most`, the greatest that the question allows.

    Of a question in another language hardly a word stands in the passages, and what does is a
    small share of it: so words that are shared by chance count for little.
    """
    hits = snapshot.lexical(wanted, n, where)
    return {hit.pid: Lexical(min(1.0, hit.score / most), rank, hit.language) for rank, hit in enumerate(hits, 1)}


def bm25_bound(snapshot: Snapshot, wanted: Sequence[str]) -> float:
    """What a passage would score by BM25 that held every term without end: (k1 + 1) times the sum of their IDF."""
    unique = list(dict.fromkeys(wanted))
    frequency, n = snapshot.frequencies(unique), sum(snapshot.languages().values())
    return (bm25.K1 + 1) * sum(bm25.idf(n, frequency.get(term, 0)) for term in unique) or 1.0


class Named(NamedTuple):
    """What the names of a passage tell: the share of the question's information, and the forms that it has."""

    names: float
    forms: tuple[OtherForm, ...]
    language: str


WITHOUT_NAMES = Named(0.0, (), "")


def names_leg(
    snapshot: Snapshot, forms: Sequence[OtherForm], language: str, most: float, n: int, where: Filter
) -> dict[int, Named]:
    """The passages that have a name of the question in another form, as if they had the question's own.

    Of several forms of one name the surest counts, by its BM25 score and its confidence. In the question's own
    language and script a name is written as in the question, and what only sounds like it is another. A passage that
    has the question's own form as well gets nothing more.
    """
    scores: dict[int, dict[str, float]] = defaultdict(dict)
    held: dict[int, list[OtherForm]] = defaultdict(list)
    names = dict.fromkeys(form.name for form in forms)
    as_asked = {name: {hit.pid for hit in snapshot.lexical([name_key(name)], n, where)} for name in names}
    languages: dict[int, str] = {}
    for form in forms:
        hits = [hit for hit in snapshot.lexical([form.phrase], n, where) if hit.pid not in as_asked[form.name]]
        if form.origin is Origin.SOUND and not form.other_script:
            own = {tag for tag in {hit.language for hit in hits} if same_language(language, tag)}
            hits = [hit for hit in hits if hit.language not in own]
        if is_acronym(form.form):  # the terms have no case, and WHO is no "who"
            passages = snapshot.passages([hit.pid for hit in hits])
            hits = [hit for hit in hits if written(form.form, passages[hit.pid].text)]
        for pid, tag, score in hits:
            languages[pid] = tag
            scores[pid][form.name] = max(form.confidence * score, scores[pid].get(form.name, 0.0))
            held[pid].append(form)
    return {
        pid: Named(min(1.0, sum(own.values()) / most), tuple(held[pid]), languages[pid]) for pid, own in scores.items()
    }


class Dense(NamedTuple):
    """What the encoder makes of a passage: its score, the row of its best part, and its rank from 1."""

    score: float
    best_part: int
    rank: int
    language: str


UNSEEN = Dense(0.0, 0, 0, "")  # a passage without current vectors


def dense_leg(
    snapshot: Snapshot,
    encoder: Encoder,
    question: str,
    n: int,
    others: Mapping[int, str],
    sizes: Mapping[str, int],
    settings: SearchSettings,
    where: Filter,
) -> dict[int, Dense]:
    """The passages that are nearest for their language, about `n`, and `others`, scored and ranked together.

    `others` are the languages of passages by pid.
    """
    query = encoder.encode_queries([question])[0]
    n_each = max(_MIN_EACH, -(-2 * n // max(1, len({language_group(tag) for tag in snapshot.languages(where)}))))
    # A question that says nothing to the encoder is as near to everything.
    near = snapshot.nearest(query, n_each, where) if query.any() else []
    languages = {hit.pid: hit.language for hit in near} | dict(others)
    vectors = snapshot.vectors(list(languages))
    cosines = {pid: _cosines(own.matrix, query) for pid, own in vectors.items()}
    groups = {tag: language_group(tag) for tag in set(languages.values())}
    group = {pid: groups[languages[pid]] for pid in cosines}
    scores = {pid: (whole + part) / 2 for pid, (whole, part, _) in cosines.items()}
    share = settings.max_sim_weight
    if share > 0 and scores and isinstance(encoder, LateInteraction):
        kept = _kept({hit.pid: scores[hit.pid] for hit in near if hit.pid in scores}, group, sizes, n, settings)
        compared = list(dict.fromkeys([*kept, *(pid for pid in others if pid in scores)]))
        words = _packed_words(snapshot, encoder, {pid: vectors[pid] for pid in compared})
        matches = encoder.max_sim_packed(question, list(words.values())).tolist()
        scores = {pid: (1 - share) * scores[pid] + share * m for pid, m in zip(words, matches, strict=True)}
    order = sorted((-score, pid) for pid, score in scores.items())
    return {pid: Dense(-score, cosines[pid][2], rank, languages[pid]) for rank, (score, pid) in enumerate(order, 1)}


def _cosines(matrix: FloatArray, query: FloatArray) -> tuple[float, float, int]:
    """Cosine of the whole, that of the best part and its row; the whole's, where there are no parts."""
    cosines = matrix @ query
    best = int(cosines[1:].argmax()) + 1 if len(cosines) > 1 else 0
    return float(cosines[0]), float(cosines[best]), best


def _packed_words(
    snapshot: Snapshot, encoder: LateInteraction, vectors: Mapping[int, PassageVectors]
) -> dict[int, bytes]:
    """The words of passages by pid: as stored, or from the texts where none are stored."""
    words = {pid: own.words for pid, own in vectors.items() if own.words}
    lacking = [pid for pid in vectors if pid not in words]
    if lacking:
        stored = snapshot.passages(lacking)
        sentences = [[own.text[a - own.start : b - own.start] for a, b in own.sentences] for own in stored.values()]
        words |= zip(stored, encoder.packed_words(sentences), strict=True)
    return words


_MIN_EACH = 24  # passages of a language that are looked at, however many languages there are
_MIN_MATCHED = 12  # of them that are compared word by word: what its level is taken from


def _kept(
    scores: Mapping[int, float], group: Mapping[int, str], sizes: Mapping[str, int], n: int, settings: SearchSettings
) -> list[int]:
    """The `n` passages that are most above their language's level, and the best of each language."""
    level = levels(scores, group, sizes)
    off = {name: settings.level_weight * own for name, own in level.items()}
    order = [pid for _, pid in sorted((off[group[pid]] - score, pid) for pid, score in scores.items())]
    n_seen: Counter[str] = Counter()
    kept = []
    for place, pid in enumerate(order):
        n_seen[group[pid]] += 1
        if place < n or n_seen[group[pid]] <= _MIN_MATCHED:
            kept.append(pid)
    return kept
