"""Reading an index in PostgreSQL: one consistent generation at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pgvector import HalfVector

from index.documents import Document
from index.encoders.base import FloatArray
from index.names import Alias
from index.store import bm25
from index.store.base import EVERYTHING, Filter, Hit, PassageVectors, StoredPassage
from index.store.postgres.address import Connection
from index.store.postgres.hnsw import existing, near
from index.store.postgres.rows import folded, spans, whole_documents

_MIN_SHARE = 0.1  # a filter that leaves less of a language is searched without the index, which would find too little
_MAX_ALIASES = 64  # of the names of one question


@dataclass(frozen=True, slots=True)
class Facts:
    """What every search of one generation needs, counted once."""

    token: str  # no other generation has it
    dim: int
    languages: dict[str, int]  # passages, most first
    n_passages: int
    mean_length: float  # terms a passage
    indexes: set[str]  # names of the HNSW indexes


def read_facts(connection: Connection, meta: dict[str, str]) -> Facts:
    """The facts of the generation that the open transaction sees."""
    counts = "SELECT language, count(*), sum(n_terms)::bigint FROM passages GROUP BY language ORDER BY 2 DESC, 1"
    rows = connection.execute(counts).fetchall()
    n_passages = sum(n for _, n, _ in rows)
    mean_length = sum(length for _, _, length in rows) / n_passages if n_passages else 1.0
    languages = {tag: n for tag, n, _ in rows}
    return Facts(meta["token"], int(meta["dim"]), languages, n_passages, mean_length, existing(connection))


class PostgresSnapshot:
    """One state of the index; see `index.store.base.Snapshot`."""

    def __init__(self, connection: Connection, facts: Facts) -> None:
        self._connection, self._facts = connection, facts
        self._frequencies: dict[str, int] = {}
        self._phrases: dict[str, list[tuple[Any, ...]]] = {}  # (pid, frequency, n_terms) of the passages that hold one
        self._languages: dict[Filter, dict[str, int]] = {}

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        taken = self.languages(where)
        inside, values = _of_documents(where)
        within = f" AND doc IN (SELECT doc FROM documents d WHERE {inside})" if inside else ""
        parts = [
            f"(SELECT {place}, pid, score FROM"
            f" ({near(tag, self._facts.dim, n, within, exact=n_own < _MIN_SHARE * self._facts.languages[tag])}) hits)"
            for place, (tag, n_own) in enumerate(taken.items())
        ]
        values["query"] = HalfVector(query)
        rows = self._connection.execute(" UNION ALL ".join(parts), values, binary=True) if parts else ()
        tags = list(taken)
        groups: dict[str, list[Hit]] = defaultdict(list)
        for place, pid, score in rows:
            groups[tags[place].split("-")[0]].append(Hit(pid, tags[place], score))
        best = [hit for hits in groups.values() for hit in sorted(hits, key=_by_score)[:n]]
        return sorted(best, key=_by_score)

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        facts = self._facts
        idf = {term: bm25.idf(facts.n_passages, n_holding) for term, n_holding in self.frequencies(terms).items()}
        words = [term for term in idf if " " not in term]
        phrases = [(*row, idf[term]) for term in idf if " " in term for row in self._phrases[term]]
        columns = [list(column) for column in zip(*phrases, strict=True)] or [[], [], [], []]
        values: dict[str, Any] = dict(zip(("pids", "often", "n_terms", "of_phrases"), columns, strict=True))
        values |= {"words": words, "of_words": [idf[word] for word in words], "mean": facts.mean_length, "n": n}
        inside, of_documents = _of_documents(where)
        within = ""
        if where != EVERYTHING:
            taken = f"p.language = ANY (%(tags)s){f' AND {inside}' if inside else ''}"
            within = f"WHERE pid IN (SELECT p.pid FROM passages p JOIN documents d USING (doc) WHERE {taken})"
            values |= {"tags": self._tags(where), **of_documents}
        rows = self._connection.execute(_BEST.format(within=within), values, binary=True) if idf else ()
        return [Hit(*row) for row in rows]

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        wanted = [term for term in dict.fromkeys(terms) if term.strip()]
        words = [term for term in wanted if " " not in term and term not in self._frequencies]
        if words:
            self._frequencies |= dict.fromkeys(words, 0)
            self._frequencies |= dict(self._connection.execute(_COUNTS, (words,), binary=True).fetchall())
        for phrase in (term for term in wanted if " " in term and term not in self._phrases):
            values = {"phrase": f" {'  '.join(phrase.split())} ", "words": sorted(set(phrase.split()))}
            self._phrases[phrase] = self._connection.execute(_PHRASE, values, binary=True).fetchall()
            self._frequencies[phrase] = len(self._phrases[phrase])
        return {term: self._frequencies[term] for term in wanted if self._frequencies[term]}

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        asked = "SELECT pid, parts, words FROM vectors WHERE pid = ANY (%s::bigint[])"
        rows = self._connection.execute(asked, (list(pids),), binary=True)
        dim = self._facts.dim
        return {
            pid: PassageVectors(np.frombuffer(parts, "<f2").reshape(-1, dim).astype(np.float32), words)
            for pid, parts, words in rows
        }

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        rows = self._connection.execute(
            "SELECT p.pid, d.doc_id, d.source, d.title, d.url, d.author, d.date, p.language, p.section, p.start,"
            ' p."end", p.text, p.sentences FROM passages p JOIN documents d USING (doc) WHERE p.pid = ANY (%s::bigint[])',
            (list(pids),),
            binary=True,
        )
        found = {}
        for *fields, sentences in rows:
            fields.append(spans(sentences))
            found[fields[0]] = StoredPassage(*fields)
        return found

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        if where not in self._languages:
            self._languages[where] = self._counted(where)
        return dict(self._languages[where])

    def _counted(self, where: Filter) -> dict[str, int]:
        inside, values = _of_documents(where)
        tags = self._tags(where)
        if not inside:
            return {tag: self._facts.languages[tag] for tag in tags}
        rows = self._connection.execute(
            "SELECT p.language, count(*) FROM passages p JOIN documents d USING (doc)"
            f" WHERE p.language = ANY (%(tags)s) AND {inside} GROUP BY 1 ORDER BY 2 DESC, 1",
            {"tags": tags, **values},
        )
        return dict(rows.fetchall())

    def _tags(self, where: Filter) -> list[str]:
        """The languages of the index in `where`."""
        return [tag for tag in self._facts.languages if where.takes(tag)]

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        rows = self._connection.execute(
            "SELECT name, other, max(confidence) AS sure FROM aliases WHERE key = ANY (%s::text[])"
            " GROUP BY name, other ORDER BY sure DESC, count(*) DESC, name, other LIMIT %s",
            (list(keys), _MAX_ALIASES),
        )
        return [Alias(*row) for row in rows]

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        counts = "SELECT form, count(DISTINCT doc) FROM names WHERE key = ANY (%s::text[]) GROUP BY form"
        return dict(self._connection.execute(counts, (list(keys),)).fetchall())

    def document(self, doc_id: str) -> Document | None:
        found = whole_documents(self._connection, "doc_id = %(doc_id)s", {"doc_id": doc_id}, 1)
        return found[0].document if found else None


def _by_score(hit: Hit) -> tuple[float, int]:
    return -hit.score, hit.pid


_COUNTS = (
    "SELECT word, count(*) FROM unnest(%s::text[]) word JOIN postings ON term = hashtextextended(word, 0) GROUP BY word"
)
# A phrase is looked for in passages that hold its words; spaces are doubled, so that neighbours do not share one.
_PHRASE = f"""
SELECT pid, ((cardinality(string_to_array(body, %(phrase)s)) - 1)
    + {bm25.TITLE_WEIGHT} * (cardinality(string_to_array(title, %(phrase)s)) - 1))::float8, n_terms
