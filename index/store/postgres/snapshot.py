"""Reading an index in PostgreSQL: one consistent generation at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector

from index.encoders.base import FloatArray
from index.store import bm25
from index.store.base import EVERYTHING, Filter, Hit
from index.store.postgres.address import Address, Connection
from index.store.postgres.hnsw import near
from index.store.postgres.schema import PostgresRows
from index.store.rows import Row
from index.store.snapshot import Facts, SqlSnapshot

_MIN_SHARE = 0.1  # a filter that leaves less of a language is searched without the index, which would find too little


@dataclass(slots=True)
class PostgresFacts(Facts):
    """What every search of one generation needs, counted once."""

    n_passages: int = 0
    mean_length: float = 1.0  # terms a passage


class PostgresSnapshot(PostgresRows, SqlSnapshot):
    """One state of the index; see `index.store.base.Snapshot`."""

    facts: PostgresFacts

    def __init__(self, address: Address, connection: Connection) -> None:
        """Read what the connection's open transaction sees."""
        self.address, self.connection = address, connection
        super().__init__()
        self._frequencies: dict[str, int] = {}  # of words
        self._phrases: dict[str, list[Row]] = {}  # (pid, frequency, n_terms) of the passages that hold one

    def read_facts(self, last: Facts) -> PostgresFacts:
        """The sizes of this state."""
        sizes = "SELECT count(*), coalesce(avg(n_terms), 1)::float8 FROM terms"
        n_passages, mean_length = self.rows(sizes)[0]
        return PostgresFacts(n_passages=n_passages, mean_length=mean_length)

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        every, taken, vector = self.languages(), self.languages(where), HalfVector(query)
        condition, own = self.of_documents(where)
        inside = f" AND doc IN (SELECT doc FROM documents d WHERE true{condition})" if condition else ""
        parts, values = [], list[Any]()
        for place, (tag, n_own) in enumerate(taken.items()):
            found = near(tag, self.dim, n, inside, exact=n_own < _MIN_SHARE * every[tag])
            parts.append(f"(SELECT {place}, pid, score FROM ({found}) hits)")
            values += [vector, *own, vector]
        tags = list(taken)
        groups: dict[str, list[Hit]] = defaultdict(list)
        for place, pid, score in self.rows(" UNION ALL ".join(parts), *values) if parts else ():
            groups[tags[place].split("-")[0]].append(Hit(pid, tags[place], score))
        best = [hit for hits in groups.values() for hit in sorted(hits, key=_by_score)[:n]]
        return sorted(best, key=_by_score)

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        idf = {term: bm25.idf(self.facts.n_passages, held) for term, held in self.frequencies(terms).items()}
        if not idf:
            return []
        words = [term for term in idf if " " not in term]
        phrases = [(*row, idf[term]) for term in idf if " " in term for row in self._phrases[term]]
        columns = [list(column) for column in zip(*phrases, strict=True)] or [[], [], [], []]
        values: list[Any] = [self.facts.mean_length, words, [idf[word] for word in words], *columns]
        within = ""
        if where != EVERYTHING:
            inside, own = self.inside(where)
            within = f"WHERE pid IN ({inside})"
            values += own
        return [Hit(*row) for row in self.rows(_BEST.format(within=within), *values, n)]

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        wanted = [term for term in dict.fromkeys(terms) if term.strip()]
        known = self._frequencies
        if words := [term for term in wanted if " " not in term and term not in known]:
            known |= dict.fromkeys(words, 0) | dict(self.rows(_COUNTS, words))
        found = {}
        for term in wanted:
            n_holding = known[term] if " " not in term else len(self._holding(term))
            if n_holding:
                found[term] = n_holding
        return found

    def _holding(self, phrase: str) -> list[Row]:
        """(pid, frequency, n_terms) of the passages that hold a phrase."""
        if phrase not in self._phrases:
            words, text = sorted(set(phrase.split())), f" {'  '.join(phrase.split())} "
            self._phrases[phrase] = self.rows(_PHRASE, text, text, words, words, text, text)
        return self._phrases[phrase]


def _by_score(hit: Hit) -> tuple[float, int]:
    return -hit.score, hit.pid


_COUNTS = (
    "SELECT word, count(*) FROM unnest(?::text[]) word JOIN postings ON term = hashtextextended(word, 0) GROUP BY word"
)
# A phrase is looked for in passages that hold its words; spaces are doubled, so that neighbours do not share one.
_PHRASE = f"""
SELECT pid, ((cardinality(string_to_array(body, ?)) - 1)
    + {bm25.TITLE_WEIGHT} * (cardinality(string_to_array(title, ?)) - 1))::float8, n_terms
FROM (
    SELECT pid, n_terms, ' ' || replace(body, ' ', '  ') || ' ' AS body, ' ' || replace(title, ' ', '  ') || ' ' AS title
    FROM (
        SELECT doc, pid FROM unnest(?::text[]) word JOIN postings ON term = hashtextextended(word, 0)
        GROUP BY doc, pid HAVING count(*) = cardinality(?::text[])
    ) held JOIN terms USING (doc, pid)
) texts WHERE strpos(body, ?) > 0 OR strpos(title, ?) > 0
"""
_BEST = f"""
SELECT pid, language, score FROM (
    SELECT pid, sum(idf * frequency * {bm25.K1 + 1}
        / (frequency + {bm25.K1} * ({1 - bm25.B} + {bm25.B} * n_terms / ?::float8))) AS score
    FROM (
        SELECT pid, frequency, n_terms, idf FROM unnest(?::text[], ?::float8[]) asked (word, idf)
        JOIN postings ON term = hashtextextended(word, 0)
        UNION ALL SELECT * FROM unnest(?::bigint[], ?::float8[], ?::int4[], ?::float8[])
    ) held {{within}} GROUP BY pid ORDER BY score DESC, pid LIMIT ?
) best JOIN passages USING (pid) ORDER BY score DESC, pid
"""
