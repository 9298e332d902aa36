"""The growing index: its articles, the process that measures, the picture, and the command on a small world."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path

import pytest

from eval.latency.__main__ import main
from eval.latency.articles import articles, questions, sentence_pools, write_articles
from eval.latency.measure import LEGS, NEW
from eval.latency.plot import growth_svg


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "dev" / "xquad"
    folder.mkdir(parents=True)
    told = {
        "en": "The lighthouse was opened in the year {i}. A keeper named Altman lived there with {i} cats.",
        "ko": "등대는 {i}년에 처음으로 문을 열었다고 한다. 등대지기 알트만은 고양이 {i}마리와 함께 살았다.",
    }
    for language, text in told.items():
        paragraphs = [
            {"context": text.format(i=1800 + i), "qas": [{"question": f"{language} {i}?", "answers": []}]}
            for i in range(50)
        ]
        (folder / f"xquad.{language}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")
    return tmp_path / "data"


def test_articles_are_of_one_language_each_and_the_same_again(data: Path) -> None:
    pools = sentence_pools(data)
    assert {language: len(pool) for language, pool in pools.items()} == {"en": 100, "ko": 100}
    some = list(islice(articles(pools, 7), 20))
    assert some == list(islice(articles(pools, 7), 20))
    assert len({article["text"] for article in some}) == 20
    for article in some:
        assert ("등대" in article["text"]) == (article["lang"] == "ko")
    assert [question[:2] for question in questions(data, 4)] == ["en", "ko", "en", "ko"]


def test_as_many_characters_are_written_as_asked_for(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    n = write_articles(path, sentence_pools(data), 20_000, 1)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(rows) == n
    sizes = [len(row["text"]) for row in rows]
    assert sum(sizes[:-1]) < 20_000 <= sum(sizes)


def test_a_point_stands_where_its_powers_of_ten_are() -> None:
    svg = growth_svg({"whole": [(1_000, 10.0), (100_000, 100.0)]})
    # From 10^3 to 10^5 over 480 from 56; from 10 to 100 ms over 320 up from 376.
    assert '<circle cx="56.0" cy="376.0" r="3"' in svg
    assert '<circle cx="536.0" cy="56.0" r="3"' in svg
    assert f"M{56 + 480 * math.log10(10) / 2:.1f}" in svg
    assert svg.count("<circle") == 2


@pytest.mark.slow
def test_the_command_grows_an_index_and_tells_what_it_takes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "out.json", tmp_path / "out.svg"
    assert main([
        "--data", str(data), "--sizes", "20", "60", "--questions", "4", "--json", str(figures), "--svg", str(picture),
    ]) == 0  # fmt: skip
    small, large = json.loads(figures.read_text("utf-8"))
    assert small["n_passages"] >= 19
    assert large["n_passages"] >= 58
    for size in (small, large):
        assert set(size["p50_ms"]) == {*LEGS, NEW}
        assert all(0 < size["p50_ms"][leg] <= size["p95_ms"][leg] for leg in LEGS)
        assert size["disk_bytes"] > 1_000 * size["n_passages"]
        assert size["n_vectors"] > size["n_passages"]
    assert picture.read_text("utf-8").count("<circle") == 2 * len(LEGS)
    assert "memory" in capsys.readouterr().out
    assert main(["--data", str(tmp_path)]) == 1
    assert "no xquad.*.json" in capsys.readouterr().err
