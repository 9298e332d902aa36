from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.encoders import retrieval, sets
from eval.encoders.__main__ import main
from eval.encoders.retrieval import Found, dense_scores, found, ranks_of
from eval.encoders.sets import Bitext, PassageSet
from eval.encoders.speed import speed
from eval.errors import SetMissing
from index.encoders import load_encoder
from index.encoders.base import FloatArray, unit_rows
from index.settings import Parts
from rag.testing import HashEncoder


def test_a_passage_scores_by_the_mean_of_the_whole_and_its_best_part() -> None:
    queries = np.array([[1, 0], [0, 1]], np.float32)
    passages = [
        np.array([[0.6, 0.8], [1.0, 0.0], [0.0, 1.0]], np.float32),
        np.array([[0.8, 0.6]], np.float32),  # of one sentence: the whole is its only part
    ]
    assert dense_scores(queries, passages) == pytest.approx(np.array([[0.8, 0.8], [0.9, 0.6]]))


def test_ranks_count_what_is_better_and_what_is_equal_and_earlier() -> None:
    scores = np.array([[0.1, 0.5, 0.5, 0.9], [0.5, 0.5, 0.5, 0.5]], np.float32)
    assert [int(ranks_of(scores, np.array([g, g]))[0]) for g in range(4)] == [3, 1, 2, 0]
    assert [int(ranks_of(scores, np.array([g, g]))[1]) for g in range(4)] == [0, 1, 2, 3]


def test_recall_and_ndcg_by_hand() -> None:
    scores = -np.arange(12, dtype=np.float32)[None, :].repeat(4, axis=0)
    # Ranks 1, 3, 6 and 11: gains 1, 1 / log2(4), 1 / log2(7) and none.
    result = found(scores, [0, 2, 5, 10])
    assert (result.recall_1, result.recall_5, result.n_questions) == (0.25, 0.5, 4)
    assert result.ndcg_10 == pytest.approx((1 + 0.5 + 1 / math.log2(7)) / 4)


class WordEncoder(HashEncoder):
    """One dimension a word of a fixed list; word by word, a query is met by the share of its words held."""

    words = ("red", "blue", "green", "rot", "blau")

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return unit_rows(np.array([[text.split().count(word) for word in self.words] for text in texts], np.float32))

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return self.encode_queries(texts)

    def encode_parts(self, passages: Sequence[Sequence[str]], parts: Parts) -> list[FloatArray]:
        return [self.encode_queries([" ".join(own), *own]) for own in passages]


class WordByWord(WordEncoder):
    def max_sim(self, queries: Sequence[str], passages: Sequence[str]) -> FloatArray:
        return np.array(
            [[np.mean([word in p.split() for word in q.split()]) for p in passages] for q in queries], np.float32
        )

    def packed_words(self, passages: Sequence[Sequence[str]]) -> list[bytes]:
        return [" ".join(sentences).encode() for sentences in passages]

    def max_sim_packed(self, query: str, passages: Sequence[bytes]) -> FloatArray:
        return self.max_sim([query], [words.decode() for words in passages])[0]


COLOURS = PassageSet(
    "colours",
    {"en": [["red red red red", "blue"], ["red blue"]], "de": [["rot"], ["blau"]]},
    {"en": ["red blue"]},
    {"en": [0]},
)


def test_every_pair_of_languages_is_measured() -> None:
    results = retrieval.passage_retrieval(WordEncoder(), COLOURS, Parts.SENTENCES, 0.6)
    assert set(results) == {("en", "en"), ("en", "de")}
    # The second passage has both words in one sentence and a cosine of 1.
    assert results["en", "en"] == Found(0.0, 1.0, pytest.approx(1 / math.log2(3)), 1)


def test_word_by_word_scores_count_where_the_encoder_has_them() -> None:
    nothing = PassageSet("x", {"en": [["red red"], ["red blue"]]}, {"en": ["blue red red red"]}, {"en": [1]})
    assert retrieval.passage_retrieval(WordByWord(), nothing, Parts.WHOLE, 0.0)["en", "en"].recall_1 == 0
    assert retrieval.passage_retrieval(WordByWord(), nothing, Parts.WHOLE, 0.9)["en", "en"].recall_1 == 1


