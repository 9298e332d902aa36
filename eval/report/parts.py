"""What the parts of a page are made of: sections, tables, links that choose questions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from eval.report.markup import Markup, el, shown

_MAX_CHARS = 300  # of a setting


def section(id: str, title: str, said: str, *children: str) -> Markup:
    """A part of the page with a heading and a sentence on what it shows."""
    return el(
        "section",
        el("h2", title, id=f"{id}-heading"),
        el("p", said, class_="soft") if said else "",
        *children,
        id=id,
        aria_labelledby=f"{id}-heading",
    )


def table(caption: str, columns: Sequence[str], rows: Iterable[Markup], class_: str | None = None) -> Markup:
    """A table that may be wider than the page, which a keyboard can move too.

    `columns` are headings, or cells where they are Markup; `rows` are whole rows.
    """
    head = [one if isinstance(one, Markup) else el("th", one, scope="col") for one in columns]
    own = el("table", el("caption", caption), el("thead", el("tr", *head)), el("tbody", *rows), class_=class_)
    return el("div", own, class_="scroll", role="region", aria_label=caption, tabindex=0)


def values_table(caption: str, rows: Sequence[tuple[str, Any]]) -> Markup:
    """A table of names and their values; nothing where there are none."""
    if not rows:
        return Markup()
    body = [el("tr", el("th", name, scope="row"), el("td", el("bdi", setting(value)))) for name, value in rows]
    own = el("table", el("caption", caption), el("tbody", *body), class_="settings")
    return el("div", own, class_="scroll", role="region", aria_label=caption, tabindex=0)


def setting(value: Any) -> str:
    """A setting as a report shows it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"


def filtered(text: str, title: str | None = None, **wanted: str) -> Markup:
    """A link that shows only the questions of an outcome, a language, a pair or a tag."""
    address = "&".join(f"{key}={quote(shown(value), safe='')}" for key, value in wanted.items())
    return el("a", text, href=f"#{address}", title=title)


def cell(text: str, *more: str, title: str | None = None) -> Markup:
    """A cell with a number."""
    return el("td", text, *more, class_="number", title=title)
