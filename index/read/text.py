"""Plain text and Markdown to articles."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import regex

from index.documents import Article, Block, BlockKind, Metadata
from index.read.encoding import decode

_BLANK_LINES = regex.compile(r"\n[ \t\u3000]*\n\s*")


def read_text(data: bytes, declared: str = "") -> Article:
    """One article of plain text: paragraphs parted by blank lines, every line kept."""
    text, _, notes = decode(data, declared)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    blocks = tuple(Block(part) for part in _BLANK_LINES.split(text) if part.strip())
    return Article(blocks, notes=notes)


def read_markdown(data: bytes, declared: str = "") -> Article:
    """One article of Markdown (CommonMark and tables): markup gone, headings and lists kept.

    YAML front matter gives the metadata; images are dropped, links keep their text.
    """
    from markdown_it import MarkdownIt

    text, _, notes = decode(data, declared)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    metadata, body = _front_matter(text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
    blocks = tuple(block for block in _markdown_blocks(tokens) if block.text.strip())
    if not metadata.title and blocks and blocks[0].kind is BlockKind.HEADING:
        metadata = Metadata(blocks[0].text, metadata.url, metadata.author, metadata.date, metadata.language)
    return Article(blocks, metadata, notes=notes)


def metadata_from(values: dict[str, Any]) -> Metadata:
    """Metadata from a mapping with the usual names (title, url, author, date, lang, ...)."""

    def first(*names: str) -> str:
        found = next((values[name] for name in names if values.get(name) not in (None, "", [])), "")
        if isinstance(found, list):
            found = ", ".join(str(item) for item in found)
        return " ".join(str(found).split()) if not isinstance(found, dt.date) else found.isoformat()

    date = first("date", "published", "published_at", "pubdate", "date_published", "created")
    return Metadata(
        title=first("title", "headline", "name"),
        url=web_url(first("url", "link", "canonical")),
        author=first("author", "authors", "byline"),
        date=iso_date(date),
        language=first("lang", "language", "locale").replace("_", "-"),
    )


def iso_date(value: str) -> str:
    """`YYYY-MM-DD` from an ISO, slashed or CJK date at the start of `value`; empty where there is none."""
    match = regex.match(r"\s*(\d{4})\s?[-/.年년]\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})(?!\d)", value)
    if not match:
        return ""
    try:
        return dt.date(*map(int, match.groups())).isoformat()
    except ValueError:
        return ""


def web_url(value: str) -> str:
    """`value` if it is an http(s) URL, else empty: nothing else may become a link."""
    return value if regex.match(r"https?://[^\s<>\"]+$", value) else ""


def _front_matter(text: str) -> tuple[Metadata, str]:
    match = regex.match(r"\ufeff?---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", text, regex.DOTALL)
    if not match:
        return Metadata(), text
    import yaml

    try:
        values = yaml.safe_load(match.group(1))
    except (yaml.YAMLError, ValueError):  # ValueError: a date like 2024-13-45
        return Metadata(), text
    if not isinstance(values, dict):
        return Metadata(), text
    return metadata_from({str(key).lower(): value for key, value in values.items()}), text[match.end() :]


def _markdown_blocks(tokens: list[Any]) -> Iterator[Block]:
    heading = False
    item_depth = 0
    for token in tokens:
        if token.type == "heading_open":
            heading = True
        elif token.type == "heading_close":
            heading = False
        elif token.type == "list_item_open":
            item_depth += 1
        elif token.type == "list_item_close":
            item_depth -= 1
        elif token.type == "inline":
            yield Block(_inline_text(token), _kind(heading, item_depth))
        elif token.type in ("fence", "code_block"):
            yield Block(token.content.rstrip("\n"))
        elif token.type == "html_block":
            yield Block(_strip_tags(token.content))


def _kind(heading: bool, item_depth: int) -> BlockKind:
    if heading:
        return BlockKind.HEADING
    return BlockKind.ITEM if item_depth else BlockKind.PARAGRAPH


def _inline_text(token: Any) -> str:
    pieces: list[str] = []
    for child in token.children or []:
        if child.type in ("text", "code_inline"):
            pieces.append(child.content)
        elif child.type == "softbreak":
            pieces.append(" " if _spaced(pieces) else "")
        elif child.type == "hardbreak":
            pieces.append("\n")
    return "".join(pieces).strip()


def _spaced(pieces: list[str]) -> bool:
    """Whether a line wrap stands for a space: not between characters of scripts without spaces."""
    last = pieces[-1][-1:] if pieces else ""
    return not regex.match(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}。、，！？」』]", last)


def _strip_tags(html: str) -> str:
    return regex.sub(r"<[^>]*>", "", html).strip()
