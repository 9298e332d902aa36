"""A run as one HTML page that needs no other file and no network, and as Markdown for a pull request.

Text of documents, answers and gold files is escaped by Jinja wherever it comes in; characters that change how the rest
reads are shown by name. The page's policy allows its own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlsplit

import regex
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from eval.measures.abstention import trade_off
from eval.measures.citation import overlaps
from eval.report.figures import HEADLINE, WORDS, figure, funnel, language_label, word, worst_first
from eval.runs.compare import Comparison
from eval.runs.folder import FinishedRun
from eval.runs.rows import Row
from eval.runs.summary import percentiles

_MAX_QUESTIONS = 2_000  # shown one by one: a page of more is slow to open
_MANY, _CHARS, _CHARS_OF_MANY = 200, 600, 240  # questions, and characters of a passage that holds no evidence
_N_BINS = 24
_MAX_COMMENT = 60_000  # characters; GitHub refuses a comment of more than 65,536
# Marks that only hint at a direction are dropped. Those that override it, drive a terminal, or are no character are
# shown by name.
_HINTS = regex.compile(r"[\u061c\u200e\u200f\ufeff\r]")
_NAMED = regex.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ufffe\uffff\p{Cs}]"
)
_MARKER = regex.compile(r"\[(\d{1,4})\]")
_TAG = regex.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
# What Markdown and GitHub read as markup, mentions, numbers of issues, and addresses.
_SYNTAX = regex.compile(r"[\\`*_\[\]<>&|~^$#]|[@!%](?=\w)|(?<=\bGH)-(?=\d)|:(?=//)|(?<=\bwww)\.", regex.IGNORECASE)


def as_html(run: FinishedRun, comparison: Comparison | None = None) -> str:
    """The report of a run, and of what changed since another, as one HTML page; the same run gives the same page."""
    rows = worst_first(run.rows)[:_MAX_QUESTIONS]
    answered = [row for row in run.rows if row.answer]
    can = [row.item.answerable for row in answered]
    return _template("page.html", _shown).render(
        run=run,
        summary=run.summary,
        comparison=comparison,
        rows=rows,
        n_chars=_CHARS if len(rows) <= _MANY else _CHARS_OF_MANY,
        places={row.item.id: f"q{place}" for place, row in enumerate(rows, 1)},
        funnels=[funnel(run.rows, answerable=kind) for kind in (True, False)],
        curve=trade_off([row.relevance for row in answered], can),
        here=[_mean([not row.abstained for row in answered if row.item.answerable is one]) for one in (False, True)],
        times=_histogram([row.timings_ms["total"] for row in run.rows if "total" in row.timings_ms]),
        style=files("eval.report").joinpath("page.css").read_text("utf-8"),
        script=files("eval.report").joinpath("page.js").read_text("utf-8"),
    )


def as_markdown(run: FinishedRun, comparison: Comparison | None = None) -> str:
    """The headline measures, what changed, where questions were lost, and the languages, as a comment."""
    steps = [step for kind in (True, False) for step in funnel(run.rows, answerable=kind)]
    values = {"run": run, "summary": run.summary, "comparison": comparison, "steps": steps}
    page = _template("report.md", _cell).render(values)
    cut = page[:_MAX_COMMENT].rpartition("\n")[0] + "\n\nThe rest is too long for a comment; see the report.\n"
    return page if len(page) <= _MAX_COMMENT else cut


def _template(name: str, finalize: Callable[[Any], Any]) -> Template:
    """A template whose values go through `finalize` and are then escaped."""
    environment = Environment(
        loader=PackageLoader("eval.report"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = (figure, word, language_label, answer_parts, passage_parts, is_expected)
    environment.globals |= {"HEADLINE": HEADLINE, "WORDS": WORDS} | {one.__name__: one for one in functions}
    environment.filters |= {
        "tag": _tag,
        "web": _web,
        "hash": _fragment,
        "setting": _setting,
        "tags": _tags,
        "sha": _sha,
    }
    return environment.get_template(name)


def _shown(value: Any) -> Any:
    """A value as it goes into the page: text with characters that would change how the rest reads made visible."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _NAMED.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", _HINTS.sub("", value))


def _cell(value: Any) -> Any:
    """A value as it goes into Markdown: words only, on one line."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    flat = " ".join(str(_shown(value)).split())
    cut = flat if len(flat) <= 200 else f"{flat[:200]}…"
    return Markup(_SYNTAX.sub(lambda match: f"&#{ord(match[0])};&#8203;", cut))  # noqa: S704 - escaped for Markdown


def _tag(language: str) -> str:
    """A language as an attribute takes it; empty where it is no tag."""
    return language if _TAG.fullmatch(language) else ""


def _web(address: str) -> str:
    """The address where it is one of the web, else empty."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    # Browsers drop some characters from an address before they read it: one with such characters is refused.
    is_web = parts.scheme in ("http", "https") and parts.hostname and not regex.search(r"[\s\p{C}]", address)
    return address if is_web else ""


def _fragment(value: str, name: str) -> str:
    """The link that shows only the questions with this outcome, language, pair or tag."""
    return f"#{name}={quote(str(_shown(value)), safe='')}"


def _tags(tags: Sequence[str]) -> str:
    """Tags as the page's script reads them."""
    return json.dumps([_shown(tag) for tag in tags], ensure_ascii=False)


def _setting(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:300]}…"


def answer_parts(row: Row) -> Iterator[tuple[str, str]]:
    """(text, number of the citation that follows, or empty) in order."""
    text, at = str(row.answer.get("answer", "")), 0
    known = {str(citation["n"]) for citation in row.answer.get("citations", ())}
    for match in _MARKER.finditer(text):
        if match[1] in known:
            yield text[at : match.start()], match[1]
            at = match.end()
    yield text[at:], ""


def passage_parts(row: Row, passage: Mapping[str, Any], n_chars: int) -> Iterator[tuple[str, bool]]:
    """(text, whether it is evidence) in order; a passage without evidence is cut."""
    text, start = str(passage["text"]), int(passage["start"])
    if not passage["holds"]:
        yield text if len(text) <= n_chars else f"{text[:n_chars]}…", False
        return
    spans = [(a - start, b - start) for own in row.places for doc, a, b in own if doc == passage["doc_id"]]
    marked = [any(a <= i < b for a, b in spans) for i in range(len(text))]
    at = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or marked[i] != marked[at]:
            yield text[at:i], marked[at]
            at = i


def is_expected(row: Row, citation: Mapping[str, Any]) -> bool:
    """Whether a citation overlaps the expected evidence."""
    span = (str(citation["doc_id"]), int(citation["start"]), int(citation["end"]))
    return any(overlaps(span, place) for own in row.places for place in own)


def _histogram(times: Sequence[float]) -> dict[str, Any]:
    """How many questions took how long, in bars of equal width up to `top`; the last holds all beyond it."""
    if not times:
        return {}
    found = percentiles(times)
    top = max(times) if max(times) <= 2.5 * found["p95"] else 2 * found["p95"]
    top = max(top, 0.001)
    step = 10.0 ** math.floor(math.log10(top))
    top = step * math.ceil(top / step)
    counts = Counter(min(_N_BINS - 1, int(time / top * _N_BINS)) for time in times)
    return {"top": top, "n": len(times), "bars": [counts[place] for place in range(_N_BINS)], **found}


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))


def _sha(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
