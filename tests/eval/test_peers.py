"""Peers: what a worker reads and writes, passages placed by their text, measures by hand, failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.benchmarks.quality import index_part, measures_of
from eval.benchmarks.sets import Part
from eval.gold import CorpusDocument, Evidence, GoldItem
from eval.peers import __main__ as peers
from eval.peers import worker
from eval.peers.judge import Judge
from index.encoders.base import Encoder
from index.store import open_backend

# A system that needs nothing: passages are sentences, ranked by the words they share with the question.
FAKE = """
def fake(job):
    def index(articles):
        passages = [(a["id"], part + ".") for a in articles for part in a["text"].split(".") if part]
        def ask(question):
            words = set(question.lower().strip("?").split())
            best = sorted(passages, key=lambda one: -len(words & set(one[1].lower().strip(".").split())))
            return [{"doc": doc, "text": text} for doc, text in best]
        return len(passages), ask
    return index

def broken(job):
    import not_installed_anywhere
"""
DOCUMENTS = {
    "set.jsonl": [
        CorpusDocument("light", "A lighthouse stands there. Altman lives in it.", lang="en"),
        CorpusDocument("bread", "Brot geht auf. Die Hefe macht das. Brot geht auf.", lang="de"),
    ]
}
ITEMS = [
    GoldItem("1", "Where lives Altman?", "en", True, (), (Evidence("set.jsonl#light", "Altman lives in it."),)),
    GoldItem("2", "What does the yeast?", "en", True, (), (Evidence("set.jsonl#bread", "Die Hefe macht das."),)),
    GoldItem("3", "Nothing?", "en", False, (), ()),
]


@pytest.fixture
def judge(tmp_path: Path, encoder: Encoder) -> Iterator[Judge]:
    index_part(Part(ITEMS, DOCUMENTS), encoder, tmp_path)
    backend = open_backend(tmp_path / "index")
    yield Judge(backend, ITEMS)
    backend.close()


def ids(judge: Judge, folder: Path) -> dict[str, str]:
    """The ids that the systems are given, by the first word of the text."""
    judge.write(folder)
    lines = map(json.loads, (folder / "corpus.jsonl").read_text("utf-8").splitlines())
    return {row["text"].split()[0]: row["id"] for row in lines}


def test_a_passage_stands_wherever_its_text_does(judge: Judge, tmp_path: Path) -> None:
    bread = ids(judge, tmp_path)["Brot"]
    lines = (tmp_path / "questions.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1", "2"]  # those with evidence
    assert judge.spans({"doc": bread, "text": "Brot geht auf."}) == [(bread, 0, 14), (bread, 35, 49)]
    assert judge.spans({"doc": bread, "text": "Not there."}) == judge.spans({"doc": "none", "text": "Brot"}) == []


def test_measures_by_hand(judge: Judge, tmp_path: Path) -> None:
    names = ids(judge, tmp_path)
    other = {"doc": names["Brot"], "text": "Brot geht auf.", "start": 0}
    right = {"doc": names["Brot"], "text": "Die Hefe macht das.", "start": 15}
    first, second = judge.rows({"2": [other, right]})
    assert (first.pair, second.pair) == ("en->en", "en->de")
    assert first.values["recall@10"] == 0.0  # nothing was returned for it
    found = measures_of([first, second])
    assert (found["recall@1"], found["recall@5"], found["recall@5, other language"]) == (0.0, 0.5, 1.0)
    assert second.values["ndcg@10"] == pytest.approx(0.6309, abs=1e-4)  # 1 / log2(3): second place


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that works, and one that fails, in place of the real ones."""
    script = tmp_path / "worker.py"
    script.write_text(peers.WORKER.read_text("utf-8").replace("def main(", f"{FAKE}\n\ndef main("), "utf-8")
    monkeypatch.setattr(peers, "WORKER", script)
    monkeypatch.setattr(peers, "SYSTEMS", {"fake": ("words",), "broken": ("words",)})


@pytest.mark.usefixtures("fakes")
def test_the_command_measures_systems_and_says_which_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "gold").mkdir()
    (tmp_path / "seeds" / "light.txt").write_text("A lighthouse stands there. Altman lives in it.", "utf-8")
    item = {
        "id": "1", "question": "Where lives Altman?", "lang": "en", "answerable": True, "answers": [],
        "evidence": [{"doc": "light.txt", "text": "Altman lives in it."}],
    }  # fmt: skip
    (tmp_path / "gold" / "seeds-dev.jsonl").write_text(json.dumps(item), "utf-8")
    out = tmp_path / "out.json"
    given = ["seeds-dev", "--shared", str(tmp_path), "--out", str(out), "--encoder", "none", "--systems"]
    assert peers.main([*given, "fake", "broken"]) == 1
    found = json.loads(out.read_text("utf-8"))["suites"]["seeds-dev"]
    assert (found["fake, words"]["n"], found["fake, words"]["recall@1"]) == (1, 1.0)
    assert found["fake, words"]["passages/s"] > 0 and "faiss-cpu" in found["fake, words"]["versions"]
    assert "not_installed_anywhere" in found["broken, words"]["problem"]
    assert "not_installed_anywhere" in capsys.readouterr().err
    assert peers.main([*given, "fake"]) == 0
    assert peers.main(["speed", *given[1:], "fake"]) == 1


def test_every_peer_has_its_adapter_and_none_is_imported_with_the_rest() -> None:
    assert all(callable(getattr(worker, system)) for system in peers.SYSTEMS)
    libraries = ("langchain_community", "txtai", "llama_index", "haystack", "torch")
    code = (
        f"import sys, eval.peers.__main__; print([name for name in sys.modules if name.split('.')[0] in {libraries}])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


MODULES = {"langchain": "langchain_community", "llama_index": "llama_index", "haystack": "haystack", "txtai": "txtai"}


@pytest.mark.slow
@pytest.mark.parametrize("system", list(peers.SYSTEMS))
def test_a_real_system_finds_the_passage(system: str, judge: Judge, tmp_path: Path) -> None:
    python = os.environ.get("PEERS_PYTHON", sys.executable)
    looked = subprocess.run([python, "-c", f"import {MODULES.get(system, 'faiss')}"], capture_output=True, check=False)
    if looked.returncode:
        pytest.skip(f"{system} is not installed for {python}: PEERS_PYTHON may name another interpreter")
    judge.write(tmp_path)
    mode = "embedded" if system == "dragoman" else "words"
    report = peers.run(system, {"mode": mode, "encoder": "", "k": 10}, tmp_path, python)
    assert judge.rows(report["ranked"])[0].values["recall@5"] == 1.0  # question and passage share words
    assert report["versions"] and report["n_passages"] >= 2
