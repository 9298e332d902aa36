"""Reranking by a cross-encoder: a tiny real one, saved and loaded, and a scripted one for the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from index.errors import CrossEncoderUnavailable
from index.search import ScoredPassage, SearchResult
from rag.reader.cross_encoders import CrossEncoderReranker, reranked

QUESTION = "when was the lighthouse opened?"
PASSAGES = [
    "the lighthouse was opened in 1861",
    "kimchi is made of cabbage",
    "a tram",
    "the island has a lighthouse",
    "",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, make_cross_encoder: Callable[..., Path]) -> Path:
    return make_cross_encoder(tmp_path_factory.mktemp("rerank") / "tiny")


def scores_by_hand(folder: Path, question: str, passages: Sequence[str]) -> list[float]:
    """One pair at a time, by transformers alone: the sigmoid of the one logit."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    with torch.no_grad():
        for passage in passages:
            logits = model(**tokenizer(question, passage, truncation=True, return_tensors="pt")).logits
            found.append(float(torch.sigmoid(logits)[0, 0]))
    return found


def test_scores_are_the_models_own_whatever_the_batch(tiny: Path) -> None:
    expected = scores_by_hand(tiny, QUESTION, PASSAGES)
    assert len({round(score, 4) for score in expected}) > 2  # an untrained model, but no constant
    for batch_size in (1, 2, 8):
        reranker = CrossEncoderReranker(str(tiny), "cpu", batch_size=batch_size)
        assert reranker.scores(QUESTION, PASSAGES) == pytest.approx(expected, abs=1e-5)
    assert reranker.scores(QUESTION, []) == []
    assert reranker.name == str(tiny)


def test_no_batch_begins_when_time_has_run_out(tiny: Path) -> None:
    reranker = CrossEncoderReranker(str(tiny), "cpu", batch_size=2, timeout_s=0.0)
    assert reranker.scores(QUESTION, PASSAGES) == pytest.approx(scores_by_hand(tiny, QUESTION, PASSAGES[:2]), abs=1e-5)


def test_a_model_that_is_missing_or_is_no_reranker_is_reported(
    tmp_path: Path, make_cross_encoder: Callable[..., Path]
) -> None:
    with pytest.raises(CrossEncoderUnavailable, match="hf download nobody/no-such-reranker"):
        CrossEncoderReranker("nobody/no-such-reranker")
    with pytest.raises(CrossEncoderUnavailable, match="check the model in"):
        CrossEncoderReranker(str(tmp_path))
    with pytest.raises(CrossEncoderUnavailable, match="gives 3 scores a pair"):
        CrossEncoderReranker(str(make_cross_encoder(tmp_path / "three", n_labels=3)))


class Scripted:
    """Gives each passage the score of its first word; of the first `n` passages only."""

    name = "scripted"

    def __init__(self, scores: dict[str, float], n: int = 1_000) -> None:
        self._scores, self._n = scores, n

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        return [self._scores.get(passage.split()[0], 0.0) for passage in passages[: self._n]]


@pytest.fixture
def found(make_passage: Callable[..., ScoredPassage]) -> SearchResult:
    passages = tuple(make_passage(f"{word} is a word", pid=pid) for pid, word in enumerate("abcdef"))
    return SearchResult(QUESTION, "en", passages, ("a warning",))


@pytest.mark.parametrize(
    ("scores", "n_scored", "k", "order"),
    [
        ({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5, "f": 0.6}, 6, 6, "fedcba"),
        ({"f": 1.0}, 6, 2, "fa"),  # equal scores stay in their order
        ({"b": 1.0}, 2, 6, "bacdef"),  # what time did not allow comes behind
    ],
)
def test_the_reranker_orders_what_it_has_read(
    scores: dict[str, float], n_scored: int, k: int, order: str, found: SearchResult
) -> None:
    result = reranked(Scripted(scores, n_scored), found, k)
    assert [item.passage.text[0] for item in result.passages] == list(order)
    assert [item.reranked for item in result.passages] == [
        scores.get(word, 0.0) if "abcdef".index(word) < n_scored else None for word in order
    ]
    ran_out = () if n_scored == 6 else ("time ran out: scripted read 2 of 6 passages",)
    assert result.warnings == ("a warning", *ran_out)
