"""What answers cite, on a small world where it is known; and the fit of the weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.answers.__main__ import main
from eval.answers.gather import Placed, cited, placed_questions, weighed
from eval.errors import SetMissing
from index.encoders.base import Encoder
from rag.answerers.sentences import WEIGHTS

THINGS = ["lighthouse", "bakery", "railway", "museum", "harbour", "hospital", "theatre", "library"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "xquad"
    folder.mkdir(parents=True)
    for language in ("en", "de"):
        paragraphs = []
        for i, thing in enumerate(THINGS):
            year = str(1801 + 11 * i)
            told = f"The {thing} is known to everybody here. " if language == "en" else f"Jeder kennt hier {thing}. "
            text = told + (
                f"The {thing} was opened in {year}." if language == "en" else f"{thing} wurde {year} eröffnet."
            )
            asked = f"When was the {thing} opened?" if language == "en" else f"Wann wurde {thing} eröffnet?"
            paragraphs.append(
                {
                    "context": text,
                    "qas": [{"question": asked, "answers": [{"text": year, "answer_start": text.index(year)}]}],
                }
            )
        (folder / f"xquad.{language}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")
    return tmp_path / "data"


def test_questions_know_where_their_answers_stand(data: Path) -> None:
    collections, questions = placed_questions(data / "xquad")
    assert {language: len(one.documents) for language, one in collections.items()} == {"de": 8, "en": 8}
    first = questions["en"][0]
    text = collections["en"].documents[first.document][1]
    assert text[first.start : first.end] == "1801"
    assert Placed("?", "a", 3, 5).stands_in("a", 3, 5)
    assert not Placed("?", "a", 3, 5).stands_in("a", 4, 9)
    assert not Placed("?", "a", 3, 5).stands_in("b", 0, 9)
    with pytest.raises(SetMissing):
        placed_questions(data)


def test_each_question_is_weighed_and_answered(data: Path, encoder: Encoder) -> None:
    own = list(weighed(encoder, data / "xquad", 1, own=True))
    assert len(own) == 16
    assert all(sum(case.right) == 1 for case in own)
    assert all(set(one.features) == set(WEIGHTS) for case in own for one in case.sentences)
    answers = list(cited(encoder, data / "xquad", 1, own=True))
    assert [case.any for case in answers] == [True] * 16
    assert all(1 <= case.n <= 3 for case in answers)
    other = list(cited(encoder, data / "xquad", 4, own=False))
    assert {(case.asked, case.held) for case in other} == {("en", "de"), ("de", "en")}
    assert len(other) == 4


def test_the_command_measures_and_fits(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "out.json"
    assert main(["--data", str(data), "--every", "1", "--json", str(out)]) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert figures["en"]["own"] == {"n": 8, "first": 1.0, "any": 1.0, "citations": pytest.approx(1.0, abs=2.0)}
    assert figures["all"]["own"]["n"] == 16
    assert main(["--data", str(data), "--every", "1", "--fit", "--json", str(out)]) == 0
    assert set(json.loads(out.read_text("utf-8"))) == set(WEIGHTS)
    assert "own language: the best sentence holds the answer in 1.000" in capsys.readouterr().out
    assert main(["--data", str(data / "none")]) == 1
