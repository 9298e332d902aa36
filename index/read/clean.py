"""From an article's blocks to the text that is stored: NFC, readable, without recognisable boilerplate.

What is removed is reported, never guessed at: each rule names lines that no reader of
the article would miss. Offsets do not suffer: they are counted in the text made here.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections import Counter, defaultdict
from dataclasses import replace
from importlib.resources import files

import regex

from index.documents import Article, Block, BlockKind, Document, Metadata, Removed, Span
from index.read.text import iso_date, read_date
from index.text.language import detect_language

# C0 and C1 controls but tab and newline, BOM, soft hyphen, interlinear and lone-surrogate code points.
_DROPPED = regex.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\u00ad\ufff9-\ufffb]")
_SURROGATE = regex.compile(r"[\ud800-\udfff]")
_SPACES = regex.compile(r"(?<![ \t\u00a0\u3000])[ \t\u00a0\u3000]*+\n[ \t\u00a0\u3000]*")
_LINE_SEPARATORS = regex.compile(r"\r\n?|\u2028|\u2029|\x85|\x0b|\x0c")

_WORDS = tomllib.loads((files("index.read") / "boilerplate.toml").read_text("utf-8"))
_IMAGE_WORDS = f"(?:{'|'.join(_WORDS['image_words'])})"
_IMAGE_LINE = regex.compile(rf"(?i)[\[(（【]?\s*{_IMAGE_WORDS}\s*[\])）】]?")
_IMAGE_TAIL = regex.compile(r"(?<=[.!?。！？:：\"”])\s(?:이미지|图片|圖片|画像|\[image\])$")
_DECORATION = regex.compile(r"[\s|｜\-–—_=*•·~#+.,、。/\\<>«»▲▼△▽◆◇■□●○★☆※]+")
_URL_LINE = regex.compile(r"(?:[\[(（]?\d{1,3}[\])）.]?\s*)?https?://\S+")
_DATE = regex.compile(r"\d{4}\s?[-/.年년]\s?\d{1,2}\s?[-/.月월]\s?\d{1,2}(?:\s?[日일])?")
_HEADER_WORD = regex.compile(rf"(?i)(?:{'|'.join(_WORDS['header_words'])})")
# Dates, times, and labels with their counts: 입력 2024.06.03 09:12 댓글 41
_HEADER_LINE = regex.compile(
    rf"(?i)(?:{_DATE.pattern}|T?\d{{1,2}}:\d{{2}}(?::\d{{2}})?|\b(?:AM|PM|UTC|KST|JST|GMT)\b|오[전후]|"
    rf"{_HEADER_WORD.pattern}(?:\s*[:：(（]?\s*\d[\d,]*+(?!\s?[-/.年년:]))?|[\s:：,·・|｜/()（）\[\]])++"
)
_AUTHOR_LINE = regex.compile(
    r"(?i)(?:author|by|written by|저자|글쓴이|작성자|作者|撰文|記者|记者|文|autor|autora|auteur|von|автор|著者|筆者|執筆)\s*[:：]\s*(\S.{0,60})"
)
_FORUM_HEADER = regex.compile(
    r"(?:送交者|发帖人|發帖人|Posted by|投稿者|작성자)\s*[:：]\s*(?P<author>\S{1,40})\s+(?P<rest>.*\d{4}.*)"
)
_FORWARD_MARK = regex.compile(r"^(?:ZT|转帖|轉帖|\[转\]|\[轉\]|FW|Fwd)\s*[:：]\s*")
_INTERFACE_WORDS = frozenset([*_WORDS["interface_words"].split(), *_WORDS["interface_phrases"]])
# The sign with a year or a name, or the formula: a sentence about copyright has neither.
_COPYRIGHT = regex.compile(
    r"(?i)©\s*(?:\d{4}|(?-i:[\p{Lu}\p{Lo}]))|\(c\)\s*\d{4}|copyright\s*(?:©|\(c\)|\d{4})|all rights reserved|版[权權]所有(?![者人权權])|"
    r"무단\s?전재\s*(?:및|[-,·/]|재배포|금지)|(?:無断)?転載(?:を?禁止|禁止|不可)"
)
_REFERENCES_HEADING = regex.compile(
    r"(?i)(?:참고\s?(?:링크|자료|문헌)|参考(?:链接|资料|リンク|文献)|參考(?:鏈接|連結|資料)|references?|sources?|links|ссылки|источники|quellen|fuentes)\s*[:：]?"
)
_STOP_AT_END = regex.compile(r"[.!?。！？؟।…\"”」]$")
_LIST_MARK = regex.compile(r"^\s*(?:[•◦▪●·*-]|\d{1,3}[.)])\s")


def clean(article: Article, location: str, source: str) -> Document:
    """The document that is stored for `article`, with what was removed and why."""
    removed: list[Removed] = []
    blocks = [Block(normalise(block.text), block.kind) for block in article.blocks]
    metadata = _clean_metadata(article.metadata, blocks, removed)
    lines = [(i, line) for i, block in enumerate(blocks) for line in block.text.split("\n") if line]
    seen, left = _navigation(blocks), defaultdict[int, list[str]](list)
    for n, (i, line) in enumerate(lines):
        if _REFERENCES_HEADING.fullmatch(line) and n + 1 < len(lines) and _URL_LINE.fullmatch(lines[n + 1][1]):
            removed.append(Removed("heading of links", line))
            continue
        # By lines, not blocks: a file without blank lines is one block.
        near_start, near_end = n < 20 and i < 8, n > 0 and n >= (len(lines) - 1) * 0.8
        text, metadata = _clean_line(line, near_start, near_end, seen, metadata, removed)
        if text:
            left[i].append(text)
    kept = [Block("\n".join(own), blocks[i].kind) for i, own in left.items()]
    if not metadata.title:
        metadata = replace(metadata, title=_title(kept))
    text, headings = _join(kept)
    language = _language(text, metadata)
    return Document(
        location, source, text, replace(metadata, language=language), headings, tuple(removed), article.notes
    )


def _clean_metadata(metadata: Metadata, blocks: list[Block], removed: list[Removed]) -> Metadata:
    title, author = (" ".join(normalise(value).split()) for value in (metadata.title, metadata.author))
    date = iso_date(metadata.date)
    if metadata.date and not date:
        date = read_date(metadata.date, _language("\n".join(block.text for block in blocks), metadata))
        if not date:
            removed.append(Removed("date that cannot be read", metadata.date))
    return replace(metadata, title=title, author=author, date=date)


def normalise(text: str) -> str:
    """NFC, one kind of line end, no control characters, lone surrogates shown as U+FFFD."""
    text = _SURROGATE.sub("\ufffd", text)
    text = _DROPPED.sub("", _LINE_SEPARATORS.sub("\n", text))
    text = unicodedata.normalize("NFC", text)
    return _SPACES.sub("\n", text).strip()


def _clean_line(
    line: str, near_start: bool, near_end: bool, seen: Counter[str], metadata: Metadata, removed: list[Removed]
) -> tuple[str, Metadata]:
    """The line as kept (empty if it goes) and the metadata with what the line says."""
    stripped = line.strip()
    if not stripped:
        return "", metadata
    if near_start and len(stripped) < 200:
        rule, metadata = _header_rule(stripped, metadata)
        if rule:
            removed.append(Removed(rule, stripped))
            return "", metadata
        forwarded = _FORWARD_MARK.sub("", stripped)
        if forwarded != stripped:
            removed.append(Removed("forward mark", stripped[: len(stripped) - len(forwarded)]))
            return forwarded.rstrip(" |｜"), metadata
    rule = _line_rule(stripped, near_end, seen)
    if rule:
        removed.append(Removed(rule, stripped))
        return "", metadata
    tail = _IMAGE_TAIL.search(stripped, max(0, len(stripped) - 20))
    if tail:
        removed.append(Removed("image placeholder", tail.group().strip()))
        return stripped[: tail.start()], metadata
    without_bars = stripped.rstrip("|｜ \t\u3000")
    is_row = "|" in without_bars or "｜" in without_bars
    return (stripped if is_row else without_bars), metadata


def _header_rule(line: str, metadata: Metadata) -> tuple[str, Metadata]:
    forum = _FORUM_HEADER.match(line)
    if forum:
        date = _DATE.search(forum.group("rest"))
        return "forum header", replace(
            metadata,
            author=metadata.author or forum.group("author"),
            date=metadata.date or (iso_date(date.group()) if date else ""),
        )
    if _HEADER_LINE.fullmatch(line):
        if date := _DATE.search(line):
            day = iso_date(date.group())
            # A further date is a chronicle's, unless it says what it is ("Updated: ...").
            if metadata.date in ("", day) or not line[0].isdigit():
                return "date line", replace(metadata, date=metadata.date or day)
        elif len(_HEADER_WORD.findall(line)) + any(map(str.isdigit, line)) > 1:
            return "interface line", metadata
    author = _AUTHOR_LINE.fullmatch(line)
    if author and not regex.search(r"[.!?。！？]$", line):
        return "author line", replace(metadata, author=metadata.author or author.group(1).strip())
    return "", metadata


def _line_rule(line: str, near_end: bool, seen: Counter[str]) -> str:
    """Name of the rule that removes `line`, or empty."""
    if len(line) > 800:
        return ""  # a paragraph: every rule below is about lines
    if _IMAGE_LINE.fullmatch(line):
        return "image placeholder"
    if _DECORATION.fullmatch(line):
        return "decoration"
    folded = line.casefold().strip(" |｜:：>»›")
    if folded in _INTERFACE_WORDS:
        return "interface word"
    if _URL_LINE.fullmatch(line):
        return "bare link"
    if len(line) < 300 and _COPYRIGHT.search(line) and (near_end or len(line) < 80):
        return "copyright notice"
    if near_end and _disclaims(line.casefold()):
        return "disclaimer"
    if seen[folded] >= 3 and not _LIST_MARK.match(line):
        return "repeated navigation"
    return ""


def _disclaims(line: str) -> bool:
    n_disclaimers = sum(phrase in line for phrase in _WORDS["disclaimers"])
    return n_disclaimers > 1 or (n_disclaimers == 1 and any(phrase in line for phrase in _WORDS["disclaimed"]))


def _navigation(blocks: list[Block]) -> Counter[str]:
    """How often each short line that is neither heading, label nor sentence occurs; three times is navigation."""
    counts: Counter[str] = Counter()
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            continue
        for line in block.text.split("\n"):
            if len(line) > 60 or line.rstrip().endswith((":", "：")):
                continue
            folded = line.strip().casefold().strip(" |｜:：>»›")
            if folded and len(folded) <= 40 and not _STOP_AT_END.search(folded):
                counts[folded] += 1
    return counts


def _title(blocks: list[Block]) -> str:
    """The first line where it stands alone, is short and is no sentence; else empty."""
    if not blocks:
        return ""
    first, *rest = blocks[0].text.split("\n")
    alone = blocks[0].kind is BlockKind.HEADING or len(blocks) > 1 or bool(rest)
    if (
        alone
        and len(first) <= 120
        and not regex.search(r"[.。！!…;；,，、:：]$", first)
        and not _LIST_MARK.match(first)
    ):
        return first
    return ""


def _join(blocks: list[Block]) -> tuple[str, tuple[Span, ...]]:
    pieces: list[str] = []
    headings: list[Span] = []
    position = 0
    for i, block in enumerate(blocks):
        if i:
            both_items = block.kind is BlockKind.ITEM and blocks[i - 1].kind is BlockKind.ITEM
            separator = "\n" if both_items else "\n\n"
            pieces.append(separator)
            position += len(separator)
        text = f"• {block.text}" if block.kind is BlockKind.ITEM and not _LIST_MARK.match(block.text) else block.text
        if block.kind is BlockKind.HEADING:
            headings.append(Span(position, position + len(text)))
        pieces.append(text)
        position += len(text)
    # NFC all the same: nothing composes with the newline between two blocks.
    return "".join(pieces), tuple(headings)


_LANGUAGE_TAG = regex.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|\d{3}))?")


# Regions and scripts that a tag may name.
_CHINESE = dict.fromkeys(("tw", "hk", "mo", "hant"), "zh-Hant") | dict.fromkeys(("cn", "sg", "hans"), "zh-Hans")


def _language(text: str, metadata: Metadata) -> str:
    """What the text reads as; the declared tag only where it names the same language, or decides between zh."""
    declared = metadata.language if _LANGUAGE_TAG.fullmatch(metadata.language) else ""
    # The middle: a text's first lines are names and dates.
    middle = max(0, len(text) // 2 - 1000)
    found = detect_language(text[middle : middle + 2000]) or detect_language(text)
    if not found:
        return declared
    primary = declared.split("-")[0].lower()
    if primary == "zh":
        declared = next((_CHINESE[part] for part in declared.lower().split("-") if part in _CHINESE), declared)
        return declared if found == "zh" else found
    close = {"no": "nb", "nn": "nb"}
    return declared if close.get(primary, primary) == found else found
