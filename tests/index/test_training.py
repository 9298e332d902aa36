"""The training of the embedded encoder, on a small made-up world."""

from __future__ import annotations

import gzip
import json
import lzma
import random
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model2vec import StaticModel
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from index.encoders.static import StaticEncoder
from index.errors import ReadError
from index.text.hanzi import fold_traditional
from index.training import __main__ as command
from index.training import corpus, export, vocabulary
from index.training.batches import KIND_SHARES, PairSampler, TopicSampler, _weights
from index.training.corpus import SOURCE_NAMES, Corpus, Ragged
from index.training.features import feature_matrix, sound_of
from index.training.filters import fault, normal, sound_pairs
from index.training.frames import Frames, find_frames
from index.training.loss import contrastive, contrastive_across
from index.training.model import Table, touched
from index.training.overlap import XQUAD_ARTICLES, Overlap, evaluation_texts
from index.training.passages import Question, read_topics
from index.training.sources import SOURCES, Kind, Pair
from index.training.train import Recipe, train

# --- a world of 200 things with a word for each in four languages --------------------------------------------

_N_THINGS = 200


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
    for name in ("arcd-ar", "cmrc2018", "heb-qa", "iapp-wiki-th", "jaquad-dev", "jsquad", "pquad-fa"):
        (folder / "qp" / name).mkdir(parents=True)
    paragraph = "".join(sentence(s, "zh") for s in made_up_sentences(4, 9))
    asked = {"question": sentence(made_up_sentences(4, 9)[2][:3], "zh"), "answers": [{"answer_start": 30, "text": "x"}]}
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


ARGUMENTS = ["--pieces", "1000", "--steps", "160", "--pairs", "128", "--dim", "32", "--workers", "1"]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `out` (the encoder) and `work`, made by the command."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["--data", str(data), "--out", str(folder / "out"), "--work", str(folder / "work"), *ARGUMENTS]
    assert command.main(arguments) == 0
    return folder


def test_what_is_trained_finds_translations_it_has_not_seen(trained: Path) -> None:
    encoder = StaticEncoder(trained / "out", "trained")
    unseen = made_up_sentences(100, 1234)
    for one, other in (("en", "ko"), ("ko", "zh"), ("de", "zh")):
        left = encoder.encode_passages([sentence(s, one) for s in unseen])
        right = encoder.encode_passages([sentence(s, other) for s in unseen])
        # By chance it would be 0.01.
        assert ((left @ right.T).argmax(axis=1) == np.arange(100)).mean() > 0.8, (one, other)
    assert encoder.languages == {"de", "en", "ko", "zh"}


def test_what_is_written_reads_the_same_in_model2vec_and_in_sentence_transformers(trained: Path) -> None:
    texts = [sentence(made_up_sentences(3, 5)[i], language) for i, language in enumerate(("en", "ko", "zh"))]
    texts.append("山國學門")
    ours = StaticEncoder(trained / "out", "trained").encode_passages(texts)
    assert np.abs(StaticModel.from_pretrained(trained / "out").encode(texts, max_length=None) - ours).max() < 1e-5
    theirs = SentenceTransformer(str(trained / "out"), device="cpu").encode(texts, normalize_embeddings=True)
    assert np.abs(theirs - ours).max() < 1e-5


def test_traditional_text_has_the_vector_of_the_simplified(trained: Path) -> None:
    encoder = StaticEncoder(trained / "out", "trained")
    traditional = "門馬國學書車東"
    assert fold_traditional(traditional) == "门马国学书车东"
    one, other = encoder.encode_passages([traditional, fold_traditional(traditional)])
    assert one @ other == pytest.approx(1, abs=1e-6)


def test_a_second_run_trains_nothing_and_writes_the_same(
    trained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["--data", str(data), "--out", str(tmp_path / "out"), "--work", str(trained / "work"), *ARGUMENTS]
    assert command.main(again) == 0
    assert "training" not in capsys.readouterr().out
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "out" / name).read_bytes() == (trained / "out" / name).read_bytes()


