"""How far an ingest is, and what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from index.documents import Document, Removed

_MAX_ENTRIES = 10_000  # about documents, in a report


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is."""

    n_files_done: int
    n_files: int
    n_documents: int
    n_passages: int
    elapsed_s: float
    source: str = ""

    @property
    def passages_per_s(self) -> float:
        return self.n_passages / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float:
        """Seconds left, by the files done so far."""
        return self.elapsed_s / self.n_files_done * (self.n_files - self.n_files_done) if self.n_files_done else 0.0


OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class IngestReport:
    """What an ingest did, document by document."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)  # (source, reason)
    removed: list[tuple[str, Removed]] = field(default_factory=list)  # boilerplate, by source
    notes: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)  # files of other types in folders, by suffix
    n_passages: int = 0
    seconds: float = 0.0

    @property
    def n_documents(self) -> int:
        """Documents of the sources that are stored."""
        return self.added + self.replaced + self.unchanged

    def add_notes(self, one: Document) -> None:
        """Add what was removed from a document and what its reader noted, up to a number of entries."""
        if len(self.removed) < _MAX_ENTRIES:
            self.removed.extend((one.source, entry) for entry in one.removed)
        if len(self.notes) < _MAX_ENTRIES:
            self.notes.extend((one.source, note) for note in one.notes)
