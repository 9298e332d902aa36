"""Plain text and Markdown to articles."""

from __future__ import annotations

import datetime as dt
import functools
import html
from collections.abc import Iterator
from contextlib import suppress
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
    metadata, body, odd_lines = _front_matter(text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
    blocks = tuple(block for block in _markdown_blocks(tokens) if block.text.strip())
    if not metadata.title and blocks and blocks[0].kind is BlockKind.HEADING:
        metadata = replace(metadata, title=blocks[0].text)
    return Article(blocks, metadata, notes=(*notes, *odd_lines))


def metadata_from(values: dict[str, Any]) -> Metadata:
    """Metadata from a mapping with the usual names (title, url, author, date, lang, ...); the date as it is written."""

    def first(*names: str) -> str:
        return next((shown for name in names if (shown := _shown(values.get(name)))), "")

    return Metadata(
        title=first("title", "headline", "name"),
        url=web_url(first("url", "link", "canonical")),
        author=first("author", "authors", "byline"),
        date=first("date", "published", "published_at", "pubdate", "date_published", "created"),
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


@functools.lru_cache(maxsize=4096)  # a date takes a millisecond, and those of a corpus repeat
def read_date(value: str, language: str) -> str:
    """`YYYY-MM-DD` from a date as `language` (BCP 47) writes it, 02/03/2024 or 5 mars 2024; empty where it is none."""
    import dateparser

    primary, *rest = language.split("-")
    region = next((part for part in rest if len(part) == 2), None)
    whole: Any = {"PARSERS": ["absolute-time"], "REQUIRE_PARTS": ["day", "month", "year"], "STRICT_PARSING": True}
    try:
        found = dateparser.parse(value[:60], languages=[primary], region=region, settings=whole)
    except ValueError:  # a language that it does not know
        return ""
    return found.date().isoformat() if found and found.year <= _LAST_YEAR else ""


_LAST_YEAR = 2200  # of our calendar: Thai years are 543 more


def web_url(value: str) -> str:
    """`value` if it is an http(s) URL without a user name, else empty: nothing else may become a link."""
    return value if regex.match(r"https?://(?![^/?#]*@)[^\s<>\"]+$", value) else ""


_FRONT_MATTER = regex.compile(r"\ufeff?---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", regex.DOTALL)
_FIELD = regex.compile(r"(\p{L}[\w -]{0,40}):(?:\s+|$)")
_MAX_FRONT_CHARS = 16_000
_OPENS_LIST = regex.compile(r"[\[{]")
_MAX_LISTS = 200  # brackets; the time to parse grows with the square of those that stand open


def _front_matter(text: str) -> tuple[Metadata, str, tuple[str, ...]]:
    """The metadata in YAML before the body of `text`, the body, and notes on lines that are no field."""
    match = _FRONT_MATTER.match(text)
    fields, notes = _fields(match.group(1)[:_MAX_FRONT_CHARS]) if match else ({}, ())
    metadata = metadata_from({name: _value(field) for name, field in fields.items()})
    if not match or not fields or (metadata == Metadata() and len(notes) >= len(fields)):
        return Metadata(), text, ()
    return metadata, text[match.end() :], notes


def _fields(front: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The lines of each field by its name, and notes on the lines that belong to none."""
    fields: dict[str, str] = {}
    notes: list[str] = []
    name = ""
    for number, line in enumerate(front.split("\n"), 2):
        if start := _FIELD.match(line):
            name = start.group(1).strip().lower()
            fields[name] = line
        elif name and line[:1] in (" ", "\t", "-", "]", "}"):
            fields[name] += f"\n{line}"
        elif line and not line.startswith("#"):
            notes.append(f"line {number} is no field of front matter: {line[:80]}")
    return fields, tuple(notes)


def _value(field: str) -> Any:
    """What YAML reads in one field; what stands behind its colon where it is no YAML, as a title with a colon is."""
    import yaml

    if len(_OPENS_LIST.findall(field)) <= _MAX_LISTS:
        with suppress(yaml.YAMLError, RecursionError):
            # The loader makes strings, lists and mappings only.
            (value,) = yaml.load(field, yaml.BaseLoader).values()  # noqa: S506
            return "" if value in ("null", "~") else value
    return field.partition(":")[2]


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
            kind = BlockKind.ITEM if item_depth else BlockKind.PARAGRAPH
            yield Block(_inline_text(token), BlockKind.HEADING if heading else kind)
        elif token.type in ("fence", "code_block"):
            yield Block(token.content.rstrip("\n"))
        elif token.type == "html_block":
            yield Block(_strip_tags(token.content))


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
_SCRIPT = regex.compile(
    r"<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", regex.IGNORECASE | regex.DOTALL
)
_SPACES = regex.compile(r" {2,}")


def _strip_tags(markup: str) -> str:
    return html.unescape(regex.sub(r"<[^<>]*>", "", _SCRIPT.sub("", markup))).strip()