def test_a_work_folder_of_other_settings_is_neither_reused_nor_overwritten(
    trained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (trained / "work").iterdir()}
    other = ["--data", str(data), "--out", str(tmp_path), "--work", str(trained / "work"), *ARGUMENTS, "--dim", "16"]
    assert command.main(other) == 1
    said = capsys.readouterr().err
    assert "holds a run with dim 32" in said
    assert "expected: dim 16" in said
    assert {path.name: path.stat().st_mtime_ns for path in (trained / "work").iterdir()} == before


def test_a_stage_that_was_killed_while_it_wrote_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(path: Path, **arrays: Any) -> None:
        Path(path).write_bytes(b"half of a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", dies)
    with pytest.raises(KeyboardInterrupt):
        corpus.save_arrays(tmp_path / "corpus.npz", english=np.zeros(3))
    assert not (tmp_path / "corpus.npz").exists()


def test_missing_data_is_an_error_that_says_what_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "o"), "--work", str(tmp_path / "w")]
    assert command.main(arguments) == 1
    said = capsys.readouterr().err
    assert "no translation pairs" in said
    assert "--data" in said
    with pytest.raises(ReadError, match="has no arcd-ar"):
        list(read_topics(tmp_path))


def _loaded(trained: Path) -> tuple[Corpus, Ragged, Any]:
    work = command.Work(trained / "work")
    tokenizer = Tokenizer.from_file(str(work.pieces))
    names = [piece for piece, _ in json.loads(tokenizer.to_str())["model"]["vocab"]]
    with np.load(work.tokens) as stored:
        tokens = Ragged(stored["values"], stored["offsets"])
    return corpus.load(work.folder), tokens, feature_matrix(names)


def test_a_training_that_is_stopped_goes_on_as_if_it_had_not_been(trained: Path, tmp_path: Path) -> None:
    recipe = Recipe(dim=16, steps=60, pairs=32, topics=16, warmup=5)
    data_set, tokens, features = _loaded(trained)
    arguments = (data_set, tokens, no_frames(4), features, recipe)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole = train(*arguments, tmp_path / "one", "cpu", lambda line: None, checkpoint_every=25)

    def stop(line: str) -> None:
        if line.startswith("step 50"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # after the checkpoint of step 25, before that of step 50
        train(*arguments, tmp_path / "two", "cpu", stop, checkpoint_every=25)
    assert (tmp_path / "two" / "checkpoint.pt").is_file()
    lines: list[str] = []
    resumed = train(*arguments, tmp_path / "two", "cpu", lines.append, checkpoint_every=25)
    assert np.abs(resumed - whole).max() < 1e-5
    assert [line.split("  ")[0] for line in lines] == ["step 50/60", "step 50/60", "step 60/60", "step 60/60"]
    assert "held-out pairs find each other" in lines[-1]
    other = Recipe(dim=16, steps=60, pairs=32, topics=16, warmup=5, seed=2)
    fresh = train(*arguments[:4], other, tmp_path / "two", "cpu", lambda line: None)
    assert np.abs(fresh - whole).max() > 1e-2  # a checkpoint of another recipe is not gone on from


# --- pairs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "english", "other", "language", "expected"),
    [
        ("tatoeba", "The cat sleeps.", "고양이가 잔다.", "ko", ""),
        ("tatoeba", "", "고양이가 잔다.", "ko", "empty"),
        ("tatoeba", "The cat. " * 80, "고양이.", "ko", "long"),
        ("tatoeba", "Computer", "computer", "de", "same text"),
        ("tatoeba", "a = b[1]", "가 = [1] {2} (3);", "ko", "few letters"),
        ("tatoeba", "The cat sleeps.", "Die Katze schläft.", "ko", "other script"),
        ("wikidata-titles", "BBC News", "BBC 뉴스", "ko", ""),
        ("tatoeba", "Yes.", "Das ist ein sehr langer Satz, der mit dem anderen nichts zu tun hat.", "de", "lengths"),
        ("wiktionary-en", "yes", "das ist ein langer Satz zu einem kurzen Wort hier", "de", ""),
        ("tatoeba", "This sentence is long enough for its language to show, we think.",
         "This sentence is long enough for its language to show, we think!", "de", "other language"),
    ],
)  # fmt: skip
def test_a_pair_is_dropped_for_a_reason(source: str, english: str, other: str, language: str, expected: str) -> None:
    from index.text.language import detect_language

    assert fault(Pair(source, english, other), language, detect_language) == expected


