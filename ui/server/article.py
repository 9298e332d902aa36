"""A whole document: as JSON, and as a page to read, with cited spans marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import Any

from fastapi.responses import HTMLResponse

from index.documents import Document, Span
from index.store.reading import Backend
from rag.phrases import Part, direction, own_name, phrase
from ui.render import is_web_address
from ui.server.errors import Refusal
from ui.server.sse import public

_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; img-src 'self'"
)
_CITED = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)
_MAX_CITED = 100


def find_document(backend: Backend, doc_id: str) -> Document:
    """The document with this id.

    Raises:
        Refusal: There is none.
    """
    with backend.snapshot() as snapshot:
        document = snapshot.document(doc_id)
    if document is None:
        raise Refusal(404, "there is no such document")
    return document


def document_json(doc_id: str, document: Document) -> dict[str, Any]:
    """Text and metadata: `start` and `end` of a citation count the code points of this text."""
    about, text = document.metadata, document.text
    shown = {name: getattr(about, name) for name in ("title", "url", "author", "date", "language")}
    data = {"doc_id": doc_id, "source": document.source, **shown, "tags": list(about.tags)}
    return dict(public({**data, "n_chars": len(text), "text": text}))


def article_page(doc_id: str, document: Document, cited: str, language: str, stylesheet: str) -> HTMLResponse:
    """The document to read; `cited` names spans, as `10-20,40-60`, and `#10-20` goes to one.

    Its text is escaped, and its address is a link only where that is one of the web.
    """
    shown = document_json(doc_id, document)
    spans = [Span(int(a), int(b)) for a, b in _CITED.findall(cited)[:_MAX_CITED] if int(a) < int(b) <= shown["n_chars"]]
    url = escape(document.metadata.url) if is_web_address(document.metadata.url) else ""
    words = escape(phrase("open_article", language, Part.INTERFACE))
    away = f' · <a href="{url}" rel="noopener noreferrer nofollow">{words}</a>' if url else ""
    about = [shown["author"], shown["date"], own_name(shown["language"]), shown["source"]]
    html = Template(files("ui.server.widget").joinpath("templates", "article.html").read_text("utf-8")).substitute(
        lang=escape(shown["language"] or "und"),
        dir=direction(shown["language"]),
        title=escape(shown["title"] or shown["source"]),
        stylesheet=escape(stylesheet),
        about=" · ".join(f"<bdi>{escape(part)}</bdi>" for part in about if part) + away,
        cited=" ".join(f'<a href="#{a}-{b}">[{n}]</a>' for n, (a, b) in enumerate(spans, 1)),
        text=_marked(shown["text"], spans, document.headings),
    )
    return HTMLResponse(html, headers={"content-security-policy": _POLICY, "cache-control": "no-store"})


def _marked(text: str, cited: Sequence[Span], headings: Sequence[Span]) -> str:
    """`text` as escaped HTML, cut where a cited span or a heading begins or ends: they may overlap."""
    cuts = sorted({0, len(text), *(at for span in (*cited, *headings) for at in (span.start, span.end))})
    parts, named = [], set[Span]()
    for start, end in pairwise(cuts):
        part = escape(text[start:end])
        if any(span.start <= start and end <= span.end for span in headings):
            part = f"<strong>{part}</strong>"
        for span in (span for span in cited if span.start <= start and end <= span.end):
            name = "" if span in named else f' id="{span.start}-{span.end}"'
            part = f"<mark{name}>{part}</mark>"
            named.add(span)
        parts.append(part)
    return "".join(parts)