def test_a_translation_is_found_where_it_is_nearest() -> None:
    bitext = Bitext("t", {"en": ["red", "blue", "green"], "de": ["red blue blue", "blue", "red"]})
    results = retrieval.translation_retrieval(WordEncoder(), bitext, ["en", "de"])
    assert results == {("en", "de"): pytest.approx(1 / 3), ("de", "en"): pytest.approx(1 / 3)}


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "xquad").mkdir()
    for language, text in (("en", "Red is a colour. Blue is too."), ("de", "Rot ist eine Farbe. Blau auch.")):
        paragraphs = [{"context": text, "qas": [{"question": "red?"}]}, {"context": "x", "qas": [{"question": "x?"}]}]
        content = {"data": [{"paragraphs": paragraphs}]}
        (tmp_path / "xquad" / f"xquad.{language}.json").write_text(json.dumps(content), "utf-8")
    (tmp_path / "belebele-ko").mkdir()
    rows: list[dict[str, Any]] = [
        {"link": "a", "question_number": 1, "flores_passage": "첫 글", "question": "첫?"},
        {"link": "a", "question_number": 2, "flores_passage": "첫 글", "question": "둘?"},
        {"link": "b", "question_number": 1, "flores_passage": "둘째 글", "question": "셋?"},
    ]
    for code, own in (("kor_Hang", rows), ("eng_Latn", [{**row, "flores_passage": "x"} for row in reversed(rows)])):
        text = "".join(json.dumps(row) + "\n" for row in own)
        (tmp_path / "belebele-ko" / f"{code}.jsonl").write_text(text, "utf-8")
    (tmp_path / "flores101-devtest").mkdir()
    for language in ("ko", "ja", "zh-Hant", "ar", "vi", "th", "hi", "tr", "ru"):
        lines = ["red\trot", '"blue" she said\tblau', "green\tgrün"]
        if language == "th":
            lines.pop(1)
        with gzip.open(tmp_path / "flores101-devtest" / f"{language}.tsv.gz", "wt") as file:
            file.write("\n".join(lines) + "\n")
    return tmp_path


def test_questions_of_xquad_ask_for_their_paragraph(data: Path) -> None:
    xquad = sets.xquad(data / "xquad")
    assert xquad.passages["en"] == [["Red is a colour.", "Blue is too."], ["x"]]
    assert xquad.gold == {"de": [0, 1], "en": [0, 1]}


def test_questions_of_belebele_are_matched_by_link_and_number(data: Path) -> None:
    belebele = sets.belebele(data / "belebele-ko", {"ko": "kor_Hang", "en": "eng_Latn", "fr": "fra_Latn"})
    assert belebele.passages == {"ko": [["첫 글"], ["둘째 글"]]}
    assert belebele.gold == {"ko": [0, 0, 1], "en": [1, 0, 0]}


def test_sentences_that_a_file_of_flores_lacks_are_left_out_everywhere(data: Path) -> None:
    bitext = sets.flores(data / "flores101-devtest")
    assert bitext.sentences["en"] == ["red", "green"]
    assert bitext.sentences["ar"] == bitext.sentences["th"] == ["rot", "grün"]


@pytest.mark.parametrize("name", ["xquad", "flores101-devtest", "belebele-ko"])
def test_a_missing_set_is_an_error_that_names_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetMissing, match=str(tmp_path)):
        {"xquad": sets.xquad, "flores101-devtest": sets.flores}.get(
            name, lambda folder: sets.belebele(folder, {"ko": "kor_Hang"})
        )(tmp_path / name)


def test_the_command_prints_one_table_of_all_encoders_and_writes_every_figure(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embedded", "--data", str(data), "--json", str(tmp_path / "figures.json")]) == 0
    said = capsys.readouterr().out
    assert "XQuAD, own language: recall@1" in said
    assert "recall@5 by language of questions (rows)" in said
    figures = json.loads((tmp_path / "figures.json").read_text("utf-8"))["embedded"]
    assert set(figures["xquad"]) == {"en-en", "en-de", "de-en", "de-de"}
    assert figures["xquad"]["en-de"]["n_questions"] == 2
    assert figures["speed"]["megabytes"] > 10
    assert len(figures["flores"]) == 90


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embedded", "--data", str(tmp_path)]) == 1
    assert "has no xquad.*.json" in capsys.readouterr().err


def test_speed_counts_the_texts_that_were_encoded() -> None:
    measured = speed("embedded", ["a short text"] * 50)
    assert measured.passages_a_second > 0
    assert 0 < measured.load_seconds < 60


# --- the encoder in the package -----------------------------------------------------------------------------


def test_the_embedded_encoder_finds_across_languages_what_its_card_says(shared: Path) -> None:
    xquad = sets.xquad(shared / "data" / "dev" / "xquad")
    languages = ("ar", "de", "en", "zh")
    chosen = PassageSet(
        "XQuAD",
        {language: xquad.passages[language] for language in languages},
        {language: xquad.questions[language] for language in languages},
        xquad.gold,
    )
    encoder = load_encoder("embedded")
    for share, own, across in ((0.6, 0.94, 0.86), (0.0, 0.87, 0.77)):
        results = retrieval.passage_retrieval(encoder, chosen, Parts.SENTENCES, share)
        assert np.mean([value.ndcg_10 for (a, b), value in results.items() if a == b]) > own
        assert np.mean([value.recall_5 for (a, b), value in results.items() if a != b]) > across


def test_the_embedded_encoder_finds_translations(shared: Path) -> None:
    bitext = sets.flores(shared / "data" / "dev" / "flores101-devtest")
    results = retrieval.translation_retrieval(load_encoder("embedded"), bitext, ["en", "ko", "zh-Hant"])
    assert min(results.values()) > 0.88
    assert np.mean([value for pair, value in results.items() if "en" in pair]) > 0.97