def test_pairs_are_kept_once_and_boilerplate_not_without_end() -> None:
    pairs = [Pair("tatoeba", f"Text {i} here", "같은 글") for i in range(40)]
    pairs += [Pair("tatoeba", "Two  spaces", "둘 칸"), Pair("tatoeba", "Two spaces", "둘 칸 ")]
    dropped: Counter[str] = Counter()
    kept = list(sound_pairs(pairs, "ko", lambda text: "", dropped))
    assert dropped == {"boilerplate": 28, "double": 1}
    assert len(kept) == 13


def test_text_is_made_normal_in_one_way() -> None:
    assert normal(" 國\u3000語\tTe\u0301 ") == "国 语 Té"


def test_sources_of_evaluation_or_copyleft_text_are_not_trained_on() -> None:
    assert not {"mkqa", "ntrex", "flores101-devtest", "gpl/freedict"} & set(SOURCES)


# --- passages -----------------------------------------------------------------------------------------------


def test_english_names_are_taken_out_of_an_opening_and_kept_beside_it(tmp_path: Path) -> None:
    for name in ("arcd-ar", "cmrc2018", "heb-qa", "iapp-wiki-th", "jaquad-dev", "jsquad", "pquad-fa"):
        (tmp_path / name).mkdir()
    (tmp_path / "wikipedia-openings").mkdir()
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
    assert opening.names == ["Illuminance", "Latin"]
    assert "in English" not in " ".join(opening.sentences)
    assert opening.sentences[1] == "Der Name kommt aus dem Latein und von 1960 (siehe dort)."
    assert opening.questions == [Question("Lux (Einheit)", -1)]


# --- batches ------------------------------------------------------------------------------------------------


def test_kinds_and_languages_are_drawn_in_their_shares() -> None:
    n = 60_000
    generator = np.random.default_rng(0)
    source = generator.choice([SOURCE_NAMES.index(s) for s in ("tatoeba", "wikidata-titles", "wiktionary-en")], n)
    language = (generator.random(n) < 0.5).astype(np.uint8)
    nothing = Ragged.of([])
    made = Corpus(
        ["de", "ko"], np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int32), language, source.astype(np.uint8),
        np.zeros(0, np.uint8), np.zeros(0, np.int32), nothing, nothing, nothing,
    )  # fmt: skip
    weights = _weights(made)
    by_kind = Counter[Kind]()
    for s in np.unique(source):
        by_kind[SOURCES[SOURCE_NAMES[s]].kind] += float(weights[source == s].sum() / weights.sum())
    total = sum(KIND_SHARES[kind] for kind in by_kind)
    # Each language has 10,000 of each kind; a third of that share is taken off all alike.
    for kind, share in by_kind.items():
        expected = KIND_SHARES[kind] * np.sqrt(_total(made, kind) / 20_000)
        assert share == pytest.approx(expected / _norm(made), abs=0.02), (kind, total)


def _total(made: Corpus, kind: Kind) -> float:
    chosen = np.array([SOURCES[SOURCE_NAMES[s]].kind is kind for s in made.source])
    weight = np.array([SOURCES[SOURCE_NAMES[s]].weight for s in made.source])
    return float(min(20_000, (weight * chosen).sum() / 2))


def _norm(made: Corpus) -> float:
    kinds = {SOURCES[SOURCE_NAMES[s]].kind for s in made.source}
    return float(sum(KIND_SHARES[kind] * np.sqrt(_total(made, kind) / 20_000) for kind in kinds))


