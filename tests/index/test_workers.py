"""Cutting and encoding in several processes: the same bytes as in one, whatever happens to a process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index.documents import Document, Metadata
from index.encoders.base import Encoder
from index.ingest import ingest
from index.pieces import PIECE_CHARS
from index.report import Progress
from index.settings import IndexSettings
from index.store.doctor import examine
from index.store.sqlite import EmbeddedBackend
from index.store.sqlite.problems import STORE
from index.workers import Batch, Workers, fitted
from rag.testing import HashEncoder
from tests.index.conftest import contents, until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds worker processes in /proc")

SENTENCES = (
    "阿特拉斯機器人在波士頓跑步。",
    "한국은 11월 22일을 김치의 날로 정했다.",
    "東海道新幹線は1964年に開業した。",
    "รถไฟความเร็วสูงเปิดให้บริการแล้ว",
    "وفي عام ٢٠٢٠ أُدرج الكسكسي في القائمة.",
    "The mirror of the telescope has 18 segments. 🛰️",
)
N = 300


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of small articles in several languages."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    lines = [
        {"id": str(i), "title": f"T{i}", "text": f"Marker{i}. " + " ".join(SENTENCES[(i + j) % 6] for j in range(30))}
        for i in range(N)
    ]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def alone(corpus: Path, tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """The corpus as one process indexes it."""
    folder = tmp_path_factory.mktemp("alone") / "index"
    ingest(folder, [str(corpus)], encoder, n_workers=0, batch_documents=20)
    return folder


def everything(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the store."""
    tables = {
        "documents": "SELECT * FROM documents ORDER BY doc",
        "passages": "SELECT * FROM passages ORDER BY pid",
        "vectors": "SELECT * FROM vectors ORDER BY pid",
        "terms": "SELECT rowid FROM terms ORDER BY rowid",
        "forms": "SELECT * FROM forms",
        "files": "SELECT * FROM files ORDER BY location",
        "meta": "SELECT * FROM meta WHERE key != 'token' ORDER BY key",
    }
    connection = sqlite3.connect(folder / STORE)
    rows = {name: connection.execute(query).fetchall() for name, query in tables.items()}
    connection.close()
    return rows


def children(parent: int) -> Iterator[int]:
    """Worker processes of `parent`, as /proc knows them."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, ppid = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if int(ppid) == parent and b"spawn_main" in command and state != "Z":
                yield int(entry.name)


@pytest.mark.parametrize("kill_at", [None, 0, 120], ids=["none is killed", "as it starts", "in the middle"])
def test_several_processes_write_the_same_bytes_as_one_though_a_worker_is_killed(
    corpus: Path, alone: Path, tmp_path: Path, encoder: Encoder, kill_at: int | None
) -> None:
    seen: set[int] = set()
    killed: list[int] = []

    def look(progress: Progress) -> None:
        running = [*children(os.getpid())]
        seen.update(running)
        if running and not killed and kill_at is not None and progress.n_documents >= kill_at:
            os.kill(running[0], signal.SIGKILL)
            killed.append(running[0])

    report = ingest(tmp_path / "index", [str(corpus)], encoder, n_workers=2, batch_documents=20, on_progress=look)
    assert (report.added, report.failed) == (N, [])
    assert len(seen) >= 1 and len(killed) == (kill_at is not None)  # work was given away
    assert everything(tmp_path / "index") == everything(alone)
    assert list(children(os.getpid())) == []  # and nobody stays behind


BOUNDED = """
import sys
from pathlib import Path
from index.encoders import load_encoder
from index.ingest import ingest
from index.pool import _limit_memory
folder, *sources = sys.argv[1:]
encoder = load_encoder("embedded")
for n, (source, limit) in enumerate(zip(sources, (4096, 220))):  # MiB; the first loads what every ingest needs
    _limit_memory(limit * 2**20)
    print(ingest(Path(folder) / str(n), [source], encoder, n_workers=0).added)
