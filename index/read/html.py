"""HTML to an article: main content and metadata by trafilatura."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import regex

from index.documents import Article, Block, BlockKind, Metadata
from index.errors import ReadError
from index.read.encoding import decode
from index.read.text import iso_date, tags_of, web_url

_META_CHARSET = regex.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", regex.IGNORECASE)
_HTML_LANG = regex.compile(
    r"<html[^>]{0,400}?\slang\s*=\s*[\"']?([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*)", regex.IGNORECASE
)
_HUGE_TAG = regex.compile(r"<[^<>]{20000,}+")
_MAX_ATTRIBUTES = 1_000  # of a tag; the parser's time grows with their square


def read_html(data: bytes, declared: str = "", url: str = "") -> Article:
    """The main content of a page.

    Raises:
        ReadError: The page has no main content.
    """
    import trafilatura

    named = _META_CHARSET.search(data[:4096])
    text, _, notes = decode(data, declared or (named.group(1).decode("ascii") if named else ""))
    text = text.replace("\x00", "")
    text = _HUGE_TAG.sub(lambda tag: tag[0] if len(tag[0].split()) < _MAX_ATTRIBUTES else "<p", text)
    found = trafilatura.bare_extraction(
        text,
        url=url or None,
        with_metadata=True,
        include_comments=False,
        include_tables=True,
        # Not extensive: that search takes any date on the page, and a wrong date is worse than none.
        date_extraction_params={"extensive_search": False, "original_date": True},
    )
    blocks = tuple(_blocks(found.body)) if found is not None and not isinstance(found, dict) else ()
    if found is None or isinstance(found, dict) or not blocks:
        raise ReadError("a page without main content", "HTML with an article in it", "check what the page shows")
    language = _HTML_LANG.search(text[:20_000])
    metadata = Metadata(
        title=" ".join((found.title or "").split()),
        url=web_url(found.url or "") or web_url(url),
        author=" ".join((found.author or "").split()),
        date=_date(found.date or "", text, blocks),
        language=language.group(1).replace("_", "-") if language else "",
        tags=tags_of([*(found.tags or ()), *(found.categories or ())]),
    )
    return Article(blocks, metadata, notes=notes)


def _date(found: str, markup: str, blocks: tuple[Block, ...]) -> str:
    """The date as ISO 8601, unless it is only one that the article's text mentions: trafilatura takes any."""
    date = iso_date(found)
    if date and any(date in block.text for block in blocks):
        return date if regex.search(rf"(?:<[^<>]*|\"date\w*\"\s*:\s*\"){date}", markup) else ""
    return date


def _blocks(body: Any) -> Iterator[Block]:
    for element in body:
        tag = element.tag
        if tag == "head":
            yield from _block(element, BlockKind.HEADING)
        elif tag == "list":
            yield from _items(element)
        elif tag == "table":
            for row in element.iter("row"):
                cells = [" ".join(_text(cell).split()) for cell in row.iter("cell")]
                if any(cells):
                    yield Block(" | ".join(cells), BlockKind.ITEM)
        elif tag in ("quote", "div") and len(element):
            yield from _blocks(element)
        else:
            yield from _block(element, BlockKind.PARAGRAPH)


def _items(element: Any) -> Iterator[Block]:
    for child in element:
        if child.tag == "list":
            yield from _items(child)
            continue
        yield from _block(child, BlockKind.ITEM)
        yield from _items([nested for nested in child if nested.tag == "list"])


def _block(element: Any, kind: BlockKind) -> Iterator[Block]:
    text = _text(element)
    if text:
        yield Block(text, kind)


def _text(element: Any) -> str:
    """Text of an element, without that of the lists in it: their items are blocks of their own."""
    lines = "".join(_pieces(element)).split("\n")
    return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)


_OWN_LINE = frozenset({"lb", "p", "head", "quote", "div", "row", "table", "list"})


def _pieces(element: Any) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        edge = "\n" if child.tag in _OWN_LINE else ""
        yield edge
        if child.tag != "list":
            yield from _pieces(child)
        yield edge
        yield child.tail or ""