def test_a_pivot_pairs_two_translations_of_one_text(trained: Path) -> None:
    data_set, tokens, _ = _loaded(trained)
    sampler = PairSampler(data_set, tokens, np.zeros(len(data_set.english), bool))
    batch = sampler.draw(2_000, np.random.default_rng(0))
    assert batch.n_pairs == 2_000
    assert np.array_equal(batch.keys[:2_000], batch.keys[2_000:])
    english = {tuple(tokens[row]) for row in np.unique(data_set.english)}
    pivots = sum(tuple(batch.texts[i]) not in english for i in range(2_000))
    assert 300 < pivots < 1_200  # sentences and names have three translations each, headwords are never pivoted
    same = sampler.draw(2_000, np.random.default_rng(0))
    assert np.array_equal(batch.texts.values, same.texts.values)


def test_held_out_pairs_are_never_drawn(trained: Path) -> None:
    data_set, tokens, _ = _loaded(trained)
    held_out = data_set.english != data_set.english[0]
    batch = PairSampler(data_set, tokens, held_out).draw(50, np.random.default_rng(0))
    assert set(batch.keys.tolist()) == {int(data_set.english[0])}


def no_frames(n_languages: int) -> Frames:
    return Frames(Ragged.of([]), np.zeros(n_languages + 1, np.int64))


def test_a_passage_brings_another_of_its_article() -> None:
    def ragged(rows: list[list[int]]) -> Ragged:
        return Ragged.of(rows)

    questions = ragged([[0, -1, 0, -1]] * 6)
    articles = np.array([0, 1, 0, 2, 0, 1], np.int32)
    made = Corpus(
        ["de", "en"], np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.uint8),
        np.zeros(6, np.uint8), articles, ragged([[i + 1, i + 1] for i in range(6)]), questions, ragged([[]] * 6),
    )  # fmt: skip
    sampler = TopicSampler(made, ragged([[i] for i in range(7)]), no_frames(2))
    topics = np.array([3, 1, 0, 4] * 50)
    found = sampler._with_neighbours(topics, np.random.default_rng(0))
    assert [topic for topic in found if topic == 3] == [3] * 50  # alone in its article
    followers = {(int(a), int(b)) for a, b in pairwise(found) if articles[a] == articles[b] and a != b}
    assert {(1, 5), (0, 2), (0, 4), (4, 2), (4, 0)} <= followers
    assert sampler.draw(20, np.random.default_rng(0)).n_pairs == 20


def test_topics_give_queries_their_passages(trained: Path) -> None:
    data_set, tokens, _ = _loaded(trained)
    batch = TopicSampler(data_set, tokens, no_frames(4)).draw(200, np.random.default_rng(0))
    assert 100 < batch.n_pairs <= 200
    lengths = np.diff(batch.texts.offsets)
    assert lengths[: batch.n_pairs].mean() < lengths[batch.n_pairs :].mean()


def test_a_frame_is_what_questions_have_and_statements_have_not() -> None:
    # English texts 0 to 99 ask "who ... ?" of thing i, 100 to 199 state it; German ones follow at 200.
    who, mark, wer, blue = 500, 501, 502, 503
    english = [[who, i, mark] for i in range(100)] + [[i, blue] for i in range(100)]
    german = [[wer, 200 + i, mark] for i in range(100)] + [[200 + i, blue] for i in range(100)]
    tokens = Ragged.of([*english, *german, [who, mark]])
    ids = np.arange(200, dtype=np.int32)
    nothing = Ragged.of([])
    made = Corpus(
        ["de", "en", "ko"], ids, ids + 200, np.zeros(200, np.uint8),
        np.full(200, SOURCE_NAMES.index("tatoeba"), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.int32),
        nothing, nothing, nothing,
    )  # fmt: skip
    frames = find_frames(made, tokens, {mark})
    assert frames.first.tolist() == [0, 100, 200, 200]
    assert {tuple(frames.tokens[i]) for i in range(100)} == {(wer, mark)}
    assert {tuple(frames.tokens[i]) for i in range(100, 200)} == {(who, mark)}
    assert find_frames(made, tokens, {999}).first.tolist() == [0, 0, 0, 0]


