"""Passages with what they answer: questions and titles.

Translation pairs teach which words mean the same; these teach which words of a question
matter. All are read into `Topic`s, whose passages are kept as sentences, because a passage's
vector is the sum of its sentences' and training draws parts of passages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import regex

from index.documents import Span
from index.errors import ReadError
from index.text.sentences import split_sentences
from index.training.pairs import normal
from index.training.squad import Asked, read_squad, unpacked

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
        yield from _answered(read_squad(folder / name), language)
    for path in sorted((folder / _OPENINGS).glob("*.json.gz")):
        language = path.name.removesuffix(".json.gz").rpartition("_")[2]
        openings = (_opening(title, text, language) for title, text in json.loads(unpacked(path)).items())
        yield from (topic for topic in openings if topic)


def _answered(asked: Iterator[Asked], language: str) -> Iterator[Topic]:
    topics: dict[str, tuple[Topic, list[Span]]] = {}
    for one in asked:
        if one.start < 0:
            continue
        heading, sign, context = one.context.rpartition(_HEADING)
        start = one.start - len(heading) - len(sign)
        if context not in topics:
            spans = split_sentences(context, language)
            topics[context] = (Topic(language, [normal(context[a:b]) for a, b in spans]), spans)
        topic, spans = topics[context]
        holder = next((i for i, (a, b) in enumerate(spans) if a <= start < b), -1)
        topic.questions.append(Question(normal(one.question), holder))
    for topic, _ in topics.values():
        yield topic


def _opening(title: str, text: str, language: str) -> Topic | None:
    plain = _ENGLISH_NAME.sub("", text)[:_MAX_CHARS]
    sentences = [normal(plain[a:b]) for a, b in split_sentences(plain, language)]
    if sum(map(len, sentences)) < _MIN_CHARS:
        return None
    return Topic(language, sentences, [Question(normal(title), -1)])
