"""The training of the embedded encoder, on a small made-up world."""

from __future__ import annotations

import gzip
import json
import lzma
import math
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from index.encoders.static import StaticEncoder
from index.errors import ReadError
from index.text.hanzi import fold_traditional
from index.text.language import detect_language
from index.training import __main__ as command
from index.training import corpus, vocabulary
from index.training.corpus import Corpus, Ragged
from index.training.features import feature_matrix
from index.training.overlap import evaluation_texts, holds_a_run, runs_of
from index.training.pairs import SOURCES, Pair, fault, normal
from index.training.passages import Question, read_topics
from index.training.train import Recipe, Table, contrastive, contrastive_across, train

torch.set_num_threads(1)  # small models are faster so

# --- a world of 200 things with a word for each in four languages --------------------------------------------

_N_THINGS = 200
PASSAGE_SETS = ("arcd-ar", "cmrc2018", "heb-qa", "iapp-wiki-th", "jaquad-dev", "jsquad", "pquad-fa")


def _words(seed: int, letters: str, n_letters: int) -> list[str]:
    generator = random.Random(seed)
    words: dict[str, None] = {}
    while len(words) < _N_THINGS:
        words["".join(generator.choices(letters, k=n_letters))] = None
    return list(words)


WORDS = {
    "en": _words(1, "abcdefghiklmnoprstuw", 6),
    "de": _words(2, "abdefghiklmnoprstuwz", 7),
    "ko": _words(3, "가나다라마바사아자차카타파하고노도로모보소오조", 3),
    "zh": _words(4, "山水火木土日月田人口大小中天地门马国学书车东", 2),
}


def sentence(things: list[int], language: str) -> str:
    joint = "" if language == "zh" else " "
    return joint.join(WORDS[language][thing] for thing in things) + ("。" if language == "zh" else ".")