def test_what_is_no_question_is_framed_as_one_in_its_own_language() -> None:
    # Topic 0 (de) has a title, topic 1 (en) two questions; frames are [90] and [91] in German, [92] in English.
    texts = Ragged.of([[i] for i in range(8)])
    made = Corpus(
        ["de", "en"], np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.uint8),
        np.array([0, 1], np.uint8), np.array([0, 1], np.int32), Ragged.of([[1, 1], [3, 3]]),
        Ragged.of([[0, -1], [2, -1, 4, -1]]), Ragged.of([[], []]),
    )  # fmt: skip
    frames = Frames(Ragged.of([[90], [91], [92]]), np.array([0, 2, 3], np.int64))
    batch = TopicSampler(made, texts, frames).draw(2_000, np.random.default_rng(0))
    asked = [(int(batch.keys[i]), batch.texts[i].tolist()) for i in range(batch.n_pairs)]
    german = [tokens for topic, tokens in asked if topic == 0]
    assert {tuple(tokens[1:]) for tokens in german} == {(), (90,), (91,)}
    assert sum(len(tokens) > 1 for tokens in german) / len(german) == pytest.approx(0.7, abs=0.05)
    assert {tuple(tokens) for topic, tokens in asked if topic == 1} == {(2,), (4,)}


def test_linked_names_come_in_a_language_that_has_most_of_them() -> None:
    # English names 0 to 3; German ones of 0, 1 and 2 are texts 4, 5, 6; Korean has only that of 0, text 7.
    names = SOURCE_NAMES.index("wikidata-titles")
    made = Corpus(
        ["de", "en", "ko"], np.array([0, 1, 2, 0], np.int32), np.array([4, 5, 6, 7], np.int32),
        np.array([0, 0, 0, 2], np.uint8), np.full(4, names, np.uint8), np.array([0], np.uint8),
        np.array([0], np.int32), Ragged.of([[8, 9]]), Ragged.of([[10, -1]]), Ragged.of([[0, 1, 2, 3]]),
    )  # fmt: skip
    batch = TopicSampler(made, Ragged.of([[i] for i in range(11)]), no_frames(3)).draw(3_000, np.random.default_rng(0))
    queries = {tuple(sorted(batch.texts[i].tolist())) for i in range(batch.n_pairs)}
    assert (4, 5, 6) in queries
    assert (0, 1, 2, 3) in queries
    assert not any(7 in query for query in queries)
    assert not any({0, 1, 2, 3} & set(query) and {4, 5, 6} & set(query) for query in queries)


# --- text shared with evaluation sets -----------------------------------------------------------------------

_ENGLISH = "The rainforest contains several species that can pose a hazard to anyone who walks there alone."
_KOREAN = "열대 우림에는 혼자 걷는 사람에게 위험할 수 있는 여러 종이 살고 있다고 알려져 있습니다."


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        (_ENGLISH, True),
        ("It is said: THE RAINFOREST, contains several (species) that can pose a hazard!", True),
        ("The rainforest contains several species", False),  # 33 letters, a run of 32 among them, begun at 0
        ("Several species contain a hazard that can pose in the rainforest.", False),
        ("문서: " + _KOREAN[3:30], True),
        ("열대 우림에는 여러 종이 있다.", False),
        ("雨林", False),
        ("", False),
    ],
)
def test_a_text_that_shares_a_run_of_letters_with_evaluation_text_is_found(text: str, shared: bool) -> None:
    found = Overlap.of([_ENGLISH, _KOREAN, "雨林"]).found_in(["", text, "Nothing of the kind is said in here at all."])
    expected = shared or text.startswith("The rainforest contains several species")
    assert found.tolist() == [False, expected, False]


