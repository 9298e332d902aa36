"""Cutting and encoding in several processes: the same bytes as in one, whatever happens to a process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
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
from index.text.terms import indexed_terms
from index.workers import Batch, Workers, encode, fitted
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


INGEST = """
import sys
from pathlib import Path
from index.ingest import ingest
from index.encoders import load_encoder
if __name__ == "__main__":
    folder, source, size = sys.argv[1:]
    ingest(Path(folder), [source], load_encoder("embedded"), n_workers=2, batch_documents=int(size))
"""


def script(tmp_path: Path) -> Path:
    """A program that ingests with two workers."""
    path = tmp_path / "run.py"
    path.write_text(INGEST, "utf-8")
    return path


def long_corpus(tmp_path: Path, n: int) -> Path:
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join(json.dumps({"id": str(i), "text": " ".join(SENTENCES) * 3}) for i in range(n)), "utf-8")
    return path


def start(tmp_path: Path, seconds: float = 1.0) -> subprocess.Popen[bytes]:
    """An ingest in a process group of its own, long enough to be stopped, `seconds` after it has got a worker."""
    child = subprocess.Popen(
        [sys.executable, str(script(tmp_path)), str(tmp_path / "index"), str(long_corpus(tmp_path, 5_000)), "1"],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until(lambda: bool(list(children(child.pid))))
    time.sleep(seconds)
    assert child.poll() is None
    return child


def test_several_processes_write_the_same_bytes_as_one(
    corpus: Path, alone: Path, tmp_path: Path, encoder: Encoder
) -> None:
    folder = tmp_path / "index"
    seen: set[int] = set()
    report = ingest(
        folder,
        [str(corpus)],
        encoder,
        n_workers=2,
        batch_documents=20,
        on_progress=lambda _: seen.update(children(os.getpid())),
    )
    assert report.added == N
    assert len(seen) >= 1  # work was given away
    assert everything(folder) == everything(alone)
    assert list(children(os.getpid())) == []  # and nobody stays behind


@pytest.mark.parametrize("n_stored", [0, 120], ids=["as it starts", "in the middle"])
def test_a_killed_worker_costs_a_repeat_and_no_document(
    corpus: Path, alone: Path, tmp_path: Path, encoder: Encoder, n_stored: int
) -> None:
    folder = tmp_path / "index"
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if not killed and progress.n_documents >= n_stored:
            for pid in children(os.getpid()):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                break

    report = ingest(folder, [str(corpus)], encoder, n_workers=2, batch_documents=20, on_progress=kill_one)
    assert len(killed) == 1
    assert (report.added, report.failed) == (N, [])
    assert everything(folder) == everything(alone)


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


def test_a_long_document_is_encoded_in_pieces_and_stored_whole(tmp_path: Path, encoder: Encoder) -> None:
    sections = [f"# Part {i}\n\n{' '.join(f'{s} ({i}.{n})' for n, s in enumerate(SENTENCES * 40))}" for i in range(60)]
    (tmp_path / "long.md").write_text("\n\n".join(sections), "utf-8")
    seen: list[tuple[int, int]] = []
    folder = tmp_path / "index"
    ingest(
        folder,
        [str(tmp_path / "long.md")],
        encoder,
        n_workers=2,
        on_progress=lambda p: seen.append((p.n_documents, p.n_passages)),
    )
    backend = EmbeddedBackend(folder)
    ((document, _, rows),) = contents(folder).values()
    text = document.text
    with backend.snapshot() as snapshot:
        passages = list(snapshot.passages(range(1, len(rows) + 1)).values())
    assert len(text) > 2 * PIECE_CHARS
    assert len({n_passages for n_documents, n_passages in seen if not n_documents}) > 1  # shown as it comes
    assert seen[-1] == (1, len(passages))
    covered, heading = 0, ""
    for n, passage in enumerate(passages):
        assert (rows[n].ordinal, rows[n].start, passage.text) == (n, passage.start, text[passage.start : passage.end])
        assert [(a, b) for a, b in passage.sentences if not passage.start <= a < b <= passage.end] == []
        assert not text[covered : passage.start].strip()  # no character is lost
        covered = passage.end
        heading = passage.text.split("\n")[0] if passage.text.startswith("Part ") else heading
        assert passage.section == heading
    assert covered == len(text)
    for passage, row in zip(passages, rows, strict=True):
        sentences = [[text[a:b] for a, b in passage.sentences]]
        expected = encoder.encode_sentences(sentences)[0]
        np.testing.assert_allclose(np.frombuffer(row.vector, "<f2"), expected, atol=0.01)
    assert examine(folder) == []


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


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    child = start(tmp_path)
    workers = list(children(child.pid))
    assert len(workers) == 2  # started, and at work
    child.kill()
    child.wait()
    assert child.stderr is not None
    child.stderr.close()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0], ids=["it has begun", "it imports", "it works"])
def test_ctrl_c_at_a_terminal_stops_the_parent_and_no_worker_complains(tmp_path: Path, seconds: float) -> None:
    child = start(tmp_path, seconds)
    workers = list(children(child.pid))
    os.killpg(child.pid, signal.SIGINT)  # a terminal sends it to the whole group
    _, errors = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGINT
    assert errors.decode().count("Traceback") == 1  # the parent's own: this script does not catch it
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


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


def test_a_batch_is_cut_encoded_and_split_into_terms(encoder: Encoder) -> None:
    text = "東海道新幹線は1964年に開業した。東京と大阪を結んでいる。The mirror has 18 segments."
    document = Document("/a", "a", text, Metadata(title="新幹線"))
    settings = IndexSettings(target_tokens=200, max_tokens=300)
    (item,) = encode([(document, "/file")], encoder, settings)
    (passage,) = item.passages
    assert (item.file, item.title_terms.split()) == ("/file", indexed_terms("新幹線"))
    assert item.terms[0].split() == indexed_terms(text)
    sentences = [text[a:b] for a, b in passage.sentences]
    assert len(sentences) == 3
    (expected,) = encoder.encode_passages([" ".join(sentences)])
    assert (item.vectors.dtype, item.vectors.shape) == (np.float16, (1, encoder.dim))
    assert float(item.vectors[0].astype(np.float32) @ expected) == pytest.approx(1.0, abs=0.02)
    assert encode([], encoder, settings) == []


def test_passages_are_never_larger_than_the_encoder_reads() -> None:
    asked = IndexSettings(target_tokens=256, max_tokens=384, overlap_sentences=2)
    assert fitted(asked, HashEncoder(max_tokens=None)) is asked
    assert fitted(asked, HashEncoder(max_tokens=384)) is asked
    small = IndexSettings(target_tokens=128, max_tokens=128, overlap_sentences=2)
    assert fitted(asked, HashEncoder(max_tokens=128)) == small
    between = IndexSettings(target_tokens=256, max_tokens=300, overlap_sentences=2)
    assert fitted(asked, HashEncoder(max_tokens=300)) == between
