"""Which sentences answer: the order that readings and search give, and the probability of each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from index.search import ScoredPassage, SearchResult
from rag.reader import Reading, SentenceReading, chosen, compared

MakePassage = Callable[..., ScoredPassage]


def reading(passage: ScoredPassage, answerable: float, *scores: float) -> Reading:
    """A reading with these scores of the passage's sentences, each of which answers as a whole."""
    spans = passage.passage.sentences
    return Reading(
        answerable,
        answerable,
        tuple(
            SentenceReading(start, end, start, end, score) for (start, end), score in zip(spans, scores, strict=True)
        ),
    )


def result(*passages: ScoredPassage) -> SearchResult:
    return SearchResult("When was it built?", "en", passages, ())


def test_passages_and_sentences_come_in_the_order_of_the_reader(make_passage: MakePassage) -> None:
    first = make_passage("The tower is tall. It is white.", 1)
    second = make_passage("It stands on a rock. It was built in 1861.", 2)
    found, sentences = chosen(
        result(first, second), [reading(first, -4.0, -0.7, -0.7), reading(second, 3.0, -3.0, -0.05)]
    )
    assert [item.passage.pid for item in found.passages] == [2, 1]
    assert sentences[0].text == "It was built in 1861."
    assert found.relevance == found.passages[0].relevance > 0.5 > found.passages[1].relevance > 0
    assert [one.score for one in sentences] == sorted((one.score for one in sentences), reverse=True)


def test_of_passages_that_read_alike_the_one_that_the_search_prefers_comes_first(make_passage: MakePassage) -> None:
    low, high = make_passage("It was built in 1861.", 1, score=0.2), make_passage("It was built in 1861.", 2, score=0.4)
    found, _ = chosen(result(low, high), [reading(low, 1.0, 0.0), reading(high, 1.0, 0.0)])
    assert [item.passage.pid for item in found.passages] == [2, 1]


def test_passages_that_were_not_read_come_behind(make_passage: MakePassage) -> None:
    passages = [make_passage(f"Number {pid} was built.", pid) for pid in (1, 2, 3)]
    found, sentences = chosen(result(*passages), [reading(passages[0], -5.0, 0.0), reading(passages[1], 5.0, 0.0)])
    assert [item.passage.pid for item in found.passages] == [2, 1, 3]
    assert {one.passage.pid for one in sentences} == {1, 2}


def test_of_the_first_sentences_the_one_that_is_nearest_in_meaning_comes_first(make_passage: MakePassage) -> None:
    passages = [make_passage(f"Number {pid} was built.", pid, title=f"Title {pid}") for pid in range(1, 9)]
    readings = [reading(one, 1.0 - one.passage.pid / 100, -0.1) for one in passages]
    found, sentences = chosen(result(*passages), readings)
    asked: list[str] = []

    def near(texts: list[str]) -> list[float]:
        asked.extend(texts)
        return [0.8, 0.7, 0.9, 0.7, 0.7, 0.7]

    found, sentences = compared(found, sentences, near)
    assert asked[0] == "Title 1 Number 1 was built."
    assert [one.passage.pid for one in sentences] == [3, 1, 2, 4, 5, 6, 7, 8]  # the last two were not compared
    assert [item.passage.pid for item in found.passages] == [3, 1, 2, 4, 5, 6, 7, 8]
    assert [one.score for one in sentences] == sorted((one.score for one in sentences), reverse=True)


@pytest.mark.parametrize("text", ["When was the tower built?", "塔はいつ建てられましたか？"])
def test_a_question_is_no_answer(make_passage: MakePassage, text: str) -> None:
    passage = make_passage(f"{text} It was built in 1861, they say.")
    _, sentences = chosen(result(passage), [reading(passage, 0.0, -0.5, -1.5)])
    assert sentences[0].text == "It was built in 1861, they say."


def test_a_title_is_no_answer(make_passage: MakePassage) -> None:
    passage = make_passage(
        "The tower was built in 1861.\n\nIt was built by masons then.", title="The tower was built in 1861."
    )
    _, sentences = chosen(result(passage), [reading(passage, 0.0, -0.5, -1.5)])
    assert sentences[0].text == "It was built by masons then."
