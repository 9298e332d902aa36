"""The corpus on the page: its size by language and date, and questions to begin with."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock

from index.store.reading import Backend
from rag.phrases import Part, own_name, phrase
from ui.page.markup import flat

_FRESH_S = 30.0
_MAX_MONTHS = 24  # with more of them the years are shown
_MAX_ROWS = 40
_N_EXAMPLES = 4
_MAX_TITLE_CHARS = 70
_STEP = 5  # percent, of the widths that page.css knows


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts of documents, and the first good title of each language, in the order of ingest."""

    languages: dict[str, int] = field(default_factory=dict)
    months: dict[str, int] = field(default_factory=dict)  # "2024-05", "2024" where no month is known, "" without date
    titles: dict[str, str] = field(default_factory=dict)


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
        languages, months, titles = Counter[str](), Counter[str](), dict[str, str]()
        for document in self._backend.documents():
            languages[document.language] += 1
            months[document.date[:7]] += 1
            title = " ".join(document.title.split())
            if 0 < len(title) <= _MAX_TITLE_CHARS:
                titles.setdefault(document.language, title)
        ranked = dict(sorted(languages.items(), key=lambda pair: (-pair[1], pair[0])))
        return Facts(ranked, dict(sorted(months.items())), titles)


def examples(facts: Facts, lang: str) -> list[str]:
    """A few questions in the page's language about articles in several, the same each time."""
    place = {own: number for number, own in enumerate(facts.languages)}
    order = sorted(facts.titles, key=lambda own: (own != lang, own.split("-")[0] != lang.split("-")[0], place[own]))
    # Isolated: an Arabic title in an English question must not pull the marks around it.
    return [
        phrase("example", lang, Part.PAGE).replace("{title}", f"\u2068{facts.titles[own]}\u2069")
        for own in order[:_N_EXAMPLES]
    ]


def without_isolates(question: str) -> str:
    """An example's question as it is asked."""
    return question.replace("\u2068", "").replace("\u2069", "")


def overview(facts: Facts, lang: str) -> str:
    """Documents by language and by month (by year where there are many), as escaped HTML with bars."""
    by_language = {(own_name(own) or "?"): 0 for own in facts.languages}
    for own, n in facts.languages.items():
        by_language[(own_name(own) or "?")] += n
    total = sum(facts.languages.values())
    count, title, dates = (phrase(name, lang, Part.PAGE) for name in ("count", "by_language", "by_date"))
    head = f'<p class="total">{flat(count)}: <b>{total:,}</b></p>'
    return head + _bars(title, by_language) + _bars(dates, _dates(facts, lang))


def _dates(facts: Facts, lang: str) -> dict[str, int]:
    dated = {month: n for month, n in facts.months.items() if month}
    if len(dated) > _MAX_MONTHS:
        years = Counter[str]()
        for month, n in dated.items():
            years[month[:4]] += n
        dated = dict(years)
    undated = facts.months.get("", 0)
    return {**dated, phrase("undated", lang, Part.PAGE): undated} if undated else dated


def _bars(title: str, counts: dict[str, int]) -> str:
    """A table with a bar a row; the numbers stand beside the bars, for those who do not see them."""
    highest = max(counts.values(), default=1)
    rows = "".join(
        f'<tr><th scope="row">{flat(name)}</th><td class="n">{n:,}</td>'
        f'<td class="plot"><span class="bar w{max(_STEP, round(n / highest * 100 / _STEP) * _STEP)}"></span></td></tr>'
        for name, n in list(counts.items())[-_MAX_ROWS:]
    )
    return f'<table class="bars"><caption>{flat(title)}</caption><tbody>{rows}</tbody></table>' if counts else ""
