"""The reader in the package: the words that it marks, the files that it is made of, and the model behind them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from index.encoders.transformer import SHARED, WORDS, TokenVectors
from index.search import ScoredPassage
from rag.reader import Reader, embedded_reader

MakePassage = Callable[..., ScoredPassage]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return embedded_reader()


def test_the_words_that_answer_stand_in_the_sentence_that_holds_them(make_passage: MakePassage, reader: Reader) -> None:
    text = "The lighthouse stands on a rock.  It was built in 1861 by masons from the next town. Nobody lives there."
    item = make_passage(text, start=100)
    (found,) = reader.read("When was the lighthouse built?", [item.passage])
    assert [(one.start, one.end) for one in found.sentences] == list(item.passage.sentences)
    for one in found.sentences:
        assert one.start <= one.answer_start < one.answer_end <= one.end
        assert one.score <= 0
    # The sentences share the probability; the overlap of a piece with two of them counts twice.
    assert sum(np.exp(one.score) for one in found.sentences) == pytest.approx(1.0, abs=0.2)


def test_a_passage_is_read_alike_alone_and_among_others(make_passage: MakePassage, reader: Reader) -> None:
    passages = [make_passage(f"Number {n} opened in 19{n}0. " * n, n).passage for n in range(1, 8)]
    together = reader.read("When did it open?", passages)
    for passage, one in zip(passages, together, strict=True):
        (alone,) = reader.read("When did it open?", [passage])
        assert one.answerable == pytest.approx(alone.answerable, abs=1.0)  # 8 bits: rounding depends on the batch


def test_what_is_beyond_the_last_token_is_not_read(make_passage: MakePassage, reader: Reader) -> None:
    item = make_passage("A word and another word stand here in a row. " * 100)
    (found,) = reader.read("Which word?", [item.passage])
    assert 10 < len(found.sentences) < len(item.passage.sentences) == 100


def test_a_judgement_is_three_probabilities(make_passage: MakePassage, reader: Reader) -> None:
    passage = make_passage("The bridge opened in 1932.").passage
    found = reader.judge([("The bridge opened in 1932.", passage), ("Cats sleep.", passage)])
    assert all(sum(one) == pytest.approx(1.0) and min(one) >= 0 for one in found)


def test_the_word_vectors_are_those_of_their_blocks() -> None:
    words = np.load(SHARED / WORDS)
    (block,) = words[[1234]]
    expected = np.concatenate(
        [
            float(one["scale"]) * (np.array([n & 15 for n in one["nibbles"]] + [n >> 4 for n in one["nibbles"]]) - 8.0)
            for one in block
        ]
    )
    assert np.allclose(TokenVectors()(np.array([[1234]]))[0, 0], expected)
