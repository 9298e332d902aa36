"""Documents, passages and spans: the plain data that everything else passes on.

Offsets are Unicode code points of the stored document text, end exclusive, and
`passage.text == document.text[passage.start:passage.end]` always holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of a document's text: code points, end exclusive."""

    start: int
    end: int


class BlockKind(StrEnum):
    """What a block of an article is, as far as chunking cares."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph, heading or list item as a reader found it, before cleaning."""

    text: str
    kind: BlockKind = BlockKind.PARAGRAPH


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about an article besides its text; empty where not known.

    `date` is ISO 8601 (`YYYY-MM-DD`), `language` BCP 47; `tags` are the author's own keywords, each once.
    """

    title: str = ""
    url: str = ""
    author: str = ""
    date: str = ""
    language: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Article:
    """What a reader returns: blocks in reading order and the metadata it found.

    `part` tells articles of one file apart (the line's `id` in JSONL); empty for
    a file that is one article.
    """

    blocks: tuple[Block, ...]
    metadata: Metadata = Metadata()
    part: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """A stretch that cleaning kept out of the stored text, and the rule that did it."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """One article as stored: clean NFC text, its metadata, and where its headings stand.

    `location` identifies the source (absolute path or URL, with `#part` for one of
    several articles in a file); `source` is what the user typed, for showing.
    """

    location: str
    source: str
    text: str
    metadata: Metadata
    headings: tuple[Span, ...] = ()
    removed: tuple[Removed, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)  # of its reader, for the user

    @property
    def sha256(self) -> str:
        """Hex digest of everything that an answer could show of this document."""
        meta = self.metadata
        shown = (self.text, meta.title, meta.url, meta.author, meta.date, meta.language, *meta.tags)
        return hashlib.sha256("\x1f".join(shown).encode()).hexdigest()

    @property
    def doc_id(self) -> str:
        """16 hex digits that name this version of this source."""
        return hashlib.sha256(f"{self.location}\x1f{self.sha256}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of whole sentences, verbatim: the unit embedded, retrieved and cited.

    `sentences` are spans of the *document*, in order, inside `[start, end)`.
    """

    ordinal: int
    start: int
    end: int
    text: str
    sentences: tuple[Span, ...]
    language: str = ""
    section: str = ""
