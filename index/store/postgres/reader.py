"""Reading an index in PostgreSQL: one consistent generation at a time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
import psycopg

from index.documents import Document
from index.encoders.base import FloatArray
from index.names.mined import Alias
from index.store.base import EVERYTHING, Filter, Hit, PassageVectors, StoredPassage
from index.store.postgres import dense, lexical
from index.store.postgres.address import Address, Connection, translated
from index.store.postgres.connections import Connections
from index.store.postgres.facts import Facts, read_facts, restricted
from index.store.postgres.rows import doc_id_of, number_of
from index.store.postgres.stored import whole_documents

_MAX_LANGUAGES = 200_000  # passages whose language is remembered; about 20 MB
_MAX_ALIAS_ROWS = 20_000  # that are looked at: of more documents, the first ones speak for the others
_MAX_ALIASES = 64  # of the names of one question; a name that many articles gloss has many


class Reader:
    """Searches an index; safe to use from many threads.

    Invariant: every answer of a snapshot comes from one read transaction, and from counts of that very generation.
    """

    def __init__(self, address: Address) -> None:
        """Check that there is an index.

        Raises:
            IndexMissing, FormatTooNew, StoreError: As they say.
        """
        self._address = address
        self._connections = Connections(address)
        self._facts: Facts | None = None
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[tuple[Connection, dict[str, str]]]:
        """A connection within a read transaction, and what the index says of itself there."""
        with translated(self._address):
            connection, meta = self._connections.begin()
            try:
                yield connection, meta
                self._connections.end(connection)
            except BaseException:
                with suppress(psycopg.Error):
                    connection.close()
                raise

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """The newest state, held still for the length of the block."""
        with self.transaction() as (connection, meta):
            yield PostgresSnapshot(connection, self._facts_of(connection, meta))

    def _facts_of(self, connection: Connection, meta: dict[str, str]) -> Facts:
        facts = self._facts
        if facts is not None and facts.token == meta["token"]:
            return facts
        with self._lock:
            facts = self._facts
            if facts is not None and facts.token == meta["token"]:
                return facts
            self._facts = read_facts(connection, meta)
            return self._facts

    def close(self) -> None:
        """Close the connections that no snapshot holds."""
        self._connections.close()


class PostgresSnapshot:
    """One state of the index; see `index.store.base.Snapshot`."""

    def __init__(self, connection: Connection, facts: Facts) -> None:
        connection.adapters.register_dumper(dense.HalfVector, dense.HalfVectorDumper)
        self._connection, self._facts = connection, facts

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        return self._hits(dense.nearest_of_each(self._connection, self._facts, query, n, where))

    def _hits(self, scored: Sequence[tuple[int, float]]) -> list[Hit]:
        languages = self._languages_of([pid for pid, _ in scored])
        return [Hit(pid, languages[pid], score) for pid, score in scored if pid in languages]

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        facts = self._facts
        if where == EVERYTHING:
            return self._hits(lexical.best(self._connection, facts, facts.postings, terms, n))
        inside, values = restricted(where, facts)
        return self._hits(lexical.best_inside(self._connection, facts, facts.postings, terms, n, inside, values))

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        words = self._words(pids)
        return {
            pid: PassageVectors(dense.as_singles(blob, self._facts.dim), words.get(pid, b""))
            for pid, blob in self._vector_rows(pids)
        }

    def _vector_rows(self, pids: Sequence[int]) -> list[tuple[int, bytes]]:
        return self._connection.execute(
            "SELECT pid, vectors FROM passages WHERE pid = ANY (%s::bigint[]) AND settings_key = %s",
            (list(pids), self._facts.settings_key),
            binary=True,
        ).fetchall()

    def _languages_of(self, pids: Sequence[int]) -> dict[int, str]:
        known = self._facts.passage_languages
        unknown = [pid for pid in pids if pid not in known]
        if unknown:
            if len(known) > _MAX_LANGUAGES:
                known = self._facts.passage_languages = {}
                unknown = list(pids)
            rows = self._connection.execute(
                "SELECT pid, language FROM passages WHERE pid = ANY (%s::bigint[])", (unknown,)
            )
            known |= ((pid, sys.intern(language)) for pid, language in rows)
        return {pid: known[pid] for pid in pids if pid in known}

    def _words(self, pids: Sequence[int]) -> dict[int, bytes]:
        if not self._facts.has_words:
            return {}
        rows = self._connection.execute(
            "SELECT pid, words FROM passages WHERE pid = ANY (%s::bigint[]) AND settings_key = %s AND words != ''",
            (list(pids), self._facts.settings_key),
            binary=True,
        )
        return dict(rows.fetchall())

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        rows = self._connection.execute(
            "SELECT p.pid, d.doc_id, d.source, d.title, d.url, d.author, d.date, p.language, p.section, p.start,"
            ' p."end", p.text, p.sentences FROM passages p JOIN documents d USING (doc_id) WHERE p.pid = ANY (%s::bigint[])',
            (list(pids),),
            binary=True,
        )
        found = {}
        for pid, number, source, title, url, author, date, language, section, start, end, text, offsets in rows:
            spans = (np.frombuffer(offsets, dtype="<i4").reshape(-1, 2) + start).tolist()
            sentences = tuple((a, b) for a, b in spans)
            found[pid] = StoredPassage(
                pid, doc_id_of(number), source, title, url, author, date, language, section, start, end, text, sentences
            )
        return found

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        held = self._facts.postings.of(self._connection, terms)
        return {term: len(held[term].pids) for term in terms if len(held[term].pids)}

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        if not keys:
            return {}
        rows = self._connection.execute(
            "SELECT form, max(n) FROM (SELECT form, count(*) AS n FROM names WHERE sound = ANY (%s)"
            " GROUP BY sound, form) counted GROUP BY form",
            (list(keys),),
        )
        return dict(rows.fetchall())

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        if not keys:
            return []
        rows = self._connection.execute(
            "SELECT name, other, max(confidence) AS sure FROM"
            " (SELECT name, other, confidence FROM aliases WHERE key = ANY (%s) LIMIT %s) said"
            " GROUP BY name, other ORDER BY sure DESC, count(*) DESC, name, other LIMIT %s",
            (list(keys), _MAX_ALIAS_ROWS, _MAX_ALIASES),
        )
        return [Alias(*row) for row in rows]

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        return dict(self._facts.counted(self._connection, where))

    def document(self, doc_id: str) -> Document | None:
        number = {"number": number_of(doc_id)}
        return next(
            (one.document for one in whole_documents(self._connection, "d.doc_id = %(number)s", number, 1)), None
        )
