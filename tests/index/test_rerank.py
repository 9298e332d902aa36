"""A second look by a cross-encoder: a tiny real one, saved and loaded, and a scripted one for the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from index.encoders.base import Encoder
from index.errors import CrossEncoderUnavailable
from index.ingest import ingest
from index.rerank import CrossEncoderReranker
from index.search import search
from index.settings import SearchSettings
from index.store.sqlite import EmbeddedBackend

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


def test_no_batch_is_begun_when_time_has_run_out(tiny: Path) -> None:
    reranker = CrossEncoderReranker(str(tiny), "cpu", batch_size=2, timeout_s=0.0)
    assert reranker.scores(QUESTION, PASSAGES) == pytest.approx(scores_by_hand(tiny, QUESTION, PASSAGES[:2]), abs=1e-5)


def test_a_model_that_is_not_there_or_is_none_is_said_to_be_so(
    tmp_path: Path, make_cross_encoder: Callable[..., Path]
) -> None:
    with pytest.raises(CrossEncoderUnavailable, match="hf download nobody/no-such-reranker"):
        CrossEncoderReranker("nobody/no-such-reranker")
    with pytest.raises(CrossEncoderUnavailable, match="check the model in"):
        CrossEncoderReranker(str(tmp_path))
    with pytest.raises(CrossEncoderUnavailable, match="gives 3 scores a pair"):
        CrossEncoderReranker(str(make_cross_encoder(tmp_path / "three", n_labels=3)))


class Scripted:
    """Gives each passage the score that its text is told to have; of the first `n` only."""

    name = "scripted"

    def __init__(self, scores: dict[str, float], n: int = 1_000) -> None:
        self._scores, self._n = scores, n
        self.seen: list[str] = []

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        self.seen = list(passages)
        return [self._scores.get(passage.split()[0], 0.0) for passage in passages[: self._n]]


ENGLISH = [
    "alpha: the lighthouse was opened in 1861.",
    "bravo: a keeper lived beside the lamp with his family.",
    "charlie: ships from the north steer by its light.",
    "delta: the tower is built of grey stone and forty metres high.",
    "echo: a storm of 1904 broke the windows of the gallery.",
    "foxtrot: visitors climb two hundred steps on Sundays.",
    "golf: electric lamps took the place of oil.",
    "hotel: the museum next door shows old lenses.",
]
SETTINGS = SearchSettings(n_reranked=6, reserved_share=0.0)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> EmbeddedBackend:
    folder = tmp_path_factory.mktemp("reranked")
    (folder / "articles").mkdir()
    for text in ENGLISH:
        (folder / "articles" / f"{text[:3]}.txt").write_text(text, "utf-8")
    (folder / "articles" / "ko.txt").write_text("등대 이야기: 섬의 등대는 1861년에 문을 열었다.", "utf-8")
    ingest(folder / "index", [str(folder / "articles")], encoder)
    return EmbeddedBackend(folder / "index")


def test_the_reranker_has_the_last_word_on_the_first_passages(backend: EmbeddedBackend, encoder: Encoder) -> None:
    with backend.snapshot() as snapshot:
        plain = search(snapshot, encoder, QUESTION, 9, SETTINGS).passages
        settings = replace(SETTINGS, n_reranked=9)
        wanted = {item.passage.text.split()[0]: float(i) for i, item in enumerate(plain)}
        reranker = Scripted(wanted)
        found = search(snapshot, encoder, QUESTION, 9, settings, reranker=reranker)
    assert reranker.seen == [item.passage.text for item in plain]
    assert [item.passage.pid for item in found.passages] == [item.passage.pid for item in reversed(plain)]
    assert [item.reranked for item in found.passages] == [float(i) for i in reversed(range(9))]
    assert [item.reranked for item in plain] == [None] * 9
    assert found.warnings == ()


def test_it_looks_further_than_what_is_shown(backend: EmbeddedBackend, encoder: Encoder) -> None:
    with backend.snapshot() as snapshot:
        plain = search(snapshot, encoder, QUESTION, 6, SETTINGS).passages
        last = plain[-1].passage
        found = search(snapshot, encoder, QUESTION, 1, SETTINGS, reranker=Scripted({last.text.split()[0]: 1.0}))
    assert [item.passage.pid for item in found.passages] == [last.pid]


def test_passages_that_time_did_not_allow_come_behind_and_are_told(backend: EmbeddedBackend, encoder: Encoder) -> None:
    with backend.snapshot() as snapshot:
        plain = search(snapshot, encoder, QUESTION, 6, SETTINGS).passages
        second = plain[1].passage.text.split()[0]
        found = search(snapshot, encoder, QUESTION, 6, SETTINGS, reranker=Scripted({second: 1.0}, n=2))
    order = [item.passage.pid for item in plain]
    assert [item.passage.pid for item in found.passages] == [order[1], order[0], *order[2:]]
    assert found.warnings == ("time ran out: scripted looked at 2 of 6 passages",)


def test_other_languages_keep_their_places(backend: EmbeddedBackend, encoder: Encoder) -> None:
    # It puts the Korean passage last of nine; two of five places are for other languages.
    settings = replace(SETTINGS, n_reranked=9, reserved_share=0.4)
    with backend.snapshot() as snapshot:
        words = [text.split()[0] for text in ENGLISH]
        found = search(snapshot, encoder, QUESTION, 5, settings, reranker=Scripted(dict.fromkeys(words, 1.0)))
    assert [item.passage.language for item in found.passages] == ["en"] * 4 + ["ko"]