def test_runs_are_found_wherever_they_begin_as_a_search_in_the_text_does() -> None:
    generator = random.Random(3)
    evaluation = ["".join(generator.choices("abcd", k=300)) for _ in range(4)]
    texts = []
    for _ in range(200):
        n_shared, source = generator.randint(20, 60), generator.choice(evaluation)
        start = generator.randint(0, 300 - n_shared)
        before, after = ("".join(generator.choices("efgh", k=generator.randint(0, 9))) for _ in range(2))
        texts.append(before + source[start : start + n_shared] + after)

    def longest(text: str) -> int:
        return max(
            b - a
            for a in range(len(text))
            for b in range(a + 1, len(text) + 1)
            if any(text[a:b] in e for e in evaluation)
        )

    found = Overlap.of(evaluation).found_in(texts)
    for text, hit in zip(texts, found, strict=True):
        n_shared = longest(text)
        if n_shared >= 35 or n_shared < 32:  # between them it depends on where the run begins
            assert hit == (n_shared >= 35), (text, n_shared)


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
    assert report["dropped"]["de"][corpus.SHARED] > 30  # of 50; others were dropped before, for their lengths
    assert report["dropped"]["passages"] == {corpus.SHARED: 1, "article kept apart": 0}
    whole = corpus.build(data, tmp_path / "all", 1)
    assert whole["dropped"]["passages"] == {corpus.SHARED: 0, "article kept apart": 0}
    assert whole["topics"] == report["topics"] + 1


def test_openings_of_articles_that_xquad_is_made_of_are_left_out(data: Path, tmp_path: Path) -> None:
    assert len(XQUAD_ARTICLES) == 50  # 48 articles, two under two titles
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    rows = ("wikidata-titles\tWarsaw\tWarschau\n" + "tatoeba\tHe sees it.\tEr sieht das.\n").encode()
    (copy / "parallel" / "de.tsv.xz").write_bytes(lzma.compress(rows))
    text = "Eine Stadt an einem Fluss, die groß ist. Sie hat viele Häuser und auch viele Plätze."
    with gzip.open(copy / "qp" / "wikipedia-openings" / "head_articles_de.json.gz", "wt") as file:
        json.dump({"Warschau": text, "Doctor Who": text, "Bremen": text}, file)
    report = corpus.build(copy, tmp_path / "work", 1)
    assert report["dropped"]["passages"]["article kept apart"] == 2
    assert "Bremen" in set(corpus.read_texts(tmp_path / "work"))


# --- the table and the loss ---------------------------------------------------------------------------------


