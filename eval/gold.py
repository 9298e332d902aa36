"""Gold questions: JSON lines, anchored to documents by verbatim text, so that they survive re-chunking."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from eval.errors import GoldError
from index.documents import Span


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a document that answers the question; `doc` matches the end of a source path."""

    doc: str
    text: str


@dataclass(frozen=True, slots=True)
class GoldItem:
    """One question with its expected answers and evidence; both empty where it has no answer."""

    id: str
    question: str
    lang: str
    answerable: bool
    answers: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def read_gold(path: Path) -> list[GoldItem]:
    """The questions in a gold file.

    Raises:
        GoldError: A line is broken, an id occurs twice, or there is no question at all.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")  # splitlines would also split at a U+2028 inside a string
    except (OSError, UnicodeDecodeError) as error:
        raise GoldError(f"{path} cannot be read ({error}); expected: JSON lines in UTF-8") from error
    items: list[GoldItem] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        item = _item(line, f"{path}, line {number}")
        if item.id in seen:
            raise GoldError(f"{path}, line {number}: the id {item.id!r} occurs twice; expected: ids used once")
        seen.add(item.id)
        items.append(item)
    if not items:
        raise GoldError(f"{path} holds no question; expected: one JSON object a line")
    return items


def _item(line: str, where: str) -> GoldItem:
    try:
        values: Any = json.loads(line)
        if not all(isinstance(values.get(name, []), list) for name in ("answers", "evidence")):
            raise TypeError("answers and evidence are lists")
        item = GoldItem(
            id=str(values["id"]),
            question=str(values["question"]),
            lang=str(values["lang"]),
            answerable=values["answerable"],
            answers=tuple(map(str, values.get("answers", ()))),
            evidence=tuple(Evidence(str(e["doc"]), str(e["text"])) for e in values.get("evidence", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GoldError(
            f"{where}: {type(error).__name__}: {error}; expected: an object with"
            " id, question, lang, answerable, answers, evidence"
        ) from error
    if not isinstance(item.answerable, bool):
        raise GoldError(f"{where}: answerable is {item.answerable!r}; expected: true or false")
    if not item.question.strip():
        raise GoldError(f"{where}: the question is empty")
    if item.answerable and not item.evidence:
        raise GoldError(f"{where}: answerable, but without evidence")
    return item


def find_evidence(text: str, wanted: str) -> list[Span]:
    """Every place where `wanted` stands in `text` (NFC, as stored), whatever the white space in either."""
    needle = "".join(unicodedata.normalize("NFC", wanted).split())
    if not needle or needle not in "".join(text.split()):
        return []
    places = [i for i, char in enumerate(text) if not char.isspace()]
    dense = "".join(text[i] for i in places)
    starts = (match.start() for match in regex.finditer(regex.escape(needle), dense))
    return [Span(places[start], places[start + len(needle) - 1] + 1) for start in starts]