FROM (
    SELECT pid, n_terms, ' ' || replace(terms, ' ', '  ') || ' ' AS body, ' ' || replace(title_terms, ' ', '  ') || ' ' AS title
    FROM (
        SELECT doc, pid FROM unnest(%(words)s::text[]) word JOIN postings ON term = hashtextextended(word, 0)
        GROUP BY doc, pid HAVING count(*) = cardinality(%(words)s::text[])
    ) held JOIN passages USING (doc, pid) JOIN documents USING (doc)
) texts WHERE strpos(body, %(phrase)s) > 0 OR strpos(title, %(phrase)s) > 0
"""
_BEST = f"""
SELECT pid, language, score FROM (
    SELECT pid, sum(idf * frequency * {bm25.K1 + 1}
        / (frequency + {bm25.K1} * ({1 - bm25.B} + {bm25.B} * n_terms / %(mean)s))) AS score
    FROM (
        SELECT pid, frequency, n_terms, idf FROM unnest(%(words)s::text[], %(of_words)s::float8[]) asked (word, idf)
        JOIN postings ON term = hashtextextended(word, 0)
        UNION ALL SELECT * FROM unnest(%(pids)s::bigint[], %(often)s::float8[], %(n_terms)s::int4[], %(of_phrases)s::float8[])
    ) held {{within}} GROUP BY pid ORDER BY score DESC, pid LIMIT %(n)s
) best JOIN passages USING (pid) ORDER BY score DESC, pid
"""


def _of_documents(where: Filter) -> tuple[str, dict[str, Any]]:
    """SQL over documents d for what `where` asks of a document (languages aside), and its values; empty for nothing."""
    parts, values = [], dict[str, Any]()
    if where.sources:
        parts.append(
            "(d.source = ANY (%(sources)s) OR d.source LIKE ANY (%(patterns)s) OR d.source ^@ ANY (%(folders)s))"
        )
        values["sources"] = list(where.sources)
        values["patterns"] = [source.translate(_LIKE) for source in where.sources]
        values["folders"] = [source.rstrip("/") + "/" for source in where.sources]
    # Dates are ISO 8601, so that they compare as text; a month or a year ends with all that begins like it.
    if where.since:
        parts.append("d.date >= %(since)s")
        values["since"] = where.since
    if where.until:
        parts.append("d.date != '' AND left(d.date, length(%(until)s)) <= %(until)s")
        values["until"] = where.until
    if where.tags:
        parts.append("d.folded_tags && %(folded)s")
        values["folded"] = [folded(tag) for tag in where.tags]
    return " AND ".join(parts), values


_LIKE = str.maketrans({"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"})
