"""What a search reads of an index, and the plain data that passes through a store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from index.documents import Document, Passage
from index.encoders.base import FloatArray, HalfArray
from index.names import Alias

IndexPlace = Path | str  # a folder, or the address of a database


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """A document ready to store: its passages and, for each, its vector, its words and its terms."""

    document: Document
    passages: tuple[Passage, ...]
    vectors: HalfArray  # (n_passages, dim)
    words: tuple[bytes, ...]  # one a passage, as the encoder packs them; empty where it compares no words
    terms: tuple[str, ...]  # one a passage, joined by spaces
    title_terms: str
    sounds: str  # `KEY:FORM` of each of its names, by its phonetic key, joined by spaces
    aliases: tuple[Alias, ...]  # what it says to be two names of one thing
    file: str  # location of the file it came from


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the ingest log holds of one file or URL."""

    location: str
    source: str
    digest: str
    settings_key: str
    status: str  # "ok", "partial" (some articles of it failed) or "failed"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as listed: all but its text."""

    doc_id: str
    location: str
    source: str
    title: str
    url: str
    author: str
    date: str
    language: str
    n_chars: int
    n_passages: int
    stale: bool
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with what is shown of its document; `text == document.text[start:end]`.

    `sentences` are (start, end) in the document.
    """

    pid: int
    doc_id: str
    source: str
    title: str
    url: str
    author: str
    date: str
    language: str
    section: str
    start: int
    end: int
    text: str
    sentences: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which passages a search may find; a field that is empty restricts nothing.

    A passage is found if it has one of `languages` (`zh` takes `zh-Hant` and `zh-Hans` too, case ignored), and its
    document is dated from `since` to `until`, both days included (one without a date is not found
    then), has one of `sources` (the source itself, a folder above it, or a pattern with `*` and
    `?`), and has one of `tags` (case ignored).

    Raises:
        ValueError: A date is not `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    """

    languages: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    sources: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            value = getattr(self, name)
            if value and not _DATE.fullmatch(value):
                raise ValueError(f"{name} is {value!r}; expected: YYYY, YYYY-MM or YYYY-MM-DD")

    @property
    def of_documents(self) -> bool:
        """Whether it asks for more of a document than a language."""
        return bool(self.since or self.until or self.sources or self.tags)

    def takes(self, language: str) -> bool:
        """Whether passages of `language` may be found."""
        own = language.lower()
        wanted = [name.lower() for name in self.languages]
        return not wanted or any(own == name or own.startswith(f"{name}-") for name in wanted)


_DATE = re.compile(r"\d{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?", re.ASCII)
EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Stats:
    """Sizes of an index, and how its vectors are searched."""

    n_documents: int
    n_passages: int
    n_vectors: int
    n_contextual: int  # passages with a vector by the contextual encoder
    n_stale: int
    n_failed: int
    languages: dict[str, int]  # documents a language
    encoder: str
    vector_index: str
    bytes_on_disk: int
    generation: int


class Hit(NamedTuple):
    """A passage that one read of a snapshot found; scores of different reads have different scales."""

    pid: int
    language: str
    score: float


class PassageVectors(NamedTuple):
    """What is stored of a passage for comparing it with a question.

    `vector` is float32, (dim,), of unit L2 norm to 0.2 %.
    `words` are its words as the encoder packs them; empty where it compares no words.
    """

    vector: FloatArray
    words: bytes


class Snapshot(Protocol):
    """One consistent state of an index; what is written meanwhile does not show.

    Passages of documents that are stale have no vectors here; all else finds them.
    """

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        """The `n` nearest passages of each language (primary subtag) in `where`, nearest first.

        Args:
            query: float32, (dim,), unit L2 norm.
            n: Passages of each language.
            where: Which passages may be found.

        Returns:
            The score of a passage is the cosine of its whole.
        """
        ...

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        """The `n` best passages in `where` by BM25, best first; higher is better.

        A term with spaces is a phrase: its words must follow each other.
        """
        ...

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """Number of passages that hold each term; terms that none holds are left out."""
        ...

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        """Stored vectors and words of passages; those without current vectors are left out."""
        ...

    def context(self, fingerprint: str, pids: Sequence[int]) -> dict[int, FloatArray]:
        """Vectors of passages by the contextual encoder with this fingerprint; those without one are left out."""
        ...

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        """Passages by pid; unknown pids are left out."""
        ...

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        """Number of passages of each language in `where`, most first."""
        ...

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        """Other forms that documents give of the names with these keys (`index.names.name_key`), surest first."""
        ...

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        """Forms of names in the corpus with one of these phonetic keys, each with its number of documents."""
        ...

    def document(self, doc_id: str) -> Document | None:
        """A document as it is stored, with its text; None where there is none."""
        ...
