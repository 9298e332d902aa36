"""Plain text and Markdown to articles."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterator
from dataclasses import replace
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
        metadata = replace(metadata, title=blocks[0].text)
    return Article(blocks, metadata, notes=notes)


def metadata_from(values: dict[str, Any]) -> Metadata:
    """Metadata from a mapping with the usual names (title, url, author, date, lang, ...)."""

    def first(*names: str) -> str:
        return next((shown for name in names if (shown := _shown(values.get(name)))), "")

    date = first("date", "published", "published_at", "pubdate", "date_published", "created")
    return Metadata(
        title=first("title", "headline", "name"),
        url=web_url(first("url", "link", "canonical")),
        author=first("author", "authors", "byline"),
        date=iso_date(date),
        language=first("lang", "language", "locale").replace("_", "-"),
        tags=tags_of(next((values[name] for name in ("tags", "keywords", "categories") if values.get(name)), ())),
    )


def tags_of(value: Any) -> tuple[str, ...]:
    """The tags of a list or of a text with commas, each once."""
    names = value if isinstance(value, list) else _COMMA.split(value) if isinstance(value, str) else []
    shown = (" ".join(_shown(name).split())[:_MAX_TAG_CHARS] for name in names[:_MAX_TAGS])
    return tuple(dict.fromkeys(name for name in shown if name))


_COMMA = regex.compile(r"\s*[,;，、；،]\s*")
_MAX_TAGS, _MAX_TAG_CHARS = 64, 100


def _shown(value: Any) -> str:
    """A value of metadata as text: names of a list joined, the `name` of a mapping, nothing deeper.

    Deeper is a bomb: a YAML alias of a list of aliases prints as gigabytes.
    """
    if isinstance(value, dict):
        value = value.get("name")
    if isinstance(value, list):
        named = (item.get("name") if isinstance(item, dict) else item for item in value)
        return ", ".join(filter(None, (_scalar(item) for item in named)))
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


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
    if not match or len(match.group(1)) > _MAX_FRONT_CHARS or len(_OPENS_LIST.findall(match.group(1))) > _MAX_LISTS:
        return Metadata(), text
    import yaml

    try:
        values = _yaml(match.group(1))
    except (yaml.YAMLError, ValueError, RecursionError):
        return Metadata(), text
    if not isinstance(values, dict):
        return Metadata(), text
    return metadata_from({str(key).lower(): value for key, value in values.items()}), text[match.end() :]


_MAX_FRONT_CHARS = 16_000
_OPENS_LIST = regex.compile(r"[\[{]")
_MAX_LISTS = 200  # brackets; the time to parse grows with the square of those that stand open
_MAX_MERGES = 2  # of mappings that merge the one before thrice, 30 in a row would be 3 ** 30 values


def _yaml(text: str) -> Any:
    import yaml

    if sum(isinstance(event, yaml.ScalarEvent) and event.value == "<<" for event in yaml.parse(text)) > _MAX_MERGES:
        raise ValueError
    try:
        return yaml.safe_load(text)
    except ValueError:  # a date like 2024-13-45; the other fields are still good
        return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes strings, lists and mappings only


def _markdown_blocks(tokens: list[Any]) -> Iterator[Block]:
    heading = False
    item_depth = 0
    row: list[str] | None = None
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            heading = token.nesting > 0
        elif token.type in ("list_item_open", "list_item_close"):
            item_depth += token.nesting
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            yield Block(" | ".join(row or ()), BlockKind.ITEM)
            row = None
        elif token.type == "inline" and row is not None:
            row.append(_inline_text(token))
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
    in_script = False
    for child in token.children or []:
        if child.type == "html_inline" and (tag := _SCRIPT_TAG.match(child.content)):
            in_script = not tag.group(1)
        elif in_script:
            continue
        elif child.type in ("text", "code_inline"):
            pieces.append(child.content)
        elif child.type == "softbreak":
            pieces.append(" " if _spaced(pieces) else "")
        elif child.type == "hardbreak":
            pieces.append("\n")
    return _SPACES.sub(" ", "".join(pieces)).strip()  # two where an image stood between them


def _spaced(pieces: list[str]) -> bool:
    """Whether a line wrap stands for a space: not between characters of scripts without spaces."""
    last = pieces[-1][-1:] if pieces else ""
    return not regex.match(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}。、，！？」』]", last)


_SCRIPT_TAG = regex.compile(r"<(/?)(?:script|style)\b", regex.IGNORECASE)
_SCRIPT = regex.compile(r"<(script|style)\b[^>]*>.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", regex.IGNORECASE | regex.DOTALL)
_SPACES = regex.compile(r" {2,}")


def _strip_tags(markup: str) -> str:
    return html.unescape(regex.sub(r"<[^>]*>", "", _SCRIPT.sub("", markup))).strip()
