"""The command line: fixed shapes on stdout, talk on stderr, exit 0, 1 or 2, and no traceback ever."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from index.encoders.base import Encoder
from index.encoders.static import EMBEDDED
from index.ingest import ingest
from index.search import MAX_QUESTION_CHARS
from index.store.sqlite import EmbeddedBackend
from index.store.sqlite.problems import STORE
from index.store.sqlite.schema import FORMAT_VERSION
from rag.answer import Abstention, Answer, Citation
from rag.phrases import phrase
from tests.ui.running import Ran, assert_one_line_error, shell
from ui.render import citation_lines

ROOT = Path(__file__).parent.parent.parent
QUESTION = "When did the Webb telescope leave Earth?"


Dragoman = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def writable(sample_index: Path, tmp_path: Path) -> Path:
    """A copy of the index of the sample articles."""
    return Path(shutil.copytree(sample_index, tmp_path / "copy"))


# --- JSON: exactly the shapes of the design ---------------------------------------------------------------------

PASSAGE = {"doc_id", "source", "title", "language", "start", "end", "text", "score"}
SEARCH = {"question", "language", "results", "warnings"}
ASK = {
    "question", "language", "abstained", "reason", "answer", "answer_language", "sentences", "citations", "closest",
    "retrieved", "warnings", "timings_ms", "usage",
}  # fmt: skip
CITATION = {"n", "doc_id", "source", "title", "language", "start", "end", "quote", "url", "answer_start", "answer_end"}


def test_search_prints_the_passages_best_first(dragoman: Dragoman, sample_index: Path) -> None:
    ran = dragoman("search", QUESTION, "-k", 4, "--index", sample_index, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert set(ran.json) == SEARCH
    assert (ran.json["question"], ran.json["language"], ran.json["warnings"]) == (QUESTION, "en", [])
    results = ran.json["results"]
    assert len(results) == 4
    assert all(set(result) == PASSAGE for result in results)
    assert [r["score"] for r in results] == sorted((r["score"] for r in results), reverse=True)
    assert results[0]["source"].endswith("06-webb-en.md")
    backend = EmbeddedBackend(sample_index)
    for result in results:
        text = backend.text(result["doc_id"])
        assert text is not None and result["text"] == text[result["start"] : result["end"]]
    assert len(dragoman("search", QUESTION, "--index", sample_index, "--json").json["results"]) == 10


def test_ask_prints_an_answer_whose_citations_are_verbatim_spans(dragoman: Dragoman, sample_index: Path) -> None:
    ran = dragoman("ask", QUESTION, "--index", sample_index, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert set(ran.json) == ASK
    assert (ran.json["abstained"], ran.json["language"], ran.json["answer_language"]) == (False, "en", "en")
    assert all(set(sentence) == {"text", "supported", "verdict", "citations"} for sentence in ran.json["sentences"])
    assert all(set(citation) == CITATION for citation in ran.json["citations"])
    assert all(set(passage) == PASSAGE for passage in ran.json["retrieved"])
    assert all(isinstance(value, float) for value in ran.json["timings_ms"].values())
    numbers = [citation["n"] for citation in ran.json["citations"]]
    assert numbers == list(range(1, len(numbers) + 1)) and numbers
    assert {int(n) for n in re.findall(r"\[(\d+)\]", ran.json["answer"])} == set(numbers)
    assert {n for sentence in ran.json["sentences"] for n in sentence["citations"]} == set(numbers)
    backend = EmbeddedBackend(sample_index)
    for citation in ran.json["citations"]:
        text = backend.text(citation["doc_id"])
        assert text is not None and citation["quote"] == text[citation["start"] : citation["end"]]
    assert "25 December 2021" in ran.json["answer"] or "Christmas Day 2021" in ran.json["answer"]
    german = "Wer hat die Fußball-Weltmeisterschaft 1954 gewonnen?"
    abstained = dragoman("ask", german, "--index", sample_index, "--json")
    assert (abstained.code, set(abstained.json)) == (0, ASK)
    told = [abstained.json[name] for name in ("abstained", "reason", "citations", "sentences")]
    assert told == [True, "not_found", [], []] and abstained.json["answer"]


def test_an_abstention_shows_the_closest_sentence_where_one_is_near() -> None:
    near = Citation(0, "d", "a.md", "Fußball", "de", 0, 27, "Das Finale war in der Stadt.", "", "1954-07-04")
    answer = Answer("Wer gewann?", "de", True, "", "de", (), (), (), 0.2, Abstention.NOT_FOUND, closest=near)
    label, title, _, quote = citation_lines(answer)
    assert (label, title) == (phrase("closest", "de"), "Fußball (de, 1954-07-04)")
    assert quote.strip() == "“Das Finale war in der Stadt.”"
    assert list(citation_lines(replace(answer, closest=None))) == []


def test_contextual_vectors_are_made_unless_fast_is_asked_for(dragoman: Dragoman, here: Path) -> None:
    (here / "a.md").write_text("한국은 11월 22일을 김치의 날로 정했다.", "utf-8")

    def n_contextual() -> int:
        with closing(sqlite3.connect(here / "index" / STORE)) as connection:
            return int(connection.execute("SELECT count(*) FROM context").fetchone()[0])

    assert dragoman("index", "a.md", "--index", "index", "--fast").code == 0
    assert n_contextual() == 0
    assert dragoman("index", "a.md", "--index", "index").code == 0
    assert n_contextual() == 1


INDEX = {"index", "added", "replaced", "unchanged", "deleted", "passages", "failed", "seconds"}
DOCUMENT = {
    "doc_id", "location", "source", "title", "url", "author", "date", "language", "n_chars", "n_passages", "stale",
    "tags",
}  # fmt: skip


def test_index_list_and_remove_print_what_they_did(dragoman: Dragoman, here: Path) -> None:
    (here / "news").mkdir()
    (here / "news" / "a.md").write_text("# 김치의 날\n\n한국은 11월 22일을 김치의 날로 정했다.", "utf-8")
    (here / "news" / "b.txt").write_text("The Webb telescope left Earth in 2021.", "utf-8")
    (here / "news" / "empty.txt").write_bytes(b"")

    ran = dragoman("index", "news", "--json")
    assert ran.code == 0
    assert set(ran.json) == INDEX
    assert ran.json["seconds"] > 0
    expected = {"index": ".dragoman", "added": 2, "replaced": 0, "unchanged": 0, "deleted": 0, "passages": 2}
    assert {name: ran.json[name] for name in expected} == expected
    ((failure),) = ran.json["failed"]
    assert (set(failure), failure["source"]) == ({"source", "reason"}, "news/empty.txt")
    assert "an empty file" in failure["reason"]

    listed = dragoman("list", "--json")
    assert (listed.code, listed.err, set(listed.json)) == (0, "", {"documents", "failed"})
    assert listed.json["failed"] == ran.json["failed"]
    documents = {document["source"]: document for document in listed.json["documents"]}
    assert set(documents) == {"news/a.md", "news/b.txt"}  # as given on the command line
    assert all(set(document) == DOCUMENT for document in documents.values())
    kimchi = documents["news/a.md"]
    assert (kimchi["title"], kimchi["language"], kimchi["n_passages"], kimchi["stale"]) == ("김치의 날", "ko", 1, False)
    assert kimchi["location"] == str(here.resolve() / "news" / "a.md")
    assert kimchi["n_chars"] == len("김치의 날\n\n한국은 11월 22일을 김치의 날로 정했다.")

    stats = dragoman("list", "--stats", "--json").json
    assert (stats["n_documents"], stats["n_failed"], stats["languages"]) == (2, 1, {"en": 1, "ko": 1})

    removed = dragoman("remove", kimchi["doc_id"], "--json")
    assert (removed.code, removed.json) == (0, {"removed": 1})
    assert [d["source"] for d in dragoman("list", "--json").json["documents"]] == ["news/b.txt"]
    assert dragoman("search", "김치의 날", "--json").json["results"][0]["source"] == "news/b.txt"

    again = dragoman("index", "news", "--json").json
    assert (again["added"], again["unchanged"]) == (1, 1)


def test_doctor_prints_its_findings_and_what_it_mended(dragoman: Dragoman, writable: Path) -> None:
    ran = dragoman("doctor", "--index", writable, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == {"sound": True, "findings": [], "repaired": []}
    with closing(sqlite3.connect(writable / STORE)) as connection, connection:
        connection.execute("UPDATE passages SET section = 'forged' WHERE pid = 3")

    ran = dragoman("doctor", "--index", writable, "--json")
    assert (ran.code, ran.json["sound"], ran.json["repaired"]) == (1, False, [])
    (finding,) = ran.json["findings"]
    assert set(finding) == {"what", "repairable"} and finding["repairable"] and "checksum" in finding["what"]
    assert "fix: dragoman doctor --repair" in dragoman("doctor", "--index", writable).out

    ran = dragoman("doctor", "--repair", "--index", writable, "--json")
    assert (ran.code, ran.json["sound"], ran.json["findings"]) == (0, True, [])
    assert ran.json["repaired"] == [finding["what"]]
    shown = dragoman("doctor", "--index", writable).out
    assert "sound: 30 documents" in shown and "contextual vectors" in shown


def gold_line(**changes: object) -> str:
    span = "The James Webb Space Telescope left Earth on Christmas Day 2021"
    values: dict[str, object] = {"id": "1", "question": QUESTION, "lang": "en", "answerable": True}
    values |= {"answers": ["Christmas Day 2021"], "evidence": [{"doc": "06-webb-en.md", "text": span}]}
    return json.dumps({**values, **changes}, ensure_ascii=False)


def test_eval_prints_at_least_the_measures_of_the_design(dragoman: Dragoman, sample_index: Path, here: Path) -> None:
    german = "Wer hat die Fußball-Weltmeisterschaft 1954 gewonnen?"
    nowhere = gold_line(id="3", question=german, lang="de", answerable=False, answers=[], evidence=[])
    korean = gold_line(id="2", question="제임스 웹 우주망원경은 언제 지구를 떠났나?", lang="ko")
    (here / "gold.jsonl").write_text("\n".join([gold_line(), korean, nowhere]), "utf-8")
    ran = dragoman("eval", "gold.jsonl", "--index", sample_index, "--json")
    assert ran.code == 0
    measures = ran.json
    ranking = {"recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"}
    assert ranking | {"n", "by_language", "by_language_pair", "latency_ms", "failed"} <= set(measures)
    assert {"f1", "em", "contains"} <= set(measures["answer"])
    assert {"precision", "recall"} <= set(measures["citation"])
    assert {"precision", "recall", "f1"} <= set(measures["abstention"])
    assert {"p50", "p95"} <= set(measures["latency_ms"])
    assert (measures["n"], measures["failed"], measures["recall@10"]) == (3, 0, 1.0)
    assert set(measures["by_language"]) == {"de", "en", "ko"}
    assert set(measures["by_language_pair"]) == {"en->en", "ko->en"}
    retrieval = dragoman("eval", "gold.jsonl", "--index", sample_index, "--retrieval-only", "--json").json
    assert "answer" not in retrieval and retrieval["recall@10"] == 1.0
    table = dragoman("eval", "gold.jsonl", "--index", sample_index)
    assert table.code == 0 and "ko->en" in table.out


# --- text: for people -------------------------------------------------------------------------------------------


def test_an_answer_is_printed_with_its_citations(dragoman: Dragoman, sample_index: Path) -> None:
    ran = dragoman("ask", QUESTION, "--index", sample_index)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("[1]") == 2  # the marker, and what it stands for
    assert "06-webb-en.md, characters " in ran.out and "“" in ran.out


def test_a_search_is_explained(dragoman: Dragoman, sample_index: Path) -> None:
    asked = 'Which telescope left "French Guiana"?'
    shown = dragoman("search", asked, "-k", 3, "--explain", "--index", sample_index).out
    assert re.search(r'dense: {"rank": 1, "score": 0\.\d+}', shown)
    assert "quoted: true" in shown and "reranked" not in shown
    found = dragoman("search", asked, "-k", 3, "--explain", "--json", "--index", sample_index).json
    for result in found["results"]:
        why = result["explanation"]
        assert set(why) == {"dense", "lexical", "names", "quoted", "reranked", "level"}
        assert why["reranked"] is None
        assert why["dense"]["rank"] > 0
        assert ("telescope" in why["lexical"]["terms"]) == (
            "telescope" in result["text"].lower() + result["title"].lower()
        )
        assert why["quoted"] == ("French Guiana" in result["text"])
        words = 0.3 * why["lexical"]["score"] + why["names"]["score"] + 0.3 * why["quoted"]
        assert result["score"] == pytest.approx(why["dense"]["score"] + words - why["level"], abs=2e-4)
    plain = dragoman("search", asked, "--json", "--index", sample_index).json
    assert "explanation" not in plain["results"][0]


def test_a_search_tells_in_what_form_a_name_was_found(dragoman: Dragoman, sample_index: Path, here: Path) -> None:
    asked = "Hvad sagde Altman til medarbejderne?"
    found = dragoman("search", asked, "--explain", "--json", "--index", sample_index).json["results"]
    assert {result["language"] for result in found if result["explanation"]["names"]["score"] > 0} >= {"zh-Hant"}

    def user_defined() -> set[str]:
        results = dragoman("search", "Was sagt Zorbax?", "--explain", "--json", "--index", sample_index).json
        forms = [form for result in results["results"] for form in result["explanation"]["names"]["forms"]]
        return {form["form"] for form in forms if form["by"] == "aliases.toml"}

    assert user_defined() == set()
    (here / "aliases.toml").write_text('names = [["Zorbax", "OpenAI"]]', "utf-8")
    assert user_defined() == {"OpenAI"}
    (here / "aliases.toml").write_text('names = [["Zorbax"]]', "utf-8")
    assert_one_line_error(dragoman("search", asked, "--index", sample_index), "row 1", "two or more different names")


def test_an_unclear_question_is_answered_in_the_language_of_the_locale(
    dragoman: Dragoman, sample_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def language(question: str, **locale: str) -> str:
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            monkeypatch.setenv(name, locale.get(name, ""))
        return str(dragoman("ask", question, "--json", "--index", sample_index).json["language"])

    assert language("nvidia", LC_ALL="ko_KR.UTF-8", LANG="de_DE") == "ko"
    assert language("nvidia", LANG="de_AT@euro") == "de"
    assert language("nvidia", LC_ALL="C.UTF-8") == language("nvidia")
    assert language(QUESTION, LC_ALL="ko_KR.UTF-8") == "en"


def test_without_a_question_ask_is_a_conversation(
    dragoman: Dragoman, sample_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [QUESTION, "", "/sources", "x" * 2_001, "/what", "/new", "/sources", "hello", "/quit", QUESTION]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    ran = dragoman("ask", "--index", sample_index)
    assert ran.code == 0
    assert ran.out.count("what the articles say") == 1  # what stands behind /quit is not asked
    assert ran.out.count("\n1. ") == 1  # the first /sources; behind /new there are none
    assert "there are no passages yet" in ran.err
    assert "2001 characters" in ran.err or "2,001 characters" in ran.err
    assert ran.out.splitlines()[-1].startswith("Hello!")


def test_search_and_ask_keep_to_a_filter(dragoman: Dragoman, sample_index: Path) -> None:
    everything = dragoman("search", QUESTION, "-k", 100, "--json", "--index", sample_index).json["results"]
    assert len({result["language"] for result in everything}) > 5
    flags = ["--language", "fr", "--language", "zh", "--since", "2021", "--until", "2023-12", "--source", "*webb*"]
    found = dragoman("search", QUESTION, *flags, "--json", "--index", sample_index).json["results"]
    assert {(result["language"], Path(result["source"]).name) for result in found} == {
        ("fr", "07-webb-fr.md"), ("zh-Hans", "09-webb-zh-Hans.md")
    }  # fmt: skip
    answer = dragoman("ask", QUESTION, "--language", "fr", "--json", "--index", sample_index).json
    assert {result["language"] for result in answer["retrieved"]} == {"fr"}
    assert dragoman("search", QUESTION, "--tag", "none", "--index", sample_index).out == "no passages\n"
    assert_one_line_error(dragoman("search", QUESTION, "--since", "May", "--index", sample_index), "since is 'May'")


def test_tags_of_articles_are_listed_and_found_by(dragoman: Dragoman, here: Path) -> None:
    (here / "a.md").write_text("---\ntags: [Space, 科學]\n---\nThe telescope looks at stars.\n", "utf-8")
    (here / "b.jsonl").write_text('{"text": "The oven bakes bread.", "tags": "food, bread"}\n', "utf-8")
    assert dragoman("index", "a.md", "b.jsonl").code == 0
    assert "[Space, 科學]" in dragoman("list").out
    tags = {Path(d["source"]).name: d["tags"] for d in dragoman("list", "--json").json["documents"]}
    assert tags == {"a.md": ["Space", "科學"], "b.jsonl#1": ["food", "bread"]}
    found = dragoman("search", "What is there?", "--tag", "space", "--tag", "none", "--json").json["results"]
    assert [result["source"] for result in found] == ["a.md"]


def test_an_empty_index_says_so(dragoman: Dragoman, here: Path) -> None:
    (here / "news").mkdir()
    assert dragoman("index", "news").code == 0
    assert dragoman("list").out == "the index is empty\n"
    assert dragoman("search", "anything").out == "no passages\n"
    assert dragoman("ask", "anything at all", "--json").json["abstained"] is True
    assert dragoman("doctor").code == 0


# --- exit 2: usage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["search"],
        ["ask", "--json"],
        ["index"],
        ["index", "--colour", "red", "x"],
        ["serve", "--port", "0"],
    ],
)
def test_wrong_usage_is_exit_2_with_help_on_stderr(dragoman: Dragoman, arguments: list[str]) -> None:
    ran = dragoman(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: dragoman" in ran.err and "Traceback" not in ran.err


def test_the_version_is_that_of_the_package(dragoman: Dragoman) -> None:
    assert dragoman("--version") == Ran(0, f"dragoman {version('dragoman')}\n", "")


def test_help_names_every_command_of_the_design(dragoman: Dragoman) -> None:
    ran = dragoman("--help")
    assert (ran.code, ran.err) == (0, "")
    for name in ("index", "remove", "list", "doctor", "search", "ask", "serve", "eval", "demo"):
        assert re.search(rf"^\W*{name}\s", ran.out, re.MULTILINE)


# --- exit 1: one line that says what to do ----------------------------------------------------------------------


def test_without_an_index_every_command_says_how_to_make_one(dragoman: Dragoman, here: Path) -> None:
    (here / "gold.jsonl").write_text(gold_line(), "utf-8")
    commands = ["search q", "ask q --json", "list", "list --stats --json", "remove x", "eval gold.jsonl"]
    for command in (*commands, "index --refresh"):
        assert_one_line_error(dragoman(*command.split()), "there is no index in .dragoman", "dragoman index PATH...")
    assert_one_line_error(shell("serve", "--no-ui"), "there is no index in .dragoman")
    ran = dragoman("doctor", "--json")
    assert (ran.code, ran.json["sound"]) == (1, False)
    assert [path.name for path in here.iterdir()] == ["gold.jsonl"]


def test_a_question_that_is_none_is_refused(dragoman: Dragoman, sample_index: Path) -> None:
    assert_one_line_error(dragoman("search", " \t\n\u3000", "--index", sample_index), "empty")
    ran = dragoman("ask", "長" * (MAX_QUESTION_CHARS + 1), "--index", sample_index, "--json")
    assert_one_line_error(ran, f"{MAX_QUESTION_CHARS + 1} characters", f"at most {MAX_QUESTION_CHARS}", "shorten")


def test_a_model_that_is_not_there_is_named_with_the_way_to_it(dragoman: Dragoman, sample_index: Path) -> None:
    ran = dragoman("ask", QUESTION, "--model", "nobody:nothing", "--index", sample_index)
    assert_one_line_error(ran, "'nobody:nothing' cannot be set up", "PROVIDER:NAME")


def test_an_encoder_that_is_not_there_leaves_no_index(here: Path) -> None:
    (here / "a.txt").write_text("A text.", "utf-8")
    ran = shell("index", "a.txt", "--encoder", "nobody/none", env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert_one_line_error(ran, "'nobody/none' is not on this machine", "hf download nobody/none")
    assert not (here / ".dragoman").exists()


def test_paths_that_cannot_be_read_fail_by_name(dragoman: Dragoman, here: Path) -> None:
    ran = dragoman("index", "nowhere.txt")
    assert ran.code == 1
    assert ran.err == "failed: nowhere.txt does not exist; expected: a file, folder or URL; fix: check the path\n"
    (here / "a.txt").write_text("This one can be read.", "utf-8")
    ran = dragoman("index", "nowhere.txt", "a.txt", "https://example.org/x")
    assert ran.code == 0  # something was done
    assert [line.split()[:2] for line in ran.err.splitlines()] == [
        ["failed:", "nowhere.txt"],
        ["failed:", "https://example.org/x:"],
    ]
    assert dragoman("list", "--json").json["failed"][0]["source"] == "https://example.org/x"  # the other is a slip
    assert "1 added" in ran.out and "2 failed" in ran.out
    (here / "file").write_text("in the way", "utf-8")
    assert_one_line_error(dragoman("index", "a.txt", "--index", "file"), "file cannot be an index folder", "--index")
    assert_one_line_error(dragoman("search", "q", "--index", "file"), "there is no index in file")


def test_what_is_not_in_the_index_cannot_be_removed_and_what_is_not_clear_is_not(
    dragoman: Dragoman, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (here / name).mkdir()
        (here / name / "a.txt").write_text(f"An article of {name}.", "utf-8")
        monkeypatch.chdir(here / name)
        assert dragoman("index", "a.txt", "--index", here / "index").code == 0
    monkeypatch.chdir(here)
    assert_one_line_error(dragoman("remove", "b.txt", "c.txt", "--index", "index"), "not in the index: b.txt, c.txt")
    # Both were typed as a.txt, each in its own folder.
    refused = dragoman("remove", "a.txt", "--index", "index")
    assert_one_line_error(refused, "a.txt names 2 documents")
    ids = [document["doc_id"] for document in dragoman("list", "--index", "index", "--json").json["documents"]]
    assert all(name in refused.err for name in ids)
    monkeypatch.chdir(here / "two")
    assert dragoman("remove", "a.txt", "--index", here / "index", "--json").json == {
        "removed": 1
    }  # the one that is here
    left = dragoman("list", "--index", here / "index", "--json").json["documents"]
    assert [document["location"] for document in left] == [str(here.resolve() / "one" / "a.txt")]
    assert dragoman("remove", ids[0], ids[0], "--index", here / "index", "--json").json == {"removed": 1}


EVERY_COMMAND = [
    ["search", QUESTION], ["ask", QUESTION, "--json"], ["list"], ["list", "--stats"], ["remove", "x"], ["doctor"],
    ["doctor", "--repair"], ["index", "a.txt"], ["index", "--refresh"], ["eval", "gold.jsonl"],
]  # fmt: skip


@pytest.mark.parametrize("damage", ["header", "pages", "version"])
def test_a_store_that_cannot_be_read_is_one_line_of_every_command(
    dragoman: Dragoman, writable: Path, here: Path, damage: str
) -> None:
    (here / "a.txt").write_text("A text of some words.", "utf-8")
    (here / "gold.jsonl").write_text(gold_line(), "utf-8")
    path, words = writable / STORE, ("damaged", "backup")
    if damage == "version":
        words = (f"index format {FORMAT_VERSION + 1}", f"at most {FORMAT_VERSION}")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    data = bytearray(path.read_bytes())
    start, end = {"header": (0, 100), "pages": (8_192, len(data) - 8_192), "version": (0, 0)}[damage]
    data[start:end] = np.random.default_rng(0).bytes(end - start)
    for command in EVERY_COMMAND:
        path.write_bytes(data)
        ran = dragoman(*command, "--index", writable)
        if command[0] == "doctor" and damage != "version":
            assert (ran.code, ran.err) == (1, "")
            assert ran.out.startswith("problem: ") and all(word in ran.out for word in words)
        else:
            assert_one_line_error(ran, *words)


# --- another encoder --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded encoder with a quarter of its dimensions: another one, with other vectors."""
    folder = tmp_path_factory.mktemp("encoder") / "small"
    shutil.copytree(EMBEDDED, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings"] = np.ascontiguousarray(tensors["embeddings"][:, :64])
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_another_encoder_is_refused_with_the_command_that_fixes_it_and_that_fixes_it(
    dragoman: Dragoman, writable: Path, small_encoder: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "a.txt").write_text("A text of some words.", "utf-8")
    (here / "gold.jsonl").write_text(gold_line(), "utf-8")
    fix = f"dragoman index --refresh --encoder {small_encoder}"
    with monkeypatch.context() as patch:
        patch.setenv("DRAGOMAN_ENCODER", str(small_encoder))
        for command in (["search", QUESTION], ["ask", QUESTION], ["index", "a.txt"], ["eval", "gold.jsonl"]):
            assert_one_line_error(dragoman(*command, "--index", writable), "made with encoder embedded", fix)
    assert dragoman("doctor", "--index", writable).code == 0  # the refusals changed nothing

    ran = dragoman("index", "a.txt", "--refresh", "--encoder", small_encoder, "--index", writable, "--json")
    assert (ran.code, ran.json["added"], ran.json["failed"]) == (0, 1, [])
    # The index knows its encoder: it need not be named again.
    found = dragoman("search", QUESTION, "--index", writable, "--json").json["results"]
    assert found[0]["source"].endswith("06-webb-en.md")
    stats = dragoman("list", "--stats", "--index", writable, "--json").json
    assert (stats["encoder"], stats["n_documents"], stats["n_stale"]) == (str(small_encoder), 31, 0)
    assert dragoman("doctor", "--index", writable).code == 0
    monkeypatch.setenv("DRAGOMAN_ENCODER", "embedded")
    assert_one_line_error(dragoman("ask", "q", "--index", writable), "--refresh --encoder embedded")


def test_the_size_of_passages_can_be_chosen_and_changed(
    dragoman: Dragoman, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(f"The tunnel number {i} is {i + 3} kilometres long." for i in range(40))
    (here / "a.txt").write_text(text, "utf-8")

    def n_passages() -> int:
        return int(dragoman("list", "--stats", "--json").json["n_passages"])

    monkeypatch.setenv("DRAGOMAN_PASSAGE_TOKENS", "64")
    assert dragoman("index", "a.txt").code == 0
    before = n_passages()
    monkeypatch.setenv("DRAGOMAN_PASSAGE_TOKENS", "100")
    assert_one_line_error(dragoman("index", "a.txt"), "was made with", "dragoman index --refresh")
    monkeypatch.setenv("DRAGOMAN_PASSAGE_TOKENS", "")
    assert dragoman("index", "a.txt", "--json").json["unchanged"] == 1  # its own need not be named again
    assert dragoman("index", "--refresh", "--json").json["replaced"] == 0
    monkeypatch.setenv("DRAGOMAN_PASSAGE_TOKENS", "128")
    assert dragoman("index", "--refresh", "--json").json["replaced"] == 1
    assert 0 < n_passages() < before
    assert dragoman("doctor").code == 0


# --- what documents may hold ------------------------------------------------------------------------------------

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \x08\x7f \x0fend"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_no_control_character_of_a_document_reaches_the_terminal(dragoman: Dragoman, here: Path) -> None:
    row = {"id": HOSTILE, "title": f"Webb {HOSTILE}", "author": HOSTILE}
    row |= {"text": f"The Webb telescope left {HOSTILE} in 2021."}
    broken = {"id": f"bad {HOSTILE}", "text": ""}
    (here / "rows.jsonl").write_text("\n".join(json.dumps(value) for value in (row, broken)), "utf-8")
    (here / "caf\x1b[31m.txt").write_bytes(b"")  # a file name of the same kind
    outputs = [dragoman("index", "rows.jsonl", "caf\x1b[31m.txt", *flags) for flags in (["-v"], ["--json"])]
    for command in (["list"], ["search", "Webb telescope 2021"], ["ask", "When did the Webb telescope leave?"]):
        outputs += [dragoman(*command), dragoman(*command, "--json")]
    for ran in outputs:
        assert ran.code == 0, ran.err
        assert CONTROLS.search(ran.out) is None, ran.out
        assert CONTROLS.search(ran.err) is None, ran.err
    assert "Webb" in outputs[2].out and "red" in outputs[2].out  # the words themselves are shown
    stored = dragoman("list", "--json").json["documents"][0]
    assert stored["source"].startswith("rows.jsonl#\x1b[31mred")  # and JSON gives them as they are, escaped


def test_verbose_tells_what_was_left_out_and_how_files_were_decoded(dragoman: Dragoman, here: Path) -> None:
    (here / "page.txt").write_text("Share\n\nThe Webb telescope left Earth in 2021, and it works well.", "utf-8")
    (here / "legacy.txt").write_bytes("東海道新幹線は一九六四年に開業した。".encode("cp932") * 9)
    assert dragoman("index", "page.txt", "legacy.txt", "--index", "quiet").err == ""
    lines = dragoman("index", "page.txt", "legacy.txt", "-v").err.splitlines()
    assert any(line.startswith("left out: page.txt: ") and line.endswith(": Share") for line in lines)
    assert any(line.startswith("note: legacy.txt: decoded as ") for line in lines)


def test_a_mixed_folder_is_indexed_as_far_as_it_can_be_and_each_bad_file_is_named(
    dragoman: Dragoman, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAGOMAN_MAX_FILE_MB", "1")
    (here / "mixed" / "deep" / ".hidden").mkdir(parents=True)
    good = {"rows.jsonl": '{"id": "1", "text": "Row one is here."}', "deep/below.txt": "รถไฟความเร็วสูงเปิดให้บริการแล้ว"}
    skipped = {"deep/.hidden/secret.txt": "Nobody looks here.", "table.csv": "not,a,known,format"}
    bad = {"notapdf.pdf": ("just words", "PDF"), "large.txt": ("many words " * 100_000, "at most 1 MiB")}
    for name, text in {**good, **skipped, **{name: text for name, (text, _) in bad.items()}}.items():
        (here / "mixed" / name).write_text(text, "utf-8")

    ran = dragoman("index", "mixed", "--json")
    assert (ran.code, ran.json["added"]) == (0, 2)
    reasons = {failure["source"]: failure["reason"] for failure in ran.json["failed"]}
    assert reasons.keys() == {f"mixed/{name}" for name in bad}
    for name, (_, reason) in bad.items():
        assert reason in reasons[f"mixed/{name}"]
        assert f"failed: mixed/{name}: " in ran.err
    assert ran.err.splitlines()[-1] == "skipped, of types that are not read: .csv 1"
    listed = dragoman("list", "--json").json
    assert {d["source"] for d in listed["documents"]} == {"mixed/rows.jsonl#1", "mixed/deep/below.txt"}
    assert dragoman("index", "mixed", "--json").json["unchanged"] == 2


# --- the process ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wide_index(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """An index of so many documents that a list of them fills a pipe."""
    folder = tmp_path_factory.mktemp("wide")
    lines = (json.dumps({"id": f"{i:06}", "title": "x" * 80, "text": f"Number {i}."}) for i in range(1_200))
    (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    ingest(folder / "index", [str(folder / "rows.jsonl")], encoder, n_workers=1)
    return folder / "index"


@pytest.mark.parametrize(("reader", "as_json"), [("head -1", ""), ("true", "--json")])
def test_a_reader_that_goes_away_is_no_traceback(wide_index: Path, reader: str, as_json: str) -> None:
    command = f"{sys.executable} -m ui.cli list {as_json} --index {wide_index} | {reader}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) == (1 if reader == "head -1" else 0)


def test_a_terminal_that_knows_only_ascii_is_no_failure(sample_index: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    ran = shell("ask", "김치의 날은 언제인가?", "--index", sample_index, env=environment)
    assert (ran.code, ran.err) == (0, "")
    assert "문서에는" in ran.out  # its own words, and those of the article
    assert "21-food-ko.md" in ran.out


def workers_of(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                ppid = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if ppid == parent and b"spawn_main" in (entry / "cmdline").read_bytes():
                    yield int(entry.name)
            except OSError:
                continue


@pytest.mark.skipif((os.cpu_count() or 1) < 2 or not Path("/proc/self").exists(), reason="needs workers, seen in /proc")
def test_ctrl_c_stops_with_one_line_and_keeps_what_was_finished(here: Path) -> None:
    body = " ".join(
        ["한국은 11월 22일을 김치의 날로 정했다. The mirror has 18 segments. 東海道新幹線は1964年に開業した。"] * 6
    )
    lines = (json.dumps({"id": str(i), "text": f"Number {i}. {body}"}) for i in range(20_000))
    (here / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    command = [sys.executable, "-m", "ui.cli", "index", "rows.jsonl"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(workers_of(child.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    assert child.poll() is None
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does it: to the whole group
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "")
    lines_told = [line for line in err.splitlines() if not re.match(r"\d+/\d+ files", line)]
    assert lines_told == ["stopped; what was finished is kept, and the same command goes on from there"]
    backend = EmbeddedBackend(here / ".dragoman")
    assert backend.stats().n_documents >= 200


HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from index.store.sqlite import Writer
from index.encoders import load_encoder
with Writer(Path(sys.argv[1]), load_encoder("embedded")):
    print("holding", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_writes(here: Path, sample_index: Path, writable: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD_THE_LOCK, str(writable)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "holding\n"
        (here / "a.txt").write_text("A text of some words.", "utf-8")
        ran = shell("index", "a.txt", "--index", writable)
        assert_one_line_error(ran, f"another process (process {child.pid}) is writing to {writable}", "one writer")
        assert shell("ask", QUESTION, "--index", writable).code == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
