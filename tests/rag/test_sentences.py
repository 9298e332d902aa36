"""Which sentences answer: their features, and the order that the weights give."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from index.encoders.base import Encoder
from index.search import ScoredPassage, SearchResult
from rag.answerers.sentences import WEIGHTS, ranked
from rag.testing import HashEncoder

MakePassage = Callable[..., ScoredPassage]


def result(question: str, *passages: ScoredPassage) -> SearchResult:
    return SearchResult(question, "en", passages, 0.9, ())


def test_the_score_is_the_weighted_sum_of_features_by_hand(make_passage: MakePassage) -> None:
    question = "When was the tower built?"
    first = make_passage("The tower is tall. It was built in 1861.", 1, score=0.5)
    second = make_passage("Nothing at all here.", 2, score=0.3)
    encoder = HashEncoder(dim=512)
    query = encoder.encode_queries([question])[0]

    def cosine(text: str) -> float:
        return float(encoder.encode_passages([text])[0] @ query)

    one, two, three = cosine("The tower is tall."), cosine("It was built in 1861."), cosine("Nothing at all here.")
    both = cosine("The tower is tall. It was built in 1861.")
    # An encoder without a word by word score: the cosine replaces it. Of "tower" and "built" (the others are function
    # words) the first two have one each.
    features = {
        "The tower is tall.": (one, one, one, one - max(one, two), 0.5, 1, 0, 1, math.log(18)),
        "It was built in 1861.": (two, two, both, two - max(one, two), 0.5, 1, 0, 0, math.log(21)),
        "Nothing at all here.": (three, three, three, 0, 0, 0.5, -0.2, 1, math.log(20)),
    }
    found = ranked(result(question, first, second), encoder)
    assert {item.text for item in found} == set(features)
    for item in found:
        expected = sum(a * b for a, b in zip(WEIGHTS.values(), features[item.text], strict=True))
        assert item.score == pytest.approx(expected, abs=1e-5)
    assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)


def test_headings_and_questions_come_last(make_passage: MakePassage, encoder: Encoder) -> None:
    text = "When was the lighthouse opened? The lighthouse was opened in 1861."
    found = result("When was the lighthouse opened?", make_passage(text, 1))
    assert ranked(found, encoder)[0].start == text.index("The lighthouse")
    titled = result(
        "When was it opened?",
        make_passage("The old lighthouse. It was opened in 1861.", 1, title="The old lighthouse."),
    )
    assert ranked(titled, encoder)[0].start == len("The old lighthouse. ")
