"""Copies of indexes: from folder to folder, to a database and back; continued, compared, and refused."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from index.documents import Document, Metadata, Passage, Span
from index.encoders.base import Encoder
from index.errors import EncoderMismatch, SettingsMismatch, StoreError
from index.ingest import ingest
from index.move import digest_of, move
from index.names import Alias
from index.search import search
from index.settings import IndexSettings
from index.store import open_backend, open_writer
from index.store.base import EncodedDocument, FileRecord, IndexPlace
from index.store.doctor import examine
from index.store.quantized import rounded
from index.text.terms import indexed_terms
from rag.testing import HashEncoder
from tests.conftest import ROOT, SAMPLES
from tests.index.conftest import contents


@pytest.fixture(params=["embedded", "postgres"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> IndexPlace:
    """An empty place of each kind."""
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres")
        return address
    return tmp_path / "copy"


def digest(place: IndexPlace) -> str:
    with closing(open_backend(place)) as backend, backend.snapshot() as snapshot:
        return digest_of(snapshot)


def listed(place: IndexPlace) -> tuple[list[object], list[object]]:
    """What a user is shown of an index, and the ingest log."""
    with closing(open_backend(place)) as backend:
        return list(backend.documents()), list(backend.files())


def answers(place: IndexPlace, encoder: Encoder) -> list[tuple[str, int]]:
    """The passages found for the title of each document."""
    with closing(open_backend(place)) as backend, backend.snapshot() as snapshot:
        found = [search(snapshot, encoder, document.title).passages for document in backend.documents()]
    return [(one.passage.doc_id, one.passage.start) for passages in found for one in passages]


def test_a_copy_answers_the_same_and_comes_back_the_same(
    sample_index: Path, destination: IndexPlace, encoder: Encoder, tmp_path: Path
) -> None:
    report = move(sample_index, destination, encoder)
    assert (report.n_copied, report.n_removed) == (30, 0)
    back = tmp_path / "back"
    again = move(destination, back, encoder)
    assert again.digest == report.digest == digest(sample_index) == digest(destination) == digest(back)
    assert answers(back, encoder) == answers(destination, encoder) == answers(sample_index, encoder)
    assert listed(back) == listed(destination) == listed(sample_index)
    assert examine(destination) == examine(back) == []
    # The log was copied: nothing is read again.
    assert ingest(destination, [str(SAMPLES)], encoder, n_workers=1).unchanged == 30


def test_a_second_run_copies_what_is_new_and_removes_what_is_gone(
    destination: IndexPlace, encoder: Encoder, tmp_path: Path
) -> None:
    articles, source = tmp_path / "articles", tmp_path / "index"
    articles.mkdir()
    for i in range(4):
        (articles / f"{i}.txt").write_text(f"Article {i}\n\nThe word w{i} stands here, and once more: w{i}.", "utf-8")
    ingest(source, [str(articles)], encoder, n_workers=1)
    move(source, destination, encoder)
    (articles / "0.txt").write_text("Article 0\n\nAnother text stands here now.", "utf-8")
    (articles / "1.txt").unlink()
    (articles / "new.txt").write_text("A new one\n\nIt has a text of its own.", "utf-8")
    ingest(source, [str(articles)], encoder, n_workers=1)
    report = move(source, destination, encoder)
    assert (report.n_copied, report.n_removed) == (2, 1)
    assert digest(source) == digest(destination)
    assert listed(source)[1] == listed(destination)[1]
    assert move(source, destination, encoder).n_copied == 0


MOVE = """
import sys
from index.store import as_place
from index.encoders import load_encoder
from index import move
move.BATCH_DOCUMENTS = 3
source, destination = map(as_place, sys.argv[1:])
move.move(source, destination, load_encoder("embedded"), lambda p: print(p.n_documents, flush=True))
"""


def test_a_copy_that_was_killed_continues_where_it_was(
    sample_index: Path, destination: IndexPlace, encoder: Encoder
) -> None:
    command = [sys.executable, "-c", MOVE, str(sample_index), str(destination)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if int(line) >= 9:
                running.send_signal(signal.SIGKILL)
                break
    assert running.returncode == -signal.SIGKILL
    with open_writer(destination, encoder):  # waits for what the server still does for the killed process
        already = len(listed(destination)[0])
    assert 9 <= already <= 30
    assert move(sample_index, destination, encoder).n_copied == 30 - already
    assert digest(destination) == digest(sample_index)
    assert examine(destination) == []


def test_a_destination_that_was_tampered_with_is_detected(
    sample_index: Path, encoder: Encoder, tmp_path: Path, postgres: str
) -> None:
    folder = tmp_path / "copy"
    move(sample_index, folder, encoder)
    with sqlite3.connect(folder / "store.sqlite") as connection:
        connection.execute("UPDATE passages SET section = 'forged' WHERE pid = 3")
    with pytest.raises(StoreError, match=r"differs from .*run the same command again"):
        move(sample_index, folder, encoder)
    import psycopg

    move(sample_index, postgres, encoder)
    address, _, schema = postgres.rpartition("schema=")
    with psycopg.connect(address.rstrip("?&"), autocommit=True) as database:
        database.execute(
            f"UPDATE {schema}.vectors v SET embedding = (SELECT embedding FROM {schema}.vectors w WHERE w.pid != v.pid"
            f" LIMIT 1) WHERE pid = (SELECT min(pid) FROM {schema}.passages)"
        )
    with pytest.raises(StoreError):
        move(sample_index, postgres, encoder)


def test_an_unsound_copy_is_refused(sample_index: Path, encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(EncoderMismatch, match="the vectors in"):
        move(sample_index, tmp_path / "a", HashEncoder(dim=encoder.dim))
    assert not (tmp_path / "a").exists()
    with open_writer(tmp_path / "b", encoder, IndexSettings(target_tokens=64)):
        pass
    with pytest.raises(SettingsMismatch):
        move(sample_index, tmp_path / "b", encoder)
    stale = tmp_path / "stale"
    shutil.copytree(sample_index, stale)
    with open_writer(stale, encoder, IndexSettings(target_tokens=64), adopt=True):
        pass
    with pytest.raises(StoreError, match=r"has 30 stale documents.*dragoman index --refresh"):
        move(stale, tmp_path / "c", encoder)


def odd_documents(dim: int) -> Iterator[EncodedDocument]:
    """Documents with what is easily lost: no passages, similar names, tags, astral characters, long paths."""
    generator = np.random.default_rng(0)
    aliases = (
        Alias("Jony Ive", "喬尼·艾維", 0.9),
        Alias("喬尼·艾維", "JONY IVE", 0.5),
        Alias("jony ive", "喬尼·艾維", 0.7),
        Alias("A", "B", 1 / 3),
    )
    texts = ("One 🛰️ 𠮷 text. Two.", "Another; 'quoted' \\x00 \t text", "…")
    for i, text in enumerate(texts):
        location = f"/{i}/" + "長い" * 1500
        meta = Metadata("A title 🚀", "https://e.x/?a=b", "Ann", "2024-05", "en", ("Tag", "標籤"))
        passage = Passage(0, 0, len(text), text, (Span(0, len(text)),), "zh-Hant", "section")
        yield EncodedDocument(
            document=Document(location, "source", text, meta, (Span(0, 3),)),
            passages=(passage,),
            vectors=rounded(generator.standard_normal((1, dim))),
            words=(bytes(range(i)),),
            terms=(" ".join(indexed_terms(text)),),
            title_terms=" ".join(indexed_terms(meta.title)),
            sounds="n:ann jnf:ive",
            aliases=aliases,
            file="/file",
        )
    bare = Document("/bare", "bare", "nothing", Metadata())
    yield EncodedDocument(bare, (), np.zeros((0, dim), np.float16), (), (), "", "", (), "/bare")


def test_odd_documents_are_copied_whole(destination: IndexPlace, tmp_path: Path) -> None:
    encoder, source, back = HashEncoder(dim=16), tmp_path / "source", tmp_path / "back"
    with open_writer(source, encoder, IndexSettings()) as writer:
        writer.upsert(list(odd_documents(16)), [FileRecord("/gone", "gone", "", "", "failed", "a reason")])
    report = move(source, destination, encoder)
    assert move(destination, back, encoder).digest == report.digest
    assert (report.n_documents, report.n_passages, report.n_vectors) == (4, 3, 3)
    assert listed(back) == listed(destination) == listed(source)
    assert contents(back) == contents(destination) == contents(source)
    for item in odd_documents(16):
        assert contents(destination)[item.document.doc_id][0] == item.document


def test_contextual_vectors_are_copied_and_made_up_for_by_a_second_run(
    sample_index: Path, destination: IndexPlace, encoder: Encoder, tmp_path: Path
) -> None:
    source = shutil.copytree(sample_index, tmp_path / "source")
    move(source, destination, encoder)
    with closing(open_backend(source)) as backend, backend.snapshot() as snapshot:
        pids = snapshot.without_context("a model")
    with open_writer(source, encoder) as writer:
        writer.add_context("a model", {pid: np.eye(8, dtype=np.float32)[pid % 8] for pid in pids[:-1]})
    move(source, destination, encoder)
    with closing(open_backend(destination)) as backend, backend.snapshot() as snapshot:
        assert snapshot.without_context("a model") == pids[-1:]
    assert examine(destination) == []
