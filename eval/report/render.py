"""The templates of a report, and what they may call: escaping, languages, links, and text that is only text."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import regex
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from rich.cells import cell_len, set_cell_size

from eval.measures.citation import overlaps
from eval.report.figures import HEADLINE, WORDS, figure, language_label, word
from eval.runs.rows import Row

# Marks that only hint at a direction are dropped. Those that override it, drive a terminal, or are no character are
# shown by name.
_HINTS = regex.compile(r"[\u061c\u200e\u200f\ufeff\r]")
_NAMED = regex.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ufffe\uffff\p{Cs}]"
)
_MARKER = regex.compile(r"\[(\d{1,4})\]")
_TAG = regex.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")


def template(name: str, finalize: Callable[[Any], Any]) -> Template:
    """A template whose values go through `finalize`, and are then escaped for HTML unless they are Markup."""
    environment = Environment(
        loader=PackageLoader("eval.report"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = (figure, word, language_label, answer_parts, passage_parts, is_expected)
    filters = (tag, web, fragment, setting, tags, sha, fitted)
    environment.globals |= {"HEADLINE": HEADLINE, "WORDS": WORDS} | {one.__name__: one for one in functions}
    environment.filters |= {one.__name__: one for one in filters}
    return environment.get_template(name)


def for_html(value: Any) -> Any:
    """Text with characters that would change how the rest reads made visible, as in `⟨U+202E⟩`."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _NAMED.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", _HINTS.sub("", value))


def for_terminal(value: Any) -> Any:
    """Text as it is: `ui.terminal` removes what drives a terminal."""
    return Markup(value) if isinstance(value, str) else value  # noqa: S704 - no HTML


def tag(language: str) -> str:
    """A language as an attribute takes it; empty where it is no tag."""
    return language if _TAG.fullmatch(language) else ""


def web(address: str) -> str:
    """The address where it is one of the web, else empty."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    # Browsers drop some characters from an address before they read it: one with such characters is refused.
    is_web = parts.scheme in ("http", "https") and parts.hostname and not regex.search(r"[\s\p{C}]", address)
    return address if is_web else ""


def fragment(value: str, name: str) -> str:
    """The link that shows only the questions with this outcome, language, pair or tag."""
    return f"#{name}={quote(str(for_html(value)), safe='')}"


def setting(value: Any) -> str:
    """A setting as text, at most 300 characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:300]}…"


def tags(values: Sequence[str]) -> str:
    """Tags as the page's script reads them."""
    return json.dumps([for_html(one) for one in values], ensure_ascii=False)


def sha(text: str) -> str:
    """The hash by which the page's policy allows its own style and script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def fitted(text: str, width: int) -> str:
    """`text` in exactly `width` columns of a terminal, cut or filled: a wide character takes two, a mark none."""
    line = " ".join(text.split())
    return set_cell_size(line if cell_len(line) < width else f"{set_cell_size(line, width - 2)}…", width)


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
