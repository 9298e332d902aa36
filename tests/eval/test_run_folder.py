"""Runs on disk: continued after a kill, compared, held to a threshold. Rows are made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from eval.errors import RunUnusable
from eval.gold import Evidence, GoldItem
from eval.report import comparison_line, comparison_table
from eval.runs.compare import Comparison, compare
from eval.runs.folder import FinishedRun, add_row, begin, finish, read_run, runs_in
from eval.runs.gate import Threshold, missed, parse_threshold
from eval.runs.rows import Outcome, Row
from eval.runs.session import last_run, named_run, new_folder, run_gold, shape_of
from eval.runs.summary import summarise
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain, ChainSettings
from rag.testing import HashEncoder, WordReader

SHAPE = {"gold": "gold.jsonl", "k": 10, "search": {"lexical_weight": 0.3}}


def row(id: str, recall: float = 1.0, contains: float = 1.0, lang: str = "en", tags: tuple[str, ...] = ()) -> Row:
    item = GoldItem(id, f"Question {id}?", lang, True, ("yes",), (Evidence("a.txt", "yes"),), tags)
    outcome = Outcome.RIGHT if recall and contains else Outcome.WRONG if recall else Outcome.NOT_RETRIEVED
    return Row(
        item=item,
        outcome=outcome,
        document_language="ko",
        values={"recall@5": recall, "answer.contains": contains, "support.unsupported": 1.0 - contains},
        answer={"answer": "yes", "abstained": False},
        timings_ms={"total": 5.0},
    )


def finished(path: Path, rows: Sequence[Row], **shape: object) -> FinishedRun:
    begin(path, {**SHAPE, **shape})
    for one in rows:
        add_row(path, one)
    finish(path, summarise(rows))
    return read_run(path)


# --- folders --------------------------------------------------------------------------------------------------


def test_a_run_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    rows = [row("1"), row("2", 0.0, 0.0, "ko", ("food", "새"))]
    run = finished(tmp_path / "one", rows)
    assert list(run.rows) == rows
    assert run.summary == json.loads(json.dumps(summarise(rows)))
    assert (run.name, run.about["shape"]) == ("one", SHAPE)
    assert {"python", "dragoman", "numpy"} <= set(run.about["versions"])


def test_an_unfinished_run_is_continued_and_a_line_that_was_cut_off_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "one"
    assert begin(path, SHAPE) == []
    add_row(path, row("1"))
    add_row(path, row("2"))
    whole = (path / "questions.jsonl").read_bytes()
    (path / "questions.jsonl").write_bytes(whole[:-20])  # killed within the second line
    assert new_folder(tmp_path, Path("gold.jsonl"), SHAPE) == path
    with pytest.raises(RunUnusable, match="not finished; fix: run the same command again"):
        read_run(path)
    assert begin(path, SHAPE) == [row("1")]
    add_row(path, row("2"))
    add_row(path, row("3"))
    rows = begin(path, SHAPE)
    assert [one.item.id for one in rows] == ["1", "2", "3"]
    finish(path, summarise(rows))
    assert list(read_run(path).rows) == rows
    assert new_folder(tmp_path, Path("gold.jsonl"), SHAPE) != path


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    finished(tmp_path / "done", [row("1")])
    with pytest.raises(RunUnusable, match="holds a finished run"):
        begin(tmp_path / "done", SHAPE)
    begin(tmp_path / "begun", SHAPE)
    with pytest.raises(RunUnusable, match=r"with other settings \(k, model\)"):
        begin(tmp_path / "begun", {**SHAPE, "k": 5, "model": "x:y"})
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear", "utf-8")
    for path in (tmp_path / "letters", tmp_path / "letters" / "a.txt"):
        with pytest.raises(RunUnusable, match="is there and is no run"):
            begin(path, SHAPE)
    with pytest.raises(RunUnusable, match="there is no run in"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "done" / "run.json").write_text('{"format": 99, "shape": {}}', "utf-8")
    with pytest.raises(RunUnusable, match="written by another version"):
        read_run(tmp_path / "done")
    (tmp_path / "done" / "run.json").write_text("{", "utf-8")
    with pytest.raises(RunUnusable, match="cannot be read"):
        read_run(tmp_path / "done")


def test_runs_are_found_by_name_and_the_last_of_a_gold_file(tmp_path: Path) -> None:
    assert (runs_in(tmp_path / "none"), last_run(tmp_path / "none", "gold.jsonl", but=tmp_path)) == ({}, None)
    finished(tmp_path / "b", [row("1")])
    finished(tmp_path / "c", [row("1")])
    finished(tmp_path / "d", [row("1")], gold="other.jsonl")
    begin(tmp_path / "e", SHAPE)
    assert [path.name for path in runs_in(tmp_path)] == ["b", "c", "d", "e"]
    assert last_run(tmp_path, "gold.jsonl", but=tmp_path) == tmp_path / "c"
    assert last_run(tmp_path, "gold.jsonl", but=tmp_path / "c") == tmp_path / "b"
    assert named_run(tmp_path, "b") == tmp_path / "b"
    assert named_run(tmp_path, str(tmp_path / "c")) == tmp_path / "c"
    assert new_folder(tmp_path, Path("gold.jsonl"), SHAPE) == tmp_path / "e"  # the unfinished one
    fresh = new_folder(tmp_path, Path("gold.jsonl"), {**SHAPE, "k": 3})
    assert fresh.name.endswith("-gold")
    assert not fresh.exists()


def test_a_run_that_was_stopped_asks_only_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("yes, the harbour has seven cranes.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.txt")], HashEncoder(), n_workers=1)
    chain = Chain(
        EmbeddedBackend(tmp_path / "index"),
        HashEncoder(),
        settings=ChainSettings(min_relevance=0.0),
        reader=WordReader(),
    )
    items = [GoldItem(str(i), f"Has the harbour {i} cranes?", "en", True, ("seven",), ()) for i in range(5)]
    gold = tmp_path / "gold.jsonl"
    gold.write_text("{}", "utf-8")
    shape = shape_of(chain, gold, items, {"retrieval_only": False})
    fewer = Chain(chain.backend, HashEncoder(), settings=ChainSettings(k=3), reader=WordReader())
    assert shape != shape_of(fewer, gold, items, {"retrieval_only": False})

    class StoppedError(Exception):
        pass

    seen: list[str] = []

    def stop(one: Row) -> None:
        seen.append(one.item.id)
        if len(seen) == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_gold(chain, items, shape, tmp_path / "run", on_row=stop)
    asked: list[str] = []
    stream = chain.stream

    def counted(question: str, *rest: object) -> object:
        asked.append(question)
        return stream(question)

    chain.stream = counted  # type: ignore[method-assign, assignment]
    done = run_gold(chain, items, shape, tmp_path / "run", on_row=stop)
    assert len(asked) == 3
    assert [one.item for one in done.rows] == items
    assert done.summary["n"] == 5
    assert seen[2:] == ["0", "1", "2", "3", "4"]  # those that were there included


# --- comparisons ----------------------------------------------------------------------------------------------


def compared(tmp_path: Path, before: Sequence[Row], after: Sequence[Row], **shape: object) -> Comparison:
    return compare(finished(tmp_path / "before", before), finished(tmp_path / "after", after, **shape))


def test_a_comparison_counts_wins_and_losses_and_puts_the_surest_change_first(tmp_path: Path) -> None:
    # recall: 8 wins of 10; contains: one win, one loss; unsupported is lower where that is better.
    before = [row(str(i), 0.0 if i < 8 else 1.0, 0.0 if i == 0 else 1.0) for i in range(10)]
    after = [row(str(i), 1.0, 0.0 if i == 1 else 1.0) for i in range(10)]
    found = compared(tmp_path, before, after, k=5)
    first = found.differences[0]
    assert (first.measure, first.n, first.before, first.after) == ("recall@5", 10, 0.2, 1.0)
    assert (first.wins, first.losses) == (8, 0)
    assert first.p == pytest.approx(2 / 2**8)  # all eight differences the one way or all the other
    assert first.p_holm == pytest.approx(3 * 2 / 2**8)  # of three measures
    assert first.significant
    by_name = {one.measure: one for one in found.differences}
    assert (by_name["answer.contains"].wins, by_name["answer.contains"].losses) == (1, 1)
    assert by_name["answer.contains"].p == 1.0
    assert (by_name["support.unsupported"].wins, by_name["support.unsupported"].losses) == (1, 1)
    assert found.settings == {"k": (10, 5)}
    assert {change.id for change in found.questions} == {str(i) for i in range(8)}
    assert found.questions[0].id == "0"
    assert found.questions[0].gain == pytest.approx(1.0)  # recall and contains up, unsupported down


def test_questions_of_one_run_only_or_with_other_words_are_left_out_and_told(tmp_path: Path) -> None:
    other = replace(row("2"), item=replace(row("2").item, question="Another?"))
    found = compared(tmp_path, [row("1"), row("2"), row("3")], [row("1"), other, row("4")])
    assert (found.n, found.only_before, found.only_after) == (1, ("2", "3"), ("2", "4"))
    with pytest.raises(RunUnusable, match="no question in common"):
        compare(read_run(tmp_path / "before"), finished(tmp_path / "third", [row("9")]))


def test_what_is_worse_by_more_than_chance_is_told_and_what_may_be_chance_is_not(tmp_path: Path) -> None:
    before = [row(str(i)) for i in range(40)]
    after = [row(str(i), 0.0 if i < 12 else 1.0, 0.0 if i < 2 else 1.0) for i in range(40)]
    assert [one.measure for one in compared(tmp_path, before, after).worse] == ["recall@5"]
    back = compare(read_run(tmp_path / "after"), read_run(tmp_path / "before"))
    assert (back.worse, back.differences[0].significant) == ([], True)  # better is not worse


def test_the_tables_show_the_numbers(tmp_path: Path) -> None:
    before = [row(str(i), 0.0 if i < 8 else 1.0) for i in range(10)]
    after = [row(str(i)) for i in range(10)]
    found = compared(tmp_path, before, after, k=5)
    lines = comparison_table(found).splitlines()
    assert lines[:2] == ["before -> after, 10 questions", "k: 10 -> 5"]
    (shown,) = [line.split() for line in lines if "recall@5" in line]
    assert shown == ["*", "recall@5", "10", "0.200", "1.000", "+0.800", "0.023", "8", "0"]
    assert "8 questions changed" in lines
    assert comparison_line(found) == "against before: recall@5 +0.800* (* by more than chance)"


# --- gates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["recall@5", "recall@5=", "recall@7=0.5", "=0.5", ":recall@5=0.5", "recall@5=nan", ""])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no threshold; expected: MEASURE=NUMBER"):
        parse_threshold(text)


def test_thresholds_that_are_not_reached_are_told(tmp_path: Path) -> None:
    rows = [row("1", 1.0, 1.0), row("2", 0.0, 0.0, "ko", ("food",)), row("3", 1.0, 0.0, "ko")]
    summary = summarise(rows)

    assert parse_threshold("ko->zh-Hant:recall@1=.5") == Threshold("ko->zh-Hant", "recall@1", 0.5)

    def complaints(*texts: str) -> list[str]:
        return missed(summary, [parse_threshold(text) for text in texts])

    assert complaints("recall@5=0.6", "ko:recall@5=0.5", "food:recall@5=0", "ko->ko:recall@5=0.5") == []
    assert complaints("recall@5=0.7") == ["recall@5 is 0.6667; expected: at least 0.7"]
    assert complaints("ko:answer.contains=0.5") == ["ko:answer.contains is 0.0000; expected: at least 0.5"]
    assert complaints("support.unsupported=0.5") == ["support.unsupported is 0.6667; expected: at most 0.5"]
    assert complaints("support.unsupported=0.7") == []
    assert complaints("fr:recall@5=0.1") == ["fr:recall@5 was not measured; expected: 0.1"]
    assert complaints("ndcg@10=0.1") == ["ndcg@10 was not measured; expected: 0.1"]
