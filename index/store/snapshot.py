"""One state of an index: the part of a snapshot that is the same in both stores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from index.documents import Document
from index.encoders.base import FloatArray
from index.encoders.words import is_sound
from index.names import Alias
from index.store.base import EVERYTHING, Filter, PassageVectors, Snapshot, StoredPassage
from index.store.quantized import row_bytes, unpacked
from index.store.rows import PASSAGE_TEXT, Rows, SqlValue, spans

Value = TypeVar("Value")
_MAX_FILTERS = 16  # for which counts are kept
_MAX_ALIAS_ROWS = 20_000  # that are looked at: of more documents, the first ones speak for the others
_MAX_ALIASES = 64  # of the names of one question


@dataclass(slots=True)
class Facts:
    """What all searches of one generation share."""

    generation: str = ""
    note: str = ""
    languages: dict[Filter, dict[str, int]] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)  # ids of documents whose digest was found right


class SqlSnapshot(Rows, Snapshot):
    """The part of a snapshot (`index.store.base.Snapshot`) that is the same SQL in both stores."""

    facts: Facts

    def __init__(self) -> None:
        """Read what this state says of itself."""
        self._described = super().meta()
        self.dim = int(self._described.get("dim", 0))

    def meta(self) -> dict[str, str]:
        """The index's description of itself."""
        return self._described

    @abstractmethod
    def read_facts(self, last: Facts) -> Facts:
        """The facts of this state; `last` are those of an earlier or a later one."""

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        rows = self.rows(
            f"SELECT p.pid, p.words, {self.vector} FROM passages p"
            " JOIN vectors v ON v.doc = p.doc AND v.pid = p.pid WHERE p.pid IN ?",
            list(pids),
        )
        # Of a damaged passage nothing is compared: it is found by its words, and doctor reports it.
        halves = [(pid, words, self.half(data)) for pid, words, data in rows if not words or is_sound(words)]
        return {
            pid: PassageVectors(np.frombuffer(half, "<f2").astype(np.float32), words)
            for pid, words, half in halves
            if len(half) == 2 * self.dim
        }

    def context(self, fingerprint: str, pids: Sequence[int]) -> dict[int, FloatArray]:
        if self.meta().get("context") != fingerprint:
            return {}
        rows = self.rows("SELECT pid, embedding FROM context WHERE pid IN ?", list(pids))
        return {pid: unpacked(data, len(data) - row_bytes(0))[0] for pid, data in rows}

    def without_context(self, fingerprint: str) -> list[int]:
        """Passages without a vector by the contextual encoder with this fingerprint."""
        same = self.meta().get("context") == fingerprint
        held = f"LEFT JOIN context c ON c.pid = p.pid AND c.doc = p.doc AND {same}"
        return [pid for (pid,) in self.rows(f"SELECT p.pid FROM passages p {held} WHERE c.pid IS NULL ORDER BY p.pid")]

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        rows = self.rows(
            "SELECT p.pid, d.doc_id, d.source, d.title, d.url, d.author, d.date, p.language, p.section, p.start,"
            f' p."end", {PASSAGE_TEXT}, p.sentences FROM passages p'
            " JOIN documents d ON d.doc = p.doc WHERE p.pid IN ?",
            list(pids),
        )
        stored, altered = {}, self._altered({row[1] for row in rows})
        for pid, *row, sentences in rows:
            fields: list[Any] = [*row, spans(row[8], sentences)]
            stored[pid] = StoredPassage(pid, *fields)
        return {pid: stored[pid] for pid in pids if pid in stored and stored[pid].doc_id not in altered}

    def _altered(self, doc_ids: set[str]) -> set[str]:
        """Those documents that are not what was stored; a sound one is looked at once a generation."""
        if new := list(doc_ids - self.facts.sound):
            # The id of a document is a digest of its content.
            self.facts.sound |= {one.document.doc_id for some in self.wholes("doc_id IN ?", new) for one in some}
        if altered := doc_ids - self.facts.sound:
            self.facts.note = f"altered on the disk and left out: {', '.join(altered)}; fix: dragoman doctor"
        return altered

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        known = self.facts.languages.get(where)
        if known is None:
            known = self._counted(where)
            keep(self.facts.languages, where, known)
        return dict(known)

    def _counted(self, where: Filter) -> dict[str, int]:
        if where == EVERYTHING:
            return dict(self.rows("SELECT language, count(*) FROM passages GROUP BY language ORDER BY 2 DESC, 1"))
        taken = {tag: n for tag, n in self.languages().items() if where.takes(tag)}
        if not where.of_documents:
            return taken
        condition, values = self.condition(where, list(taken))
        return dict(
            self.rows(
                "SELECT p.language, count(*) FROM passages p JOIN documents d ON d.doc = p.doc"
                f" WHERE {condition} GROUP BY p.language ORDER BY 2 DESC, 1",
                *values,
            )
        )

    def inside(self, where: Filter) -> tuple[str, list[SqlValue]]:
        """A query for the pids of the passages in `where`, and its values."""
        condition, values = self.condition(where, list(self.languages(where)))
        return f"SELECT p.pid FROM passages p JOIN documents d USING (doc) WHERE {condition}", values

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        counts = f"SELECT form, max(n_documents) FROM {self.forms} WHERE key IN ? GROUP BY form"
        return dict(self.rows(counts, list(keys)))

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        rows = self.rows(
            "SELECT name, other, max(confidence) AS sure FROM"
            f" (SELECT name, other, confidence FROM aliases WHERE key IN ? LIMIT {_MAX_ALIAS_ROWS}) held"
            f" GROUP BY name, other ORDER BY sure DESC, count(*) DESC, name, other LIMIT {_MAX_ALIASES}",
            list(keys),
        )
        return [Alias(*row) for row in rows]

    def document(self, doc_id: str) -> Document | None:
        return next((one.document for some in self.wholes("doc_id = ?", doc_id) for one in some), None)


def keep(known: dict[Filter, Value], where: Filter, value: Value) -> None:
    """Remember what was found for a filter; all others are forgotten where there are too many."""
    if len(known) >= _MAX_FILTERS:
        known.clear()
    known[where] = value
