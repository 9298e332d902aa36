"""Passages with what they answer: questions and titles.

Translation pairs teach which words mean the same; these teach which words of a question
matter. All are read into `Topic`s, whose passages are kept as sentences, because a passage's
vector is the sum of its sentences' and training draws parts of passages.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import regex

from index.errors import ReadError
from index.text.sentences import split_sentences
from index.training.pairs import normal

# Folder of `qp/` to the language of its question-passage pairs, in the shape of SQuAD.
_QUESTION_SETS = {
    "arcd-ar": "ar", "cmrc2018": "zh", "heb-qa": "he", "iapp-wiki-th": "th",
    "jaquad-dev": "ja", "jsquad": "ja", "pquad-fa": "fa",
}  # fmt: skip
_OPENINGS = "wikipedia-openings"
_ENGLISH_NAME = regex.compile(r" ?\(in English: ([^()]{1,80}(?:\([^()]{0,40}\))?)\)")
_HEADING = "[SEP]"  # stands between an article's title and its text in JSQuAD
_MIN_CHARS = 60
_MAX_CHARS = 3_000


class Question(NamedTuple):
    """What is asked, and the sentence of the passage that answers it (-1 where not known)."""

    text: str
    sentence: int


@dataclass(slots=True)
class Topic:
    """A passage, and its questions or title."""

    language: str
    sentences: list[str]
    questions: list[Question] = field(default_factory=list)


def read_topics(folder: Path) -> Iterator[Topic]:
    """Every passage in `folder` that something is known to be answered by.

    Raises:
        ReadError: A set of `_QUESTION_SETS` or the openings are missing.
    """
    missing = sorted(name for name in (*_QUESTION_SETS, _OPENINGS) if not (folder / name).is_dir())
    if missing:
        raise ReadError(
            f"{folder} has no {', '.join(missing)}", "one folder a set", "give the folder that holds them with --data"
        )
    for name, language in _QUESTION_SETS.items():
        for path in sorted((folder / name).glob("*.json*")):
            rows = _thai_rows(path) if path.suffix == ".jsonl" else _squad_rows(path)
            yield from _answered(rows, language)
    for path in sorted((folder / _OPENINGS).glob("*.json.gz")):
        language = path.name.removesuffix(".json.gz").rpartition("_")[2]
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for title, text in json.load(file).items():
                topic = _opening(title, text, language)
                if topic is not None:
                    yield topic


class _Row(NamedTuple):
    context: str
    question: str
    answer_start: int


def _squad_rows(path: Path) -> Iterator[_Row]:
    data: Any = json.loads(path.read_text("utf-8"))
    for article in data["data"] if isinstance(data, dict) else data:
        for paragraph in article["paragraphs"]:
            for item in paragraph["qas"]:
                answers = item.get("answers") or []
                if answers and not item.get("is_impossible"):
                    context, start = paragraph["context"], int(answers[0]["answer_start"])
                    if _HEADING in context[:200]:
                        cut = context.index(_HEADING) + len(_HEADING)
                        context, start = context[cut:], start - cut
                    yield _Row(context, item["question"], start)


def _thai_rows(path: Path) -> Iterator[_Row]:
    for line in path.read_text("utf-8").splitlines():
        item = json.loads(line)
        starts = item["answers"].get("answer_begin_position") or item["answers"].get("answer_start") or [-1]
        yield _Row(item["context"], item["question"], int(starts[0]))


def _answered(rows: Iterator[_Row], language: str) -> Iterator[Topic]:
    topics: dict[str, tuple[Topic, list[tuple[int, int]]]] = {}
    for row in rows:
        if row.context not in topics:
            spans = [(a, b) for a, b in split_sentences(row.context, language)]
            sentences = [normal(row.context[a:b]) for a, b in spans]
            topics[row.context] = (Topic(language, sentences), spans)
        topic, spans = topics[row.context]
        holder = next((i for i, (a, b) in enumerate(spans) if a <= row.answer_start < b), -1)
        topic.questions.append(Question(normal(row.question), holder))
    for topic, _ in topics.values():
        yield topic


def _opening(title: str, text: str, language: str) -> Topic | None:
    plain = _ENGLISH_NAME.sub("", text)[:_MAX_CHARS]
    sentences = [normal(plain[a:b]) for a, b in split_sentences(plain, language)]
    if sum(map(len, sentences)) < _MIN_CHARS:
        return None
    return Topic(language, sentences, [Question(normal(title), -1)])
