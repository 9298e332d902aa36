"""Published question sets in the form of SQuAD, however they are nested and packed."""

from __future__ import annotations

import gzip
import json
import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

_UNPACK: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.decompress, ".gz": gzip.decompress}


class Asked(NamedTuple):
    """A question about a context; the answer begins at `start`, or is empty and `start` is -1 where there is none."""

    title: str
    context: str
    question: str
    answer: str
    start: int


def read_squad(folder: Path) -> Iterator[Asked]:
    """The questions of a set; those whose answer is neither where the file says nor in one place are left out."""
    for record in read_records(folder):
        for title, context, question in _questions(record):
            answers = question.get("answers") or []
            if isinstance(answers, dict):  # {"text": [...], "answer_start": [...]}
                starts = answers.get("answer_start") or answers.get("answer_begin_position") or []
                answers = [{"text": t, "answer_start": s} for t, s in zip(answers["text"], starts, strict=False)]
            asked = str(question["question"])
            if not answers or question.get("is_impossible"):
                yield Asked(title, context, asked, "", -1)
                continue
            text, start = str(answers[0]["text"]), int(answers[0]["answer_start"])
            if context[start : start + len(text)] != text:
                start = context.find(text) if context.count(text) == 1 else -1
            if text and start >= 0:
                yield Asked(title, context, asked, text, start)


def read_records(folder: Path) -> Iterator[Any]:
    """What the JSON files of a set hold, by the files' names: plain ones, packed ones, and those in archives."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if ".json" in name:
                        yield from parsed(archive.read(name))
        elif ".json" in path.name:
            yield from parsed(unpacked(path))


def unpacked(path: Path) -> bytes:
    """The content of a file that may be packed by xz or gzip."""
    return _UNPACK.get(path.suffix, bytes)(path.read_bytes())


def parsed(content: bytes) -> list[Any]:
    """The records of a JSON file: one, a list, or one a line."""
    text = content.decode("utf-8-sig")
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return found if isinstance(found, list) else [found]


def _questions(content: Any, title: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(title, context, question) of every question in a record, however it is nested."""
    if isinstance(content, list):
        for part in content:
            yield from _questions(part, title)
    elif isinstance(content, dict):
        title, context = str(content.get("title") or title), content.get("context")
        if isinstance(context, str):
            asked = content.get("qas", [content])
            yield from ((title, context, one) for one in asked if "question" in one)
        else:
            for part in content.values():
                yield from _questions(part, title)
