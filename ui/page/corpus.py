"""The articles on the page: how many, in which languages, which to begin with, and the table of the library."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import quote

import regex

from index.store.reading import Backend
from rag.phrases import own_name
from ui.render import is_web_address, shown_source

_FRESH_S = 30.0
_N_STARTERS = 4
_MAX_TITLE_CHARS = 80
_MAX_ROWS = 1_000
_MARKDOWN = regex.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$&:/=\"'^])")


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts of documents, the first good title of each language, and the rows of the library.

    A row is (title as a Markdown link, language in words, date); the newest come first.
    """

    n: int = 0
    languages: dict[str, int] = field(default_factory=dict)
    newest: str = ""
    titles: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)


class Corpus:
    """The facts of an index, read again when they are old."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._lock = backend, Lock()
        self._facts, self._read_at = Facts(), float("-inf")

    def facts(self) -> Facts:
        """The facts, at most half a minute old.

        Raises:
            IndexProblem: The index cannot be read.
        """
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH_S:
                self._facts = self._read()
                self._read_at = time.monotonic()
            return self._facts

    def forget(self) -> None:
        """Have the facts read again: the index has changed."""
        self._read_at = float("-inf")

    def _read(self) -> Facts:
        languages, titles, rows = Counter[str](), dict[str, str](), list[tuple[str, str, str]]()
        for document in self._backend.documents():
            languages[document.language] += 1
            title = " ".join(document.title.split())
            if 0 < len(title) <= _MAX_TITLE_CHARS:
                titles.setdefault(document.language, title)
            href = document.url if is_web_address(document.url) else f"article/{quote(document.doc_id)}"
            named = f"[{inert(title or shown_source(document.source))}]({href})"
            rows.append((named, own_name(document.language), document.date))
        rows.sort(key=lambda row: row[2], reverse=True)
        ranked = dict(sorted(languages.items(), key=lambda pair: (-pair[1], pair[0])))
        return Facts(sum(languages.values()), ranked, rows[0][2] if rows else "", titles, rows[:_MAX_ROWS])


def starters(facts: Facts, lang: str) -> list[dict[str, str]]:
    """The titles of a few articles in several languages, the reader's own first; the same ones each time."""
    place = {own: number for number, own in enumerate(facts.languages)}
    order = sorted(facts.titles, key=lambda own: (own != lang, own.split("-")[0] != lang.split("-")[0], place[own]))
    return [{"text": facts.titles[own], "language": own} for own in order[:_N_STARTERS]]


def inert(shown: str) -> str:
    """Text that Markdown and HTML show as it is: every sign of either is escaped."""
    return _MARKDOWN.sub(r"\\\1", shown)