def loss_by_autograd(vectors: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    unit = torch.nn.functional.normalize(vectors, dim=1)
    logits = unit @ unit.T * scale
    n = len(vectors)
    target = (torch.arange(n) + n // 2) % n
    forbidden = keys[:, None] == keys[None, :]
    forbidden[torch.arange(n), target] = False
    return torch.nn.functional.cross_entropy(logits.masked_fill(forbidden, -torch.inf), target)


def loss_across_by_autograd(vectors: torch.Tensor, keys: torch.Tensor, scale: float) -> torch.Tensor:
    unit = torch.nn.functional.normalize(vectors, dim=1)
    n = len(vectors) // 2
    logits = unit[:n] @ unit[n:].T * scale
    forbidden = (keys[:n, None] == keys[None, n:]) & ~torch.eye(n, dtype=torch.bool)
    logits = logits.masked_fill(forbidden, -torch.inf)
    entropy = torch.nn.functional.cross_entropy
    return (entropy(logits, torch.arange(n)) + entropy(logits.T, torch.arange(n))) / 2


@pytest.mark.parametrize(
    ("by_hand", "by_autograd"), [(contrastive, loss_by_autograd), (contrastive_across, loss_across_by_autograd)]
)
def test_the_gradient_by_hand_is_that_of_autograd(by_hand: Any, by_autograd: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(1_200, 24, generator=generator, dtype=torch.float64, requires_grad=True)
    keys = torch.randint(0, 500, (600,), generator=generator).repeat(2)
    expected = by_autograd(vectors, keys, 10.0)
    expected.backward()  # type: ignore[no-untyped-call]
    loss, gradient = by_hand(vectors.detach().float(), keys, 10.0)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-3)
    assert vectors.grad is not None
    # The similarities are in bfloat16, of 8 bits.
    cosine = torch.nn.functional.cosine_similarity(gradient.flatten(), vectors.grad.float().flatten(), dim=0)
    assert cosine > 0.999
    assert float(gradient.norm() / vectors.grad.norm()) == pytest.approx(1, abs=0.01)


def test_a_text_is_the_sum_of_its_pieces_and_a_step_is_adams() -> None:
    features = feature_matrix(["▁berlin", "▁berliner", "▁x", "수도"])
    table = Table(features.shape[1], 8, seed=0, device="cpu")
    start = table.values.clone()
    texts = Ragged.of([[0, 1], [2, 2], [0]])
    batch = touched(texts, features)
    dense = torch.from_numpy(features.toarray())
    counts = torch.tensor([[1.0, 1, 0, 0], [0, 0, 2, 0], [1, 0, 0, 0]])
    assert torch.allclose(table.vectors(batch), counts @ dense @ start, atol=1e-5)

    gradient = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    parameter = torch.nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([parameter], lr=0.1, betas=(0.9, 0.99), eps=1e-8)
    for _ in range(3):
        table.step(batch, gradient, 0.1)
        parameter.grad = (counts @ dense).T @ gradient
        optimiser.step()  # type: ignore[no-untyped-call]
    assert torch.allclose(table.values, parameter.detach(), atol=1e-5)
    assert torch.equal(table.values[3], start[3])  # not in the batch


def test_spellings_of_a_name_share_features_across_scripts() -> None:
    assert {sound_of(name) for name in ("Altman", "알트만", "Альтман", "ألتمان", "אלטמן", "アルトマン")} == {"ltmn"}
    matrix = feature_matrix(["▁altman", "▁알트만", "▁tomorrow"])
    shared = (matrix @ matrix.T).toarray()
    assert shared[0, 1] > 0
    assert shared[0, 2] == shared[1, 2] == 0
    assert np.diag(matrix.toarray()[:, :3]).tolist() == [1, 1, 1]


def test_a_piece_without_shared_n_grams_is_itself_alone() -> None:
    matrix = feature_matrix(["▁2021", "▁", "▁zebra"])
    assert matrix.toarray().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


# --- vocabulary and export ----------------------------------------------------------------------------------


def test_frequent_words_are_pieces_even_where_no_word_begins_with_them() -> None:
    generator = random.Random(0)
    texts = [" ".join(generator.choices(["during", "their", "wizard", "qua", "vex"], k=12)) for _ in range(400)]
    tokenizer = vocabulary.train(texts, 60, 1)
    assert tokenizer.encode("During their vex!", add_special_tokens=False).tokens[:3] == ["▁during", "▁their", "▁vex"]


def test_traditional_forms_share_the_row_of_their_piece() -> None:
    texts = ["国家 发展 中国 学", "国 家 发 展 中 学"] * 50
    tokenizer = vocabulary.train(texts, 14, 1)
    extended, rows = vocabulary.with_traditional(tokenizer)
    one = tokenizer.encode("国家发展", add_special_tokens=False).ids
    for text in ("國家發展", "国家发展"):
        assert [rows[i] for i in extended.encode(text, add_special_tokens=False).ids] == one
    assert rows[: tokenizer.get_vocab_size()] == list(range(tokenizer.get_vocab_size()))


def test_int8_rows_are_within_half_a_step() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    vectors[3] = 0
    table, factors = export.quantise(vectors)
    assert table.dtype == np.int8
    step: NDArray[np.float32] = factors[:, None]
    assert (np.abs(table * step - vectors) <= step / 2 + 1e-7).all()
    assert np.abs(table).max(axis=1).tolist()[:3] == [127, 127, 127]
