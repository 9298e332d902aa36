"""Killed at any moment, or out of room: what was committed answers, and the same command finishes the rest."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from index.encoders.base import Encoder
from index.errors import IndexMissing
from index.ingest import BATCH_DOCUMENTS, ingest
from index.store import open_writer
from index.store.doctor import examine
from index.store.sqlite import EmbeddedBackend
from index.store.sqlite.problems import STORE
from index.text.terms import terms

N = 400
ROUNDS = 15
SENTENCES = (
    "阿特拉斯機器人在波士頓跑步，跳過了障礙物。",
    "한국은 11월 22일을 김치의 날로 정했다.",
    "東海道新幹線は1964年に開業した。",
    "รถไฟความเร็วสูงเปิดให้บริการแล้ว",
    "وفي عام ٢٠٢٠ أُدرج الكسكسي في القائمة.",
    "The mirror of the telescope has 18 segments. 🛰️",
    "Ngư dân rất lo lắng về rạn san hô.",
    "Землетрясение произошло рано утром.",
    "La red de alerta tiene doce estaciones.",
)


ANY = np.full(256, 1 / 16, dtype=np.float32)  # a query of unit length


def marker(i: int, version: int) -> str:
    """A word that this version of this article has and no other."""
    return f"m{i}v{version}x"


def text(i: int, version: int) -> str:
    body = " ".join(SENTENCES[(i * 5 + j * (version + 2)) % len(SENTENCES)] for j in range(6))
    return f"{marker(i, version)} {body}"


def corpus(version: int) -> dict[int, int]:
    """Version of each article in a version of the corpus: from one to the next half change, some come, some go."""
    return {i: version + 1 - (i + version) % 2 for i in range(N) if i % 7 != version % 7}


def write(path: Path, articles: dict[int, int]) -> None:
    lines = (json.dumps({"id": str(i), "text": text(i, v)}, ensure_ascii=False) for i, v in articles.items())
    path.write_text("\n".join(lines), "utf-8")


def stored(backend: EmbeddedBackend) -> dict[int, int]:
    """Version of each article in the index, read off its text, which is that version's to the last character."""
    found = {}
    for document in backend.documents():
        content = backend.text(document.doc_id) or ""
        i, version = (int(number) for number in content.split("x")[0][1:].split("v"))
        assert content == text(i, version)
        assert document.source.endswith(f"#{i}") and not document.stale
        assert i not in found
        found[i] = version
    return found


def assert_answers(folder: Path, possible: list[dict[int, int]], by_vectors: bool = True) -> dict[int, int]:
    """Every stored article is found by its word and by its vectors, and nothing else is; what is stored."""
    backend = EmbeddedBackend(folder)
    found = stored(backend)
    assert set(found.items()) <= {item for articles in possible for item in articles.items()}
    with backend.snapshot() as snapshot:
        n_passages = 0
        for i, version in {item for articles in possible for item in articles.items()}:
            hits = [hit.pid for hit in snapshot.lexical(terms(marker(i, version)), 10)]
            own = snapshot.passages(hits).values()
            assert bool(hits) == (found.get(i) == version)
            assert all(marker(i, version) in passage.text for passage in own)
            if not hits:
                continue
            content = text(i, version)
            assert all(passage.text == content[passage.start : passage.end] for passage in own)
            n_passages += len(hits)
            for pid, own in snapshot.vectors(hits).items() if by_vectors else ():
                assert pid in [hit.pid for hit in snapshot.nearest(own.vector, 20) if hit.score > 0.99]
        assert sum(snapshot.languages().values()) == n_passages == len(found)  # each is one passage long
        assert len(snapshot.nearest(ANY, 10**6)) == n_passages
    backend.close()
    return found


# Importing takes longer than ingesting: one process has imported, and each victim is a fork of it.
NURSERY = """
import os, signal, sys
from pathlib import Path
from index.ingest import ingest
from index.encoders import load_encoder
encoder = load_encoder("embedded")
for line in sys.stdin:
    folder, source = line.split()
    if child := os.fork():
        os.waitpid(child, 0)
        print("gone", flush=True)
        continue
    print(os.getpid(), flush=True)
    tell = lambda progress: print(progress.n_documents, flush=True)
    ingest(Path(folder), [source], encoder, n_workers=1, batch_documents=20, on_progress=tell)
    signal.pause()  # done before the time was up: killed all the same
"""


