"""Questions of XQuAD with the place of their answers, and what the extractive answerer makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval.errors import SetMissing
from eval.retrieval.collections import Collection
from eval.retrieval.measure import indexed
from index.encoders.base import Encoder
from index.search import SearchResult, search
from rag.answerers.base import Task
from rag.answerers.extractive import ExtractiveAnswerer
from rag.answerers.sentences import Sentence, sentences
from rag.events import Done


@dataclass(frozen=True, slots=True)
class Placed:
    """A question, and where its answer stands: `document` and [start, end) in it."""

    text: str
    document: str
    start: int
    end: int

    def stands_in(self, document: str, start: int, end: int) -> bool:
        """Whether the answer lies within a span."""
        return document == self.document and start <= self.start and self.end <= end


@dataclass(frozen=True, slots=True)
class Weighed:
    """The sentences of the passages found for a question, and which of them hold its answer."""

    question: int  # its number: the same in every language
    asked: str
    held: str  # languages
    sentences: tuple[Sentence, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Cited:
    """What was cited for a question: whether the first citation, and any, holds the answer; how many there were."""

    asked: str
    held: str
    first: bool
    any: bool
    n: int


def placed_questions(folder: Path) -> tuple[dict[str, Collection], dict[str, list[Placed]]]:
    """XQuAD by language: its passages, and its questions with the place of their answers.

    Raises:
        SetMissing: There is no such file.
    """
    paths = sorted(folder.glob("xquad.*.json"))
    if not paths:
        raise SetMissing(f"{folder} has no xquad.*.json; expected: XQuAD; to mend: give its folder")
    collections: dict[str, Collection] = {}
    questions: dict[str, list[Placed]] = {}
    for path in paths:
        language = path.name.split(".")[1]
        collection, own = Collection(), []
        for article in json.loads(path.read_text("utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                name = f"{language}/{len(collection.documents)}"
                collection.documents[name] = (language, paragraph["context"])
                for item in paragraph["qas"]:
                    answer = item["answers"][0]
                    start = int(answer["answer_start"])
                    own.append(Placed(item["question"], name, start, start + len(answer["text"])))
        collections[language], questions[language] = collection, own
    return collections, questions


def weighed(encoder: Encoder, folder: Path, every: int, *, own: bool) -> Iterator[Weighed]:
    """Every `every`-th question, asked in the passages' own language, or in each of the others."""
    for asked, held, number, place, found in _searched(encoder, folder, every, own):
        weighed = tuple(sentences(found, encoder))
        right = tuple(place.stands_in(one.scored.passage.source, one.start, one.end) for one in weighed)
        yield Weighed(number, asked, held, weighed, right)


def cited(encoder: Encoder, folder: Path, every: int, *, own: bool) -> Iterator[Cited]:
    """What the answerer cites for every `every`-th question, however little the passages bear on it."""
    for asked, held, _, place, found in _searched(encoder, folder, every, own):
        task = Task(found.question, found.language, found, encoder)
        (done,) = (event for event in ExtractiveAnswerer().answer(task) if isinstance(event, Done))
        hits = [place.stands_in(one.source, one.start, one.end) for one in done.answer.citations]
        yield Cited(asked, held, bool(hits) and hits[0], any(hits), len(hits))


def _searched(
    encoder: Encoder, folder: Path, every: int, own: bool
) -> Iterator[tuple[str, str, int, Placed, SearchResult]]:
    """(language asked in, language of the passages, number of the question, its place, what was found)."""
    collections, questions = placed_questions(folder)
    for held, collection in collections.items():
        with indexed(collection.documents, encoder) as snapshot:
            for asked in _asked(collections, held, own):
                for number in _numbers(list(collections), held, asked, len(questions[held]), every):
                    found = search(snapshot, encoder, questions[asked][number].text)
                    yield asked, held, number, questions[held][number], found


def _numbers(languages: list[str], held: str, asked: str, n_questions: int, every: int) -> range:
    """Every `every`-th question, beginning with another one for each pair of languages."""
    pair = len(languages) * languages.index(held) + languages.index(asked)
    return range(5 * pair % every, n_questions, every)


def _asked(collections: dict[str, Collection], held: str, own: bool) -> list[str]:
    return [held] if own else [language for language in collections if language != held]
