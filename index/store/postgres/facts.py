"""What every search of one generation asks, counted once; and a filter as SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from index.store.base import Filter
from index.store.postgres.address import Connection
from index.store.postgres.lexical import Postings
from index.store.postgres.rows import folded

_MAX_FILTERS = 16  # that are remembered
_PLAIN = re.compile(r"[0-9A-Za-z\u0080-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Language:
    """What there is in one language."""

    n_passages: int
    n_vectors: int  # of current documents


@dataclass(slots=True)
class Facts:
    """Sizes of one generation; safe to share between the snapshots of it."""

    has_words: bool  # not an index of an older version until it is next written to
    token: str  # no other generation of any index has it
    generation: int
    settings_key: str
    dim: int
    languages: dict[str, Language]  # most passages first
    n_passages: int
    mean_length: float  # terms a passage
    indexed: frozenset[str]  # languages that HNSW is there for
    by_filter: dict[Filter, dict[str, int]] = field(default_factory=dict)
    postings: Postings = field(default_factory=Postings)
    passage_languages: dict[int, str] = field(default_factory=dict)

    def tags(self, where: Filter) -> list[str]:
        """The languages of the index that `where` takes."""
        return [tag for tag in self.languages if where.takes(tag)]

    def counted(self, connection: Connection, where: Filter) -> dict[str, int]:
        """Number of passages of each language that `where` takes, most first."""
        if not where.of_documents:
            return {tag: self.languages[tag].n_passages for tag in self.tags(where)}
        known = self.by_filter.get(where)
        if known is None:
            condition, values = of_documents(where)
            rows = connection.execute(
                "SELECT p.language, count(*) FROM passages p JOIN documents d USING (doc_id)"
                f" WHERE p.language = ANY (%(tags)s) AND {condition} GROUP BY 1 ORDER BY 2 DESC, 1",
                {"tags": self.tags(where), **values},
            )
            known = dict(rows.fetchall())
            if len(self.by_filter) >= _MAX_FILTERS:
                self.by_filter.clear()
            self.by_filter[where] = known
        return known


def read_facts(connection: Connection, meta: dict[str, str]) -> Facts:
    """The facts of the generation that the open transaction sees."""
    rows = connection.execute(
        "SELECT language, count(*), coalesce(sum(n_vectors) FILTER (WHERE settings_key = %s), 0), sum(length)"
        " FROM passages GROUP BY language ORDER BY 2 DESC, 1",
        (meta["settings_key"],),
    ).fetchall()
    dim = int(meta["dim"])
    n_passages = sum(row[1] for row in rows)
    languages = {tag: Language(n, int(n_vectors)) for tag, n, n_vectors, _ in rows}
    sound = _sound_indexes(connection)
    indexed = frozenset(tag for tag in languages if index_name(tag, dim) in sound)
    mean_length = float(sum(row[3] for row in rows)) / n_passages if n_passages else 0.0
    generation, key = int(meta["generation"]), meta["settings_key"]
    return Facts(has_words(meta), meta["token"], generation, key, dim, languages, n_passages, mean_length, indexed)


def has_words(meta: dict[str, str]) -> bool:
    """Whether the tables are of a version that stores the words of passages."""
    return int(meta["format"]) >= 2


def index_name(language: str, dim: int) -> str:
    """The name of the HNSW index of a language."""
    letters = "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in language)
    return f"hnsw_{dim}_{letters}"[:63]


def _sound_indexes(connection: Connection) -> set[str]:
    rows = connection.execute(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'vectors'::regclass AND i.indisvalid"
    )
    return {name for (name,) in rows}


def of_documents(where: Filter) -> tuple[str, dict[str, Any]]:
    """SQL over documents d that holds for what `where` asks of a document, languages aside; and its values."""
    parts, values = ["true"], dict[str, Any]()
    if where.sources:
        parts.append("(d.source = ANY (%(sources)s) OR d.source ~ ANY (%(patterns)s) OR d.source ^@ ANY (%(folders)s))")
        values["sources"] = list(where.sources)
        values["patterns"] = [_pattern(source) for source in where.sources]
        values["folders"] = [source.rstrip("/") + "/" for source in where.sources]
    # Dates are ISO 8601, so that they compare as text; a month or a year ends with all that begins like it.
    if where.since:
        parts.append("d.date >= %(since)s")
        values["since"] = where.since
    if where.until:
        parts.append("d.date != '' AND left(d.date, length(%(until)s)) <= %(until)s")
        values["until"] = where.until
    if where.tags:
        parts.append("d.doc_id IN (SELECT doc_id FROM tags WHERE folded = ANY (%(tagged)s))")
        values["tagged"] = [folded(tag) for tag in where.tags]
    return " AND ".join(parts), values


def restricted(where: Filter, facts: Facts) -> tuple[str, dict[str, Any]]:
    """SQL that holds for pids that `where` takes, and its values."""
    values: dict[str, Any] = {"tags": facts.tags(where)}
    if not where.of_documents:
        return "pid IN (SELECT pid FROM passages WHERE language = ANY (%(tags)s))", values
    condition, of = of_documents(where)
    inside = "SELECT p.pid FROM passages p JOIN documents d USING (doc_id) WHERE p.language = ANY (%(tags)s)"
    return f"pid IN ({inside} AND {condition})", values | of


def _pattern(glob: str) -> str:
    """A pattern with `*`, `?` and `[...]`, as SQLite's GLOB has it, as a regular expression."""
    found, place = [], 0
    while place < len(glob):
        char = glob[place]
        end = glob.find("]", place + 2) if char == "[" else -1
        if char in "*?":
            found.append(".*" if char == "*" else ".")
        elif end > 0:
            found.append(_class(glob[place + 1 : end]))
            place = end
        else:
            found.append(char if _PLAIN.match(char) else f"\\{char}")
        place += 1
    return f"^(?:{''.join(found)})$"


def _class(inside: str) -> str:
    """What stands in brackets as a class of characters; as plain text where it is none."""
    escaped = inside.replace("\\", "\\\\").replace("[", "\\[")
    try:
        re.compile(f"[{escaped}]")
    except re.error:  # a range the wrong way round
        return re.escape(f"[{inside}]")
    return f"[{escaped}]"
