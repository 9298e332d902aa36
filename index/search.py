"""From a question to ranked passages: the signals of a search add to the evidence of each passage, which is ranked."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import regex

from index.encoders.base import Encoder
from index.encoders.contextual import FINGERPRINT, contextual_encoder
from index.encoders.static import StaticEncoder
from index.fusion import Evidence, language_group, originals, ranked
from index.names import NO_NAMES, KnownNames, Origin, OtherForm, name_key, other_forms
from index.settings import SearchSettings
from index.store import bm25
from index.store.base import EVERYTHING, Filter, Hit, Snapshot, StoredPassage
from index.text.language import function_words, question_language
from index.text.names import is_acronym, written
from index.text.quantities import number_values
from index.text.terms import terms, with_relatives

MAX_QUESTION_CHARS = 2_000
_CONTEXT_SPREAD = 2.0  # cosines of the contextual encoder differ less from each other than those of the static one
_MIN_EACH = 24  # passages of a language that are looked at, however many languages there are


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage and why it was found; `score` is comparable within one result only."""

    passage: StoredPassage
    score: float
    evidence: Evidence
    relevance: float = 0.0  # the probability that the passage answers the question, in [0, 1]; 0 if unread
    reranked: float | None = None  # the score of a reranker; None where none has read it


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The ranked passages for one question, and what its asker should know."""

    question: str
    language: str
    passages: tuple[ScoredPassage, ...]
    warnings: tuple[str, ...]
    query_terms: tuple[str, ...] = ()  # the terms that were looked up; a quoted phrase has spaces
    n_searched: int = 0  # passages that could be found
    relevance: float = 0.0  # the probability that the articles answer, in [0, 1]; 0 if unread


def check_question(question: str) -> str:
    """`question` without outer white space.

    Raises:
        ValueError: It is empty or too long.
    """
    stripped, n = question.strip(), len(question.strip())
    if not stripped:
        raise ValueError("the question is empty; expected: some words; fix: ask something")
    if n > MAX_QUESTION_CHARS:
        raise ValueError(f"the question has {n} characters; expected: at most {MAX_QUESTION_CHARS}; fix: shorten it")
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
    names: KnownNames = NO_NAMES,
) -> SearchResult:
    """The `k` passages of `where` that answer `question` most probably, best first.

    Args:
        snapshot: Where to search.
        encoder: The one that made the index.
        question: In any language.
        k: Passages wanted.
        settings: How they are ranked.
        where: Which passages may be found.
        language: The asker's, where it is known better than from `question` and from the corpus.
        names: The user's own aliases.

    Raises:
        ValueError: The question is empty or too long, or `k` is not positive.
    """
    question = check_question(question)
    if k < 1:
        raise ValueError(f"k is {k}; expected: 1 or more")
    settings = settings or SearchSettings()
    language = language or question_language(question, corpus=_majority(snapshot.languages()))
    wanted, phrases = query_terms(question, language), quoted(question)
    candidates = _Candidates(snapshot, where, max(settings.n_candidates, 2 * k), wanted)
    candidates.add_words()
    candidates.add_names(other_forms(snapshot, question, language, names))
    candidates.add_quoted(phrases)
    candidates.add_vectors(encoder, question, settings.max_sim_weight)
    candidates.add_context(question, settings.context_weight)
    order = ranked(candidates.found.values(), candidates.sizes, settings)
    n_searched = sum(candidates.sizes.values())
    best = islice(originals(_stored(snapshot, order, 2 * k), settings.copy_share), k)
    passages = tuple(ScoredPassage(one, (item := candidates.found[one.pid]).score, item) for one in best)
    n_unknown = sum(not item.dense_rank for item in candidates.found.values())
    warnings = tuple(_warnings(snapshot, encoder, language, n_unknown))
    return SearchResult(question, language, passages, warnings, (*wanted, *phrases), n_searched)


def _majority(sizes: Mapping[str, int]) -> str:
    """The language of more than half of the passages; empty where none has so many."""
    return next((tag for tag, n in sizes.items() if 2 * n > sum(sizes.values())), "")


def query_terms(question: str, language: str) -> list[str]:
    """The terms that the question is looked up by: all but its function words, unless nothing else is left.

    With the beginnings of its words and its numbers in plain digits, as in what is indexed.
    """
    found = terms(question)
    common = function_words(language)
    informative = [term for term in found if term not in common and (len(term) > 1 or not term.isascii())] or found
    return [*with_relatives(informative), *number_values(question)]


_QUOTED = regex.compile(
    r"\"([^\"]+)\"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」|『([^『』]+)』|《([^《》]+)》"
)


def quoted(question: str) -> list[str]:
    """What stands in quotation marks in `question`, each as a phrase: its terms with spaces between them."""
    phrases = (" ".join(terms("".join(filter(None, match.groups())))) for match in _QUOTED.finditer(question))
    return [phrase for phrase in dict.fromkeys(phrases) if " " in phrase]


class _Candidates:
    """The evidence of each passage that a signal found; the next signal adds to it."""

    def __init__(self, snapshot: Snapshot, where: Filter, n: int, wanted: Sequence[str]) -> None:
        """Look for `n` passages by each signal, among those of `where`, by `wanted`, the terms of the question."""
        self.snapshot, self.where, self.n, self.wanted = snapshot, where, n, wanted
        self.found: dict[int, Evidence] = {}
        self.sizes: Counter[str] = Counter()  # passages of each language group
        for tag, size in snapshot.languages(where).items():
            self.sizes[language_group(tag)] += size
        self.n_passages = sum(snapshot.languages().values())  # of the whole corpus
        frequency = snapshot.frequencies(list(unique := dict.fromkeys(wanted)))
        # More BM25 than a passage can have for this question.
        self.bound = sum(self._bound_of(frequency.get(term, 0)) for term in unique) or 1.0

    def _bound_of(self, n_held: int) -> float:
        """More BM25 than a passage can have for a term that `n_held` passages hold: (k1 + 1) times its IDF."""
        return (bm25.K1 + 1) * bm25.idf(self.n_passages, n_held)

    def _evidence(self, pid: int, language: str) -> Evidence:
        return self.found.setdefault(pid, Evidence(pid, language))

    def add_words(self) -> None:
        """BM25 of the question's terms, as a share of the bound.

        A passage in another language has few words of the question, and these are a small share of it: words that
        are shared by chance count for little.
        """
        for rank, hit in enumerate(self.snapshot.lexical(self.wanted, self.n, self.where), 1):
            item = self._evidence(hit.pid, hit.language)
            item.words, item.lexical_rank = min(1.0, hit.score / self.bound), rank

    def add_quoted(self, phrases: Sequence[str]) -> None:
        """The phrases that the question quotes."""
        for hit in self.snapshot.lexical(phrases, self.n, self.where) if phrases else ():
            self._evidence(hit.pid, hit.language).quoted = True

    def add_names(self, forms: Sequence[OtherForm]) -> None:
        """Names of the question that passages have in another form: their BM25, as if they had the question's own.

        A passage that has the question's own form gets nothing more, and a form that only sounds like it gets no
        more than the question's own form could.
        """
        names = dict.fromkeys(form.name for form in forms)
        own_form = {name: self.snapshot.lexical([name_key(name)], self.n, self.where) for name in names}
        matches: dict[tuple[int, str], list[tuple[OtherForm, float]]] = defaultdict(list)
        for form in forms:
            with_own = {hit.pid for hit in own_form[form.name]}
            limit = self._bound_of(len(with_own)) if form.origin is Origin.PHONETIC else self.bound
            for hit in self._hits(form):
                if hit.pid not in with_own:
                    share = min(limit, form.confidence * hit.score) / self.bound
                    matches[hit.pid, hit.language].append((form, share))
            if form.origin is Origin.PHONETIC:
                for hit in own_form[form.name]:
                    self._evidence(hit.pid, hit.language).has_name = True
        shares = {passage: _shares_of_names(own) for passage, own in matches.items()}
        for passage in heapq.nlargest(self.n, shares, key=lambda passage: sum(shares[passage])):
            item = self._evidence(*passage)
            item.names, item.phonetic = shares[passage]
            item.forms = tuple(form for form, _ in matches[passage] if form.origin is not Origin.PHONETIC)

    def _hits(self, form: OtherForm) -> list[Hit]:
        """The passages that have a form; of an acronym in capitals: the terms have no case, and WHO is no "who"."""
        hits = self.snapshot.lexical([form.phrase], self.n, self.where)
        if not is_acronym(form.form):
            return hits
        passages = self.snapshot.passages([hit.pid for hit in hits])
        return [hit for hit in hits if written(form.form, passages[hit.pid].text)]

    def add_vectors(self, encoder: Encoder, question: str, word_weight: float) -> None:
        """Similarity by the encoder, of the nearest passages of each language and of all that were found before.

        The cosine, mixed by `word_weight` with how well the words of the question are met where the encoder compares
        words.
        """
        query = encoder.encode_queries([question])[0]
        n_each = max(_MIN_EACH, -(-self.n // max(1, len(self.sizes))))
        # A question without any word that the encoder has is as near to everything.
        for hit in self.snapshot.nearest(query, n_each, self.where) if query.any() else ():
            self._evidence(hit.pid, hit.language)
        vectors = self.snapshot.vectors(list(self.found))
        by_word: dict[int, float] = {}
        if word_weight > 0 and isinstance(encoder, StaticEncoder):
            words = {pid: own.words for pid, own in vectors.items() if own.words}
            by_word = dict(zip(words, encoder.max_sim(question, list(words.values())).tolist(), strict=True))
        for pid, own in vectors.items():
            near = float(own.vector @ query)
            self.found[pid].dense = near + word_weight * (by_word.get(pid, near) - near)
        nearest = sorted(vectors, key=lambda pid: (-self.found[pid].dense, pid))
        for rank, pid in enumerate(nearest, 1):
            self.found[pid].dense_rank = rank
        # A stale document has no vectors: its rank by words stands for its rank by similarity.
        for pid in self.found.keys() - vectors.keys() if nearest else ():
            self.found[pid].dense = self.found[nearest[min(self.found[pid].lexical_rank, len(nearest)) - 1]].dense

    def add_context(self, question: str, weight: float) -> None:
        """Similarity by the contextual encoder, mixed by `weight` into that by the encoder, once all passages have it.

        A few passages without it, of a document that was added just now, would be ranked by another measure.
        """
        vectors = self.snapshot.context(FINGERPRINT, list(self.found))
        if not vectors or len(vectors) < len(self.found):
            return
        query = contextual_encoder().embed_query(question)
        for pid, vector in vectors.items():
            item = self.found[pid]
            item.dense += weight * (_CONTEXT_SPREAD * float(vector @ query) - item.dense)


def _shares_of_names(matches: Sequence[tuple[OtherForm, float]]) -> tuple[float, float]:
    """The shares of a question's information by its names: in forms that are known, and in phonetic matches.

    Of several forms of a name the best counts.
    """
    rising = sorted(matches, key=lambda match: match[1])
    known = {form.name: share for form, share in rising if form.origin is not Origin.PHONETIC}
    guessed = {form.name: share for form, share in rising if form.name not in known}
    return min(1.0, sum(known.values())), min(1.0, sum(guessed.values()))


def _stored(snapshot: Snapshot, order: Sequence[Evidence], at_once: int) -> Iterator[StoredPassage]:
    """The passages in an order, fetched as they are needed."""
    for start in range(0, len(order), at_once):
        pids = [item.pid for item in order[start : start + at_once]]
        passages = snapshot.passages(pids)
        yield from (passages[pid] for pid in pids if pid in passages)


def _warnings(snapshot: Snapshot, encoder: Encoder, language: str, n_unknown: int) -> Iterator[str]:
    """The passages that no vectors were compared of, and the languages that the encoder does not cover."""
    if n_unknown:
        yield f"{n_unknown} passages are ranked by their words only; dragoman doctor says why"
    covered = encoder.languages
    if not covered:
        return
    if language and language.split("-")[0] not in covered:
        yield f"the encoder {encoder.name} was not trained on the question's language ({language}); results may be poor"
    uncovered = sorted(tag for tag in snapshot.languages() if tag and tag.split("-")[0] not in covered)
    if uncovered:
        yield f"the encoder {encoder.name} was not trained on {', '.join(uncovered)}, which the corpus has"
