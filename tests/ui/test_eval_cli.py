"""`dragoman eval` and what is done with its runs and gold files, as a team would use them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def test_a_run_is_kept_and_compared_with_the_one_before(dragoman: Dragoman, index: Path) -> None:
    first = dragoman("eval", "gold.jsonl", "--index", index)
    assert first.code == 0
    assert "kept as " in first.err and "against" not in first.err
    second = dragoman("eval", "run", "gold.jsonl", "--index", index)
    assert "no headline measure changed" in second.err
    (one, other) = dragoman("eval", "runs", "--index", index, "--json").json["runs"]
    assert (one["gold"], one["n"], other["recall@5"]) == ("gold.jsonl", 4, one["recall@5"])
    compared = dragoman("eval", "report", other["name"], "--compare", one["name"], "--index", index, "--json").json
    assert (compared["before"], compared["n"]) == (one["name"], 4)
    assert {(d["change"], d["p"]) for d in compared["differences"]} == {(0.0, 1.0)}
    shown = dragoman("eval", "report", one["name"], "--index", index, "--json").json
    assert shown["recall@5"] == one["recall@5"]
    assert dragoman("eval", "report", one["name"], "--index", index).out == first.out


def test_an_earlier_run_of_other_questions_is_skipped(dragoman: Dragoman, index: Path, here: Path) -> None:
    assert dragoman("eval", "gold.jsonl", "--index", index).code == 0
    write(here / "gold.jsonl", [{**LEFT, "id": "another"}])
    other = dragoman("eval", "gold.jsonl", "--index", index)
    assert other.code == 0
    assert "against" not in other.err


def test_a_run_is_kept_where_it_is_asked_for(dragoman: Dragoman, index: Path) -> None:
    elsewhere = dragoman("eval", "gold.jsonl", "--index", index, "--run", "mine", "--json").json
    assert (elsewhere["run"], Path("mine/summary.json").is_file()) == ("mine", True)
    assert "curve" not in elsewhere["abstention"] and 0 <= elsewhere["abstention"]["roc_auc"] <= 1
    again = dragoman("eval", "gold.jsonl", "--index", index, "--run", "mine")
    assert_one_line_error(again, "mine holds a finished run", "name another folder")


def test_a_report_is_written(dragoman: Dragoman, index: Path, here: Path) -> None:
    ran = dragoman("eval", "gold.jsonl", "--index", index, "--run", "one", "--report", "r.html")
    assert ran.code == 0
    page = (here / "r.html").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>") and "제임스 웹" in page
    again = dragoman("eval", "report", "one", "--report", "s.html")
    assert again.code == 0
    assert (here / "s.html").read_text("utf-8").count("left-ko") == page.count("left-ko")


def test_a_gate_fails_the_build_and_says_by_what(dragoman: Dragoman, index: Path) -> None:
    passed = dragoman("eval", "gold.jsonl", "--index", index, "--fail-under", "recall@10=0.5")
    assert passed.code == 0
    flags = ["--fail-under", "recall@10=1.1", "--fail-under", "ko:answer.contains=1.1"]
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
    same = dragoman("eval", "gold.jsonl", "--index", index, "--compare", "good", "--fail-if-worse")
    assert same.code == 0
    dragoman("remove", "--index", index, next(
        d.doc_id for d in EmbeddedBackend(index).documents() if d.source.endswith("06-webb-en.md")
    ))  # fmt: skip
    worse = dragoman("eval", "gold.jsonl", "--index", index, "--compare", "good", "--fail-if-worse")
    assert worse.code == 1
    assert "failed: recall@10 is 0.0000, was 1.0000 in good (p 0.0" in worse.err
    nowhere = dragoman("eval", "gold.jsonl", "--index", index, "--compare", "none")
    assert_one_line_error(nowhere, "there is no run in none")
    assert dragoman("eval", "gold.jsonl", "--index", index, "--fail-if-worse").code == 2  # worse than what?


# --- gold files -----------------------------------------------------------------------------------------------


def test_every_broken_line_is_named_at_once_and_lost_evidence_is_a_failure(
    dragoman: Dragoman, index: Path, here: Path
) -> None:
    write(here / "broken.jsonl", [LEFT, {**LEFT, "lang": ""}, LEFT, {**LEFT, "id": "x", "answerable": "yes"}])
    ran = dragoman("eval", "broken.jsonl", "--index", index)
    assert_one_line_error(ran, "line 2: lang is ''", "line 3: the id 'left-en' occurs twice", "line 4: answerable is")
    lost = {**LEFT, "id": "lost", "evidence": [{"doc": "06-webb-en.md", "text": "left Mars on Christmas Day"}]}
    unknown = {**LEFT, "id": "unknown", "evidence": [{"doc": "nowhere.md", "text": "x"}]}
    write(here / "lost.jsonl", [LEFT, lost, unknown])
    found = dragoman("eval", "lost.jsonl", "--index", index, "--json").json
    assert [(one["id"], one["why"][:30]) for one in found["failures"]] == [
        ("lost", "evidence not found in 06-webb-"), ("unknown", "no document of the index is ca"),
    ]  # fmt: skip


def test_a_published_set_is_imported_indexed_and_measured(dragoman: Dragoman, here: Path) -> None:
    context = "이순신은 1545년에 태어났다. 그는 1598년에 노량에서 죽었다."
    qas = [{"id": "1", "question": "이순신은 언제 태어났나?", "answers": [{"text": "1545년", "answer_start": 5}]}]
    squad = {"data": [{"title": "이순신", "paragraphs": [{"context": context, "qas": qas}]}]}
    (here / "set.json").write_text(json.dumps(squad, ensure_ascii=False), "utf-8")
    ran = dragoman("eval", "import", "set.json", "--to", "out")
    assert ran.code == 0
    assert "1 questions in out/gold.jsonl, 1 documents in out/set.jsonl" in ran.err
    assert dragoman("index", here / "out/set.jsonl", "--index", "idx").code == 0
    measured = dragoman("eval", "out/gold.jsonl", "--index", "idx", "--json").json
    assert (measured["n"], measured["failed"], measured["recall@1"]) == (1, 0, 1.0)
    assert_one_line_error(dragoman("eval", "import", "gold.jsonl", "--to", "out"), "gold.jsonl")