"""


def test_a_document_of_very_many_sentences_takes_bounded_memory(tmp_path: Path) -> None:
    for name, text in (("short.jsonl", "One bridge is open."), ("long.jsonl", "A.B.C. " * 120_000)):
        (tmp_path / name).write_text(json.dumps({"text": text}), "utf-8")
    sources = [str(tmp_path / "short.jsonl"), str(tmp_path / "long.jsonl")]
    command = [sys.executable, "-c", BOUNDED, str(tmp_path), *sources]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.stdout.split(), done.returncode) == (["1", "1"], 0), done.stderr[-500:]


def test_no_process_is_started_where_none_is_wanted_or_the_encoder_is_not_static(
    corpus: Path, tmp_path: Path, encoder: Encoder
) -> None:
    seen: set[int] = set()
    for n_workers, model in ((0, encoder), (4, HashEncoder(dim=16))):
        ingest(
            tmp_path / str(n_workers), [str(corpus)], model, n_workers=n_workers, batch_documents=20,
            on_progress=lambda _: seen.update(children(os.getpid())),
        )  # fmt: skip
    assert seen == set()


INGEST = """
import sys
from pathlib import Path
from index.ingest import ingest
from index.encoders import load_encoder
if __name__ == "__main__":
    ingest(Path(sys.argv[1]), [sys.argv[2]], load_encoder("embedded"), n_workers=2, batch_documents=1)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_a_parent_that_is_stopped_or_killed_and_none_complains(tmp_path: Path, sent: int) -> None:
    (tmp_path / "run.py").write_text(INGEST, "utf-8")
    lines = (json.dumps({"id": str(i), "text": " ".join(SENTENCES) * 3}) for i in range(5_000))
    (tmp_path / "long.jsonl").write_text("\n".join(lines), "utf-8")
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "index"), str(tmp_path / "long.jsonl")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    until(lambda: len(list(children(child.pid))) == 2)
    workers = list(children(child.pid))
    if sent == signal.SIGINT:
        os.killpg(child.pid, sent)  # a terminal sends it to the whole group
    else:
        child.kill()
    _, errors = child.communicate(timeout=60)
    assert child.returncode == -sent
    # The parent's own: this program does not catch it.
    assert errors.decode().count("Traceback") == (1 if sent == signal.SIGINT else 0)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_a_long_document_is_encoded_in_pieces_and_stored_whole(tmp_path: Path, encoder: Encoder) -> None:
    sections = [f"# Part {i}\n\n{' '.join(f'{s} ({i}.{n})' for n, s in enumerate(SENTENCES * 40))}" for i in range(60)]
    (tmp_path / "long.md").write_text("\n\n".join(sections), "utf-8")
    seen: list[Progress] = []
    folder = tmp_path / "index"
    ingest(folder, [str(tmp_path / "long.md")], encoder, n_workers=2, on_progress=seen.append)
    ((document, _, rows),) = contents(folder).values()
    text = document.text
    with closing(EmbeddedBackend(folder)) as backend, backend.snapshot() as snapshot:
        passages = list(snapshot.passages(range(1, len(rows) + 1)).values())
    assert len(text) > 2 * PIECE_CHARS
    assert len({p.n_passages for p in seen if not p.n_documents}) > 1  # shown as it comes
    assert (seen[-1].n_documents, seen[-1].n_passages) == (1, len(passages))
    covered, heading = 0, ""
    for n, (passage, row) in enumerate(zip(passages, rows, strict=True)):
        assert (row.ordinal, row.start, passage.text) == (n, passage.start, text[passage.start : passage.end])
        assert not text[covered : passage.start].strip()  # no character is lost
        covered = passage.end
        heading = passage.text.split("\n")[0] if passage.text.startswith("Part ") else heading
        assert passage.section == heading
        expected = encoder.encode_sentences([[text[a:b] for a, b in passage.sentences]])
        np.testing.assert_allclose(np.frombuffer(row.vector, "<f2"), expected[0], atol=0.01)
    assert covered == len(text)
    assert examine(folder) == []


def test_no_more_batches_are_read_ahead_than_the_processes_need(encoder: Encoder) -> None:
    n_read = 0

    def batches() -> Iterator[Batch]:
        nonlocal n_read
        for _ in range(12):
            n_read += 1
            batch = Batch()
            batch.add(Document("/a", "a", "A text of some words. " * 2_000, Metadata()), "/a")
            yield batch

    results = []
    with Workers(encoder, IndexSettings(), 2) as workers:
        for n, batch in enumerate(workers.encoded(batches()), 1):
            assert n_read <= n + 3  # two at work, one that waits
            results.append(batch.encoded)
    assert len(results) == 12
    for (other,) in results:  # the first in this process, the others in a pool
        assert other.passages == results[0][0].passages
        assert other.vectors.tobytes() == results[0][0].vectors.tobytes()


def test_passages_are_never_larger_than_the_encoder_reads() -> None:
    asked = IndexSettings(target_tokens=256, max_tokens=384, overlap_sentences=2)
    assert fitted(asked, HashEncoder(max_tokens=None)) is asked
    assert fitted(asked, HashEncoder(max_tokens=384)) is asked
    small = IndexSettings(target_tokens=128, max_tokens=128, overlap_sentences=2)
    assert fitted(asked, HashEncoder(max_tokens=128)) == small
    between = IndexSettings(target_tokens=256, max_tokens=300, overlap_sentences=2)
    assert fitted(asked, HashEncoder(max_tokens=300)) == between
