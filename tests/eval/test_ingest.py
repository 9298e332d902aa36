"""The speed of an ingest: what is measured is what is stored, and the command on a small world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.ingest.__main__ import main
from eval.ingest.stages import STEPS, stages
from eval.ingest.whole import whole
from index.encoders.base import Encoder
from index.ingest import ingest
from index.settings import IndexSettings
from index.store.sqlite import EmbeddedBackend, examine


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    path = tmp_path / "articles.jsonl"
    lines = [
        {"id": str(i), "title": f"Lamp {i}", "text": f"The lamp {i} was lit in 18{i:02}. 알트만(Altman)은 등대지기다."}
        for i in range(40)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    return path


def rows(folder: Path) -> list[tuple[str, str, bytes]]:
    backend = EmbeddedBackend(folder)
    found = [(doc.title, backend.text(doc.doc_id) or "") for doc in backend.documents()]
    with backend.snapshot() as snapshot:
        pids = sorted(snapshot.passages(range(1, 10**4)))
        vectors = snapshot.vectors(pids)
        own = [(title, text, vectors[pid].matrix.tobytes()) for (title, text), pid in zip(found, pids, strict=True)]
    backend.close()
    return own


def test_the_steps_make_the_index_that_an_ingest_makes(articles: Path, tmp_path: Path, encoder: Encoder) -> None:
    n_passages, ms = stages(articles, tmp_path / "steps", IndexSettings())
    ingest(tmp_path / "whole", [str(articles)], encoder, n_workers=1)
    assert n_passages == 40
    assert rows(tmp_path / "steps") == rows(tmp_path / "whole")
    assert tuple(ms) == STEPS
    assert all(own >= 0 for own in ms.values()) and sum(ms.values()) > 0


def test_a_whole_ingest_is_counted_in_a_process_of_its_own(articles: Path, tmp_path: Path) -> None:
    done = whole(articles, tmp_path / "index", IndexSettings(), 1)
    assert done.n_passages == 40
    assert done.seconds > 0 and done.cpu_seconds > 0
    assert not Path("/proc").exists() or done.peak_bytes > 2**20
    assert examine(tmp_path / "index") == []


@pytest.mark.slow
def test_the_command_tells_steps_and_wholes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data" / "dev" / "xquad"
    folder.mkdir(parents=True)
    context = "The lighthouse was opened in the year {i}. A keeper named Altman lived there with {i} cats."
    paragraphs = [
        {"context": context.format(i=i), "qas": [{"question": f"{i}?", "answers": []}]} for i in range(1800, 1850)
    ]
    (folder / "xquad.en.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")
    figures = tmp_path / "out.jsonl"
    asked = ["--data", str(tmp_path / "data"), "--passages", "40", "--workers", "1", "2", "--json", str(figures)]
    assert main(asked) == 0
    kept = [json.loads(line) for line in figures.read_text("utf-8").splitlines()]
    assert [(row["size"], row.get("n_workers")) for row in kept] == [
        ("default", None), ("default", 1), ("default", 2), ("short", None), ("short", 1), ("short", 2),
    ]  # fmt: skip
    for first, *others in (kept[:3], kept[3:]):
        assert [row["n_passages"] for row in others] == [first["n_passages"]] * 2
    assert kept[0]["machine"] and "commit" in kept[0]
    assert "passages/s" in capsys.readouterr().out
    assert main(["--data", str(tmp_path)]) == 1
    assert "no xquad.*.json" in capsys.readouterr().err
