"""JSON lines of articles: one object a line, streamed, so that size does not matter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import regex

from index.documents import Article, Block
from index.errors import ReadError
from index.read.encoding import opened
from index.read.text import metadata_from
from index.settings import Limits

_TEXT_FIELDS = ("text", "content", "body", "article", "passage", "context")


def read_jsonl(path: Path, limits: Limits) -> Iterator[Article | ReadError]:
    """Articles of a file, one a line: `text` (or content, body, ...) and optional metadata.

    `id` (or `_id`, `doc_id`) becomes the article's part name, the line number where there is none.
    A line that cannot be read comes as an error in its place; the others go on.

    Raises:
        ReadError: The file cannot be opened.
    """
    seen: set[str] = set()
    with opened(path) as file:
        number = 0
        while line := file.readline(limits.max_file_bytes + 1):
            number += 1
            if len(line) > limits.max_file_bytes:
                yield ReadError(
                    f"line {number} is over {limits.max_file_bytes // 2**20} MiB", "shorter lines", "split it"
                )
                while line and not line.endswith(b"\n"):
                    line = file.readline(2**20)
                continue
            if not line.strip():
                continue
            article = _article(line, number)
            if isinstance(article, Article):
                if article.part in seen:
                    yield ReadError(f"line {number} repeats the id {article.part!r}", "ids used once", "rename it")
                    continue
                seen.add(article.part)
            yield article


def _article(line: bytes, number: int) -> Article | ReadError:
    try:
        values: Any = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return ReadError(f"line {number}: byte {error.start} is not UTF-8", "JSON lines in UTF-8", "convert the file")
    except (ValueError, RecursionError) as error:
        return ReadError(f"line {number} is not JSON ({error})", "one JSON object a line", "correct the line")
    if not isinstance(values, dict):
        return ReadError(f"line {number} is not an object", 'an object like {"text": ...}', "correct the line")
    text = next((values[name] for name in _TEXT_FIELDS if isinstance(values.get(name), str)), None)
    if text is None:
        return ReadError(
            f"line {number} has no text", f"one of the fields {', '.join(_TEXT_FIELDS)}", "correct the line"
        )
    part = next(
        (str(values[name]) for name in ("id", "_id", "doc_id") if values.get(name) not in (None, "")), str(number)
    )
    blocks = tuple(Block(piece) for piece in regex.split(r"\n[ \t\u3000]*\n\s*", text) if piece.strip())
    return Article(blocks, metadata_from({key: value for key, value in values.items() if isinstance(key, str)}), part)