class Nursery:
    """Ingests in processes of their own, killed after a while."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def kill(self, folder: Path, source: Path, n_documents: int, seconds: float) -> int:
        """Ingest `source` into `folder`, and kill it so long after it has said that `n_documents` are stored.

        Returns:
            How many it had said to be stored when it died.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{folder} {source}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        told = 0
        while told < n_documents:
            told = int(self._process.stdout.readline())
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        while (line := self._process.stdout.readline()) != "gone\n":
            told = int(line.removesuffix("gone\n"))  # a line cut short runs into that word
        return told

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_that_was_committed(
    tmp_path: Path, encoder: Encoder, nursery: Nursery
) -> None:
    source, folder = tmp_path / "corpus.jsonl", tmp_path / "index"
    moments = random.Random(20241122)
    n_middle = 0
    before: dict[int, int] = {}
    for round_ in range(ROUNDS):
        wanted = corpus(round_)
        write(source, wanted)
        changed = {i for i, version in wanted.items() if before.get(i) != version}
        # Anywhere in its work: from before the first commit to the deletions after the last.
        n_awaited = min(len(changed), moments.randrange(int(1.25 * len(changed))))
        n_told = nursery.kill(folder, source, n_awaited, moments.uniform(0, 0.06))

        try:
            now = assert_answers(folder, [before, wanted])
        except IndexMissing:  # killed while it was laid out
            now = {}
            assert not before and not n_told
        n_new = sum(now.get(i) == wanted[i] for i in changed)
        assert n_new >= n_told  # what it had said to be stored is
        assert {i for i in before if i in wanted} <= set(now)  # no article is lost between two versions of it
        n_middle += n_new < len(changed)

        with open_writer(folder, encoder):  # what any next run begins with
            pass
        assert examine(folder) == []

        report = ingest(folder, [str(source)], encoder, n_workers=1, batch_documents=20)
        assert report.failed == []
        assert report.added + report.replaced == len(changed) - n_new
        assert assert_answers(folder, [before, wanted], by_vectors=False) == wanted
        assert examine(folder) == []

        before = wanted
        if round_ % 3 == 2:  # now and then from nothing, for the making of an index can be killed too
            folder, before = tmp_path / f"index-{round_}", {}
    assert n_middle >= ROUNDS // 3 and n_middle < ROUNDS  # many between two commits, some after the last


# --- no room ----------------------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A thousand articles: two transactions of the command's own size."""
    path = tmp_path / "many.jsonl"
    lines = (json.dumps({"id": str(i), "text": text(i, 0)}, ensure_ascii=False) for i in range(1_000))
    path.write_text("\n".join(lines), "utf-8")
    return path


def dragoman(*arguments: Path | str, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ui.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, preexec_fn=before)


def assert_stopped_for_want_of_room(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "no room left on the disk" in line and "run the same command again" in line
    assert "damaged" not in line and "delete" not in line


def n_stored(folder: Path) -> int:
    backend = EmbeddedBackend(folder)
    found = stored(backend)
    backend.close()
    return len(found)


def assert_whole(folder: Path) -> None:
    assert n_stored(folder) == 1_000
    assert examine(folder) == []
    with EmbeddedBackend(folder).snapshot() as snapshot:
        for i in (0, 499, 999):
            (hit,) = snapshot.passages([hit.pid for hit in snapshot.lexical(terms(marker(i, 0)), 10)]).values()
            assert hit.text == text(i, 0)


@pytest.mark.parametrize("left", [0, 32_768])
def test_readers_need_no_room_on_the_disk(sample_index: Path, tmp_path: Path, left: int) -> None:
    folder = shutil.copytree(sample_index, tmp_path / "copy", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    if left:  # by a process that was killed
        (folder / f"{STORE}-shm").write_bytes(bytes(left))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    listed = dragoman("list", "--index", folder, before=limit)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 30), listed.stderr
    found = dragoman("search", "How many segments has the mirror?", "--index", folder, before=limit)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("n_mib", [1, 4])
def test_a_limit_on_file_sizes_stops_the_command_and_its_end_lets_it_go_on(
    tmp_path: Path, many: Path, n_mib: int
) -> None:
    folder = tmp_path / "index"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_mib * 2**20, n_mib * 2**20))

    assert_stopped_for_want_of_room(dragoman("index", many, "--fast", "--index", folder, before=limit))
    kept = n_stored(folder)
    assert kept >= BATCH_DOCUMENTS if n_mib > 1 else kept < 1_000
    assert [finding for finding in examine(folder) if not finding.repairable] == []
    done = dragoman("index", many, "--fast", "--index", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["unchanged"] == kept
    assert_whole(folder)