def made_up_sentences(n: int, seed: int) -> list[list[int]]:
    generator = random.Random(seed)
    return [generator.sample(range(_N_THINGS), generator.randint(4, 8)) for _ in range(n)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of English and German, Korean and Chinese, and the passages that training expects."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "parallel").mkdir()
    for language in ("de", "ko", "zh"):
        rows = [("tatoeba", sentence(s, "en"), sentence(s, language)) for s in made_up_sentences(1_500, 0)]
        rows += [("wiktionary-en", *pair) for pair in zip(WORDS["en"], WORDS[language], strict=True)]
        rows += [("wikidata-titles", f"{a} {b}", f"{c} {d}") for a, b, c, d in _names(language)]
        name = "zh-Hans" if language == "zh" else language
        text = "".join("\t".join(row) + "\n" for row in rows)
        (folder / "parallel" / f"{name}.tsv.xz").write_bytes(lzma.compress(text.encode()))
    for name in PASSAGE_SETS:
        (folder / "qp" / name).mkdir(parents=True)
    paragraph = "".join(sentence(s, "zh") for s in made_up_sentences(4, 9))
    answer = {"answer_start": 30, "text": paragraph[30:34]}
    asked = {"question": sentence(made_up_sentences(4, 9)[2][:3], "zh"), "answers": [answer]}
    squad = {"data": [{"title": "t", "paragraphs": [{"context": paragraph, "qas": [asked]}]}]}
    (folder / "qp" / "cmrc2018" / "a.json").write_text(json.dumps(squad), "utf-8")
    (folder / "qp" / "wikipedia-openings").mkdir()
    openings = {
        WORDS["de"][i]: " ".join(sentence(s, "de") for s in made_up_sentences(3, 50 + i))
        + f" {WORDS['de'][i]} (in English: {WORDS['en'][i]}) {WORDS['de'][i + 1]} (in English: {WORDS['en'][i + 1]})."
        for i in range(30)
    }
    with gzip.open(folder / "qp" / "wikipedia-openings" / "head_articles_de.json.gz", "wt") as file:
        json.dump(openings, file)
    return folder


def _names(language: str) -> list[tuple[str, str, str, str]]:
    generator = random.Random(7)
    drawn = [generator.sample(range(_N_THINGS), 2) for _ in range(200)]
    return [(WORDS["en"][a], WORDS["en"][b], WORDS[language][a], WORDS[language][b]) for a, b in drawn]


RECIPE = Recipe(pieces=1_000, steps=160, pairs=128, dim=32)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `out` (the encoder) and `work`."""
    folder = tmp_path_factory.mktemp("trained")
    command.run(data, None, folder / "out", folder / "work", RECIPE, workers=1)
    return folder


def test_what_is_trained_finds_translations_it_has_not_seen(trained: Path) -> None:
    encoder = StaticEncoder(trained / "out", "trained")
    unseen = made_up_sentences(100, 1234)
    for one, other in (("en", "ko"), ("ko", "zh"), ("de", "zh")):
        left = encoder.encode_passages([sentence(s, one) for s in unseen])
        right = encoder.encode_passages([sentence(s, other) for s in unseen])
        # By chance it would be 0.01.
        assert ((left @ right.T).argmax(axis=1) == np.arange(100)).mean() > 0.6, (one, other)
    assert encoder.languages == {"de", "en", "ko", "zh"}
    traditional = "門馬國學書車東"
    one, other = encoder.encode_passages([traditional, fold_traditional(traditional)])
    assert one @ other == pytest.approx(1, abs=1e-6)


def test_what_is_written_reads_the_same_in_model2vec_and_in_sentence_transformers(trained: Path) -> None:
    texts = [sentence(made_up_sentences(3, 5)[i], language) for i, language in enumerate(("en", "ko", "zh"))]
    texts.append("山國學門")
    ours = StaticEncoder(trained / "out", "trained").encode_passages(texts)
    assert np.abs(StaticModel.from_pretrained(trained / "out").encode(texts, max_length=None) - ours).max() < 1e-5
    theirs = SentenceTransformer(str(trained / "out"), device="cpu").encode(texts, normalize_embeddings=True)
    assert np.abs(theirs - ours).max() < 1e-5


def _loaded(trained: Path) -> tuple[Corpus, Ragged, Any]:
    work = trained / "work"
    tokenizer = Tokenizer.from_file(str(work / "pieces.json"))
    names = [piece for piece, _ in json.loads(tokenizer.to_str())["model"]["vocab"]]
    return corpus.load(work), command._tokens(work, tokenizer), feature_matrix(names)


def test_a_training_that_is_stopped_goes_on_as_if_it_had_not_been(trained: Path, tmp_path: Path) -> None:
    recipe = Recipe(dim=16, steps=12, pairs=32, topics=16, warmup=5)
    data_set, tokens, features = _loaded(trained)
    arguments = (data_set, tokens, features, recipe)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole = train(*arguments, tmp_path / "one", "cpu", lambda line: None)

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # after the checkpoint of step 10, before that of step 12
        train(*arguments, tmp_path / "two", "cpu", stop, checkpoint_every=5)
    assert torch.load(tmp_path / "two" / "checkpoint.pt")["n_steps"] == 10
    resumed = train(*arguments, tmp_path / "two", "cpu", lambda line: None)
    assert np.abs(resumed - whole).max() < 1e-5
    other = replace(recipe, seed=2)
    fresh = train(*arguments[:3], other, tmp_path / "two", "cpu", lambda line: None)
    assert np.abs(fresh - whole).max() > 1e-2  # a checkpoint of another recipe is not used


# --- pairs --------------------------------------------------------------------------------------------------

_ENGLISH = "The rainforest contains several species that can pose a hazard to anyone who walks there alone."
_KOREAN = "열대 우림에는 혼자 걷는 사람에게 위험할 수 있는 여러 종이 살고 있다고 알려져 있습니다."


@pytest.mark.parametrize(
    ("source", "english", "other", "language", "expected"),
    [
        ("tatoeba", "The cat sleeps.", "고양이가 잔다.", "ko", ""),
        ("tatoeba", "", "고양이가 잔다.", "ko", "empty"),
        ("tatoeba", "The cat. " * 80, "고양이.", "ko", "long"),
        ("tatoeba", "Computer", "computer", "de", "same text"),
        ("tatoeba", "a = b[1]", "가 = [1] {2} (3);", "ko", "few letters"),
        ("tatoeba", "The cat sleeps.", "Die Katze schläft.", "ko", "other script"),
        ("tatoeba", "Yes.", "Das ist ein sehr langer Satz, der mit dem anderen nichts zu tun hat.", "de", "lengths"),
        ("wiktionary-en", "yes", "das ist ein langer Satz zu einem kurzen Wort hier", "de", ""),
        ("tatoeba", _ENGLISH, _ENGLISH + "!", "de", "other language"),
    ],
)  # fmt: skip
def test_a_pair_is_dropped_for_a_reason(source: str, english: str, other: str, language: str, expected: str) -> None:
    assert fault(Pair(source, english, other), language, detect_language) == expected
    assert not {"mkqa", "ntrex", "flores101-devtest", "gpl/freedict"} & set(SOURCES)  # for evaluation, or copyleft


# --- passages -----------------------------------------------------------------------------------------------


def test_english_names_are_taken_out_of_an_opening(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="has no arcd-ar"):
        list(read_topics(tmp_path))
    for name in (*PASSAGE_SETS, "wikipedia-openings"):
        (tmp_path / name).mkdir()
    text = (
        "Lux ist die Einheit der Beleuchtungsstärke (in English: Illuminance) im Internationalen System. "
        "Der Name kommt aus dem Latein (in English: Latin) und von 1960 (in English: 1960) (siehe dort)."
    )
    with gzip.open(tmp_path / "wikipedia-openings" / "tail_articles_de.json.gz", "wt") as file:
        json.dump({"Lux (Einheit)": text, "Leer": "Kurz."}, file)
    context = "제목 [SEP] 첫 문장이다. 둘째 문장이 답이다. 끝."
    item = {"question": "답은?", "answers": [{"answer_start": context.index("둘째"), "text": "둘째"}]}
    (tmp_path / "jsquad" / "x.json").write_text(
        json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [item, {**item, "answers": []}]}]}]}), "utf-8"
    )
    answered, opening = read_topics(tmp_path)
    assert answered.sentences == ["첫 문장이다.", "둘째 문장이 답이다.", "끝."]
    assert answered.questions == [Question("답은?", 1)]
    assert "in English" not in " ".join(opening.sentences)
    assert opening.sentences[1] == "Der Name kommt aus dem Latein und von 1960 (siehe dort)."
    assert opening.questions == [Question("Lux (Einheit)", -1)]


# --- text shared with evaluation sets -----------------------------------------------------------------------


def test_a_text_that_shares_a_run_of_letters_with_evaluation_text_is_found() -> None:
    shared = [
        _ENGLISH,
        "It is said: THE RAINFOREST, contains several (species) that can pose a hazard!",
        "The rainforest contains several species",  # 33 letters, a run of 32 among them, begun at 0
        "문서: " + _KOREAN[3:30],
    ]
    own = [
        "Several species contain a hazard that can pose in the rainforest.",
        "열대 우림에는 여러 종이 있다.",
        "雨林",
        "",
    ]
    found = holds_a_run([*shared, *own], runs_of([_ENGLISH, _KOREAN, "雨林"]))
    assert found.tolist() == [True] * len(shared) + [False] * len(own)


def test_evaluation_text_is_read_from_every_format_of_the_sets(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_text(json.dumps({"data": [{"context": "one", "n": 3}]}), "utf-8")
    (tmp_path / "a" / "y.jsonl.xz").write_bytes(lzma.compress(b'{"q": "two"}\n\n["three"]\n'))
    (tmp_path / "z.tsv.gz").write_bytes(gzip.compress("네\tfive\n".encode()))
    (tmp_path / "NOTICE.txt").write_text("six", "utf-8")
    assert sorted(evaluation_texts(tmp_path)) == sorted(["one", "two", "three", "네", "five"])
    with pytest.raises(ReadError, match="no evaluation text"):
        list(evaluation_texts(tmp_path / "a" / "nothing"))


def test_what_evaluation_sets_hold_is_left_out_of_training(data: Path, tmp_path: Path) -> None:
    sentences = [sentence(s, "en") for s in made_up_sentences(1_500, 0)]
    (tmp_path / "sets").mkdir()
    wanted = [text for text in sentences if len(text.replace(" ", "")) > 36][:50]
    opening = " ".join(sentence(s, "de") for s in made_up_sentences(3, 50))
    (tmp_path / "sets" / "x.json").write_text(json.dumps([*wanted, opening]), "utf-8")
    report = corpus.build(data, tmp_path / "work", 1, tmp_path / "sets")
    texts = set(corpus.read_texts(tmp_path / "work"))
    assert not texts & {normal(text) for text in wanted}
    assert len(texts & {normal(text) for text in sentences}) > 1_000
    assert report[corpus.SHARED] > 90  # of 3 * 50; others were dropped before, for their lengths
    whole = corpus.build(data, tmp_path / "all", 1)
    assert corpus.SHARED not in whole
    assert whole["passages"] == report["passages"] + 1


# --- the table and the loss ---------------------------------------------------------------------------------


def test_the_losses_are_those_of_a_loop() -> None:
    vectors = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    keys = torch.tensor([0, 1, 1, 0, 1, 1])  # the second and the third pair are not told apart
    unit = [[float(x) for x in row / row.norm()] for row in vectors]

    def loss(row: int, partner: int, others: Iterable[int]) -> float:
        def power(i: int) -> float:
            return math.exp(10 * sum(a * b for a, b in zip(unit[row], unit[i], strict=True)))

        apart = [i for i in others if i == partner or keys[i] != keys[row]]
        return -math.log(power(partner) / sum(map(power, apart)))

    pairs = [(i, (i + 3) % 6) for i in range(6)]
    every = [loss(row, partner, set(range(6)) - {row}) for row, partner in pairs]
    across = [loss(row, partner, range(3, 6) if row < 3 else range(3)) for row, partner in pairs]
    assert float(contrastive(vectors, keys, 10.0)) == pytest.approx(sum(every) / 6)
    assert float(contrastive_across(vectors, keys, 10.0)) == pytest.approx(sum(across) / 6)


def test_a_text_is_the_sum_of_its_pieces_and_a_step_changes_their_rows_alone() -> None:
    features = feature_matrix(["▁berlin", "▁berliner", "▁x", "수도"])
    table = Table(features, 8, seed=0, device="cpu")
    start = table.rows.weight.detach().clone()
    texts = Ragged.of([[0, 1], [2, 2], [0]])
    dense = torch.from_numpy(features.toarray())
    counts = torch.tensor([[1.0, 1, 0, 0], [0, 0, 2, 0], [1, 0, 0, 0]])
    assert torch.allclose(table.vectors(texts), counts @ dense @ start, atol=1e-5)
    table.step(table.vectors(texts).square().sum(), 0.1)
    changed = (table.rows.weight.detach() != start).any(dim=1)
    assert changed.tolist() == ((counts @ dense).sum(dim=0) > 0).tolist()
    assert torch.allclose(torch.from_numpy(table.piece_vectors()), dense @ table.rows.weight.detach(), atol=1e-5)


# --- vocabulary and export ----------------------------------------------------------------------------------


def test_traditional_forms_share_the_row_of_their_piece() -> None:
    texts = ["国家 发展 中国 学", "国 家 发 展 中 学"] * 50
    tokenizer = vocabulary.train(texts, 14, 1)
    extended, rows = vocabulary.with_traditional(tokenizer)
    one = tokenizer.encode("国家发展", add_special_tokens=False).ids
    for text in ("國家發展", "国家发展"):
        assert [rows[i] for i in extended.encode(text, add_special_tokens=False).ids] == one
    assert rows[: tokenizer.get_vocab_size()] == list(range(tokenizer.get_vocab_size()))
