"""`dragoman eval` and what is done with its runs and gold files, as a team would use them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.gold import read_gold
from index.store.sqlite import EmbeddedBackend
from tests.ui.running import Ran, assert_one_line_error

Dragoman = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("here")
LEFT = {
    "id": "left-en",
    "question": "When did the Webb telescope leave Earth?",
    "lang": "en",
    "answerable": True,
    "answers": ["Christmas Day 2021"],
    "evidence": [{"doc": "06-webb-en.md", "text": "The James Webb Space Telescope left Earth on Christmas Day 2021"}],
    "tags": ["space"],
}
GOLD: list[dict[str, Any]] = [
    LEFT,
    {**LEFT, "id": "left-ko", "question": "제임스 웹 우주망원경은 언제 지구를 떠났나?", "lang": "ko"},
    {**LEFT, "id": "left-de", "question": "Wann verließ das Webb-Teleskop die Erde?", "lang": "de"},
    {"id": "cup-de", "question": "Wer gewann 1954 die Weltmeisterschaft?", "lang": "de", "answerable": False},
]


@pytest.fixture
def index(sample_index: Path, here: Path) -> Path:
    """A copy of the index of the sample articles, and gold.jsonl where we are."""
    write(here / "gold.jsonl", GOLD)
    return Path(shutil.copytree(sample_index, here / "index", ignore=shutil.ignore_patterns("runs")))


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), "utf-8")
    return path


# --- runs -----------------------------------------------------------------------------------------------------


def test_a_run_is_kept_and_the_next_is_held_against_it(dragoman: Dragoman, index: Path) -> None:
    first = dragoman("eval", "gold.jsonl", "--index", index)
    assert first.code == 0
    assert "kept as " in first.err and "against" not in first.err
    second = dragoman("eval", "run", "gold.jsonl", "--index", index)
    assert "no headline measure changed" in second.err
    (one, other) = dragoman("eval", "runs", "--index", index, "--json").json["runs"]
    assert (one["gold"], one["n"], other["recall@5"]) == ("gold.jsonl", 4, one["recall@5"])
    compared = dragoman("eval", "compare", one["name"], other["name"], "--index", index, "--json").json
    assert compared["n"] == 4
    assert {(d["change"], d["p"]) for d in compared["differences"]} == {(0.0, 1.0)}
    shown = dragoman("eval", "report", one["name"], "--index", index, "--json").json
    assert shown["recall@5"] == one["recall@5"]
    assert dragoman("eval", "report", one["name"], "--index", index).out == first.out


def test_an_earlier_run_of_other_questions_is_passed_over(dragoman: Dragoman, index: Path, here: Path) -> None:
    assert dragoman("eval", "gold.jsonl", "--index", index).code == 0
    write(here / "gold.jsonl", [{**LEFT, "id": "another"}])
    other = dragoman("eval", "gold.jsonl", "--index", index)
    assert other.code == 0
    assert "against" not in other.err


def test_several_processes_give_what_one_gives(dragoman: Dragoman, index: Path) -> None:
    flags = ["gold.jsonl", "--index", index, "--no-keep", "--json"]
    one, many = (dragoman("eval", *flags, "--workers", n).json for n in (1, 2))
    times = [name for name in one if name.endswith("_ms")]
    assert {**one, **dict.fromkeys(times)} == {**many, **dict.fromkeys(times)}


def test_nothing_is_kept_where_that_is_not_wished(dragoman: Dragoman, index: Path) -> None:
    assert dragoman("eval", "gold.jsonl", "--index", index, "--no-keep", "--json").json["run"] == ""
    assert not (index / "runs").exists()
    elsewhere = dragoman("eval", "gold.jsonl", "--index", index, "--run", "mine", "--json").json
    assert (elsewhere["run"], Path("mine/summary.json").is_file()) == ("mine", True)
    again = dragoman("eval", "gold.jsonl", "--index", index, "--run", "mine")
    assert_one_line_error(again, "mine holds a finished run", "name another folder")


def test_a_report_and_a_summary_are_written(dragoman: Dragoman, index: Path, here: Path) -> None:
    ran = dragoman("eval", "gold.jsonl", "--index", index, "--report", "r.html", "--markdown", "r.md")
    assert ran.code == 0
    page, summary = (here / "r.html").read_text("utf-8"), (here / "r.md").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>") and "제임스 웹" in page
    assert "recall@5" in summary
    again = dragoman(
        "eval", "report", ran.err.split("kept as ")[1].split(";")[0], "--index", index, "--report", "s.html"
    )
    assert again.code == 0
    assert (here / "s.html").read_text("utf-8").count("left-ko") == page.count("left-ko")


def test_a_gate_fails_the_build_and_says_by_what(dragoman: Dragoman, index: Path) -> None:
    passed = dragoman("eval", "gold.jsonl", "--index", index, "--fail-under", "recall@10=0.5", "--no-keep")
    assert passed.code == 0
    flags = ["--fail-under", "recall@10=1.1", "--fail-under", "ko:answer.contains=1.1", "--no-keep"]
    failed = dragoman("eval", "gold.jsonl", "--index", index, *flags)
    assert failed.code == 1
    assert "failed: recall@10 is 1.0000; expected: at least 1.1" in failed.err
    assert "failed: ko:answer.contains is " in failed.err
    assert failed.out.count("\n") > 5  # the table is there all the same
    assert_one_line_error(
        dragoman("eval", "gold.jsonl", "--index", index, "--fail-under", "speed=1"), "'speed=1' is no threshold"
    )


def test_a_run_that_is_worse_by_more_than_chance_fails_the_build(dragoman: Dragoman, index: Path, here: Path) -> None:
    many = [{**LEFT, "id": f"q{i}", "question": f"{LEFT['question']} ({i})"} for i in range(12)]
    write(here / "gold.jsonl", many)
    good = dragoman("eval", "gold.jsonl", "--index", index, "--run", "good", "--json")
    assert good.json["recall@10"] == 1.0
    same = dragoman("eval", "gold.jsonl", "--index", index, "--fail-if-worse", "good", "--no-keep")
    assert same.code == 0
    dragoman("remove", "--index", index, next(
        d.doc_id for d in EmbeddedBackend(index).documents() if d.source.endswith("06-webb-en.md")
    ))  # fmt: skip
    worse = dragoman("eval", "gold.jsonl", "--index", index, "--fail-if-worse", "good", "--no-keep")
    assert worse.code == 1
    assert "failed: recall@10 is 0.0000, was 1.0000 in good (p 0.0" in worse.err
    assert_one_line_error(
        dragoman("eval", "gold.jsonl", "--index", index, "--fail-if-worse", "none"), "there is no run in none"
    )


def test_a_sweep_measures_every_combination(dragoman: Dragoman, index: Path) -> None:
    ran = dragoman("eval", "sweep", "gold.jsonl", "k=1,10", "lexical_weight=0,0.3", "--index", index, "--json")
    names = [variant["name"] for variant in ran.json["variants"]]
    assert names == [f"k={k} lexical_weight={weight}" for k in (1, 10) for weight in (0, 0.3)]
    by_name = {variant["name"]: variant["measures"] for variant in ran.json["variants"]}
    assert by_name["k=10 lexical_weight=0.3"]["recall@10"] >= by_name["k=1 lexical_weight=0.3"]["recall@10"]
    assert_one_line_error(dragoman("eval", "sweep", "gold.jsonl", "colour=red", "--index", index), "nothing to vary")


def test_a_sweep_over_encoders_encodes_a_copy_and_leaves_the_index_alone(dragoman: Dragoman, index: Path) -> None:
    before = EmbeddedBackend(index).encoder_fingerprint
    ran = dragoman(
        "eval", "sweep", "gold.jsonl", "encoder=embedded,embedded", "--index", index, "--retrieval-only", "--json"
    )
    assert [variant["name"] for variant in ran.json["variants"]] == ["encoder=embedded"]
    assert EmbeddedBackend(index).encoder_fingerprint == before


# --- gold files -----------------------------------------------------------------------------------------------


def test_every_broken_line_is_named_and_a_whole_file_is_said_to_be_so(
    dragoman: Dragoman, index: Path, here: Path
) -> None:
    sound = dragoman("eval", "validate", "gold.jsonl", "--index", index)
    assert (sound.code, sound.out.splitlines()[-1]) == (0, "0 errors, 0 warnings")
    lost = {**LEFT, "id": "lost", "evidence": [{"doc": "06-webb-en.md", "text": "left Mars on Christmas Day"}]}
    unknown = {**LEFT, "id": "unknown", "evidence": [{"doc": "nowhere.md", "text": "x"}]}
    write(here / "broken.jsonl", [LEFT, lost, unknown, LEFT])
    ran = dragoman("eval", "validate", "broken.jsonl", "--index", index)
    assert ran.code == 1
    errors = [line for line in ran.out.splitlines() if line.startswith("error: ")]
    assert [line.split("line ")[1].split()[0] for line in errors] == ["2", "3", "4"]
    assert "lost" in errors[0] and "nowhere.md" in errors[1] and "left-en" in errors[2]
    listed = dragoman("eval", "validate", "broken.jsonl", "--index", index, "--json").json
    assert listed["errors"] == 3
    alone = dragoman("eval", "validate", "broken.jsonl", "--alone", "--json").json
    assert alone["errors"] == 1  # only the id that occurs twice can be seen without the articles


def test_drafts_are_proposed_and_pass_the_check(dragoman: Dragoman, index: Path, here: Path) -> None:
    ran = dragoman("eval", "draft", "--to", "drafts.yaml", "-n", 12, "--index", index)
    assert (ran.code, ran.out) == (0, "")
    items = read_gold(here / "drafts.yaml")
    assert len(items) == 12
    assert len({item.lang for item in items}) > 5
    assert all("____" in item.question and item.tags == ("draft",) for item in items)
    assert dragoman("eval", "validate", "drafts.yaml", "--index", index).code == 0
    again = dragoman("eval", "draft", "--to", "drafts.yaml", "--index", index)
    assert_one_line_error(again, "drafts.yaml is there already")
    assert_one_line_error(
        dragoman("eval", "draft", "--to", "x.csv", "--language", "ko", "--index", index), "--language needs --model"
    )


def test_a_split_keeps_translations_of_a_question_together(dragoman: Dragoman, index: Path, here: Path) -> None:
    other = {**LEFT, "id": "rail-en", "question": "How fast?", "evidence": [{"doc": "11-rail-de.md", "text": "406,9"}]}
    write(here / "gold.jsonl", [*GOLD, other, {**other, "id": "rail-ko", "lang": "ko"}])
    ran = dragoman("eval", "split", "gold.jsonl", "a.csv", "b.jsonl", "--share", 0.5)
    assert ran.code == 0
    first, second = read_gold(here / "a.csv"), read_gold(here / "b.jsonl")
    assert {item.id for item in [*first, *second]} == {item["id"] for item in GOLD} | {"rail-en", "rail-ko"}
    for stem in ("left", "rail"):
        assert sum(any(item.id.startswith(stem) for item in part) for part in (first, second)) == 1
    assert (here / "a.csv").read_text("utf-8-sig").startswith("id,question,lang,")
    assert_one_line_error(dragoman("eval", "split", "gold.jsonl", "a.csv", "c.csv"), "a.csv is there already")


def test_a_published_set_is_imported_indexed_and_measured(dragoman: Dragoman, here: Path) -> None:
    context = "이순신은 1545년에 태어났다. 그는 1598년에 노량에서 죽었다."
    qas = [{"id": "1", "question": "이순신은 언제 태어났나?", "answers": [{"text": "1545년", "answer_start": 5}]}]
    squad = {"data": [{"title": "이순신", "paragraphs": [{"context": context, "qas": qas}]}]}
    (here / "set.json").write_text(json.dumps(squad, ensure_ascii=False), "utf-8")
    ran = dragoman("eval", "import", "squad", "set.json", "--to", "out", "--language", "ko")
    assert ran.code == 0
    assert "1 questions in out/gold.jsonl" in ran.err
    (corpus,) = (path for path in (here / "out").iterdir() if path.name != "gold.jsonl")
    assert dragoman("index", corpus, "--index", "idx").code == 0
    measured = dragoman("eval", "out/gold.jsonl", "--index", "idx", "--json").json
    assert (measured["n"], measured["failed"], measured["recall@1"]) == (1, 0, 1.0)
    assert dragoman("eval", "import", "squad", "set.json", "--to", "out").code == 2  # it does not say its language


def test_rankings_in_the_form_of_trec_are_measured_and_runs_written_in_it(
    dragoman: Dragoman, index: Path, here: Path
) -> None:
    (here / "qrels").write_text("q1 0 a 2\nq1 0 b 1\nq2 0 c 1\nq3 0 d 0\n", "utf-8")
    (here / "run").write_text("q1 Q0 b 1 0.9 x\nq1 Q0 z 2 0.8 x\nq1 Q0 a 3 0.7 x\n", "utf-8")
    found = dragoman("eval", "trec", "qrels", "run", "--json").json
    # q1: b, z, a; q2 is not ranked and counts; q3 has nothing relevant and does not.
    assert found["recall@1"]["mean"] == 0.25  # (1/2 + 0) / 2
    assert found["mrr@10"]["mean"] == 0.5
    assert found["map"]["mean"] == pytest.approx((1 + 2 / 3) / 2 / 2, abs=1e-4)
    assert found["recall@1"]["n"] == 2
    kept = dragoman("eval", "gold.jsonl", "--index", index, "--run", "mine", "--json").json
    assert dragoman("eval", "report", "mine", "--index", index, "--trec", "trec").code == 0
    again = dragoman("eval", "trec", "trec/qrels.txt", "trec/run.txt", "--json").json
    for name in ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"):
        assert again[name]["mean"] == kept[name], name


def test_help_lists_what_can_be_done(dragoman: Dragoman) -> None:
    shown = dragoman("eval", "--help")
    assert shown.code == 0
    for name in ("run", "compare", "report", "runs", "sweep", "validate", "draft", "split", "import", "trec"):
        assert f" {name} " in shown.out
