"""Copies of indexes: from folder to folder, to a database and back; gone on with, compared, and found out."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.documents import Document, Metadata, Passage, Span
from index.encoders.base import Encoder
from index.errors import CopyDiffers, EncoderMismatch, SettingsMismatch, StoreError
from index.ingest import ingest
from index.move import Contents, contents_of, move
from index.names.mined import Alias
from index.settings import IndexSettings
from index.store import examine, open_backend, open_writer
from index.store.base import EncodedDocument, FileRecord, IndexPlace
from rag.testing import HashEncoder
from tests.conftest import ROOT, SAMPLES
from tests.index.conftest import until


@pytest.fixture(params=["embedded", "postgres"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> IndexPlace:
    """An empty place of each kind."""
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres")
        return address
    return tmp_path / "copy"


def contents(place: IndexPlace) -> Contents:
    backend = open_backend(place)
    try:
        return contents_of(backend.encoded())
    finally:
        backend.close()


def listed(place: IndexPlace) -> tuple[list[object], list[object]]:
    """What a user is shown of an index, and the ingest log."""
    backend = open_backend(place)
    try:
        return list(backend.documents()), list(backend.files())
    finally:
        backend.close()


def test_a_copy_holds_the_same_answers_the_same_and_comes_back_the_same(
    sample_index: Path, destination: IndexPlace, encoder: Encoder, tmp_path: Path
) -> None:
    report = move(sample_index, destination, encoder)
    assert (report.n_copied, report.n_removed) == (30, 0)
    assert report.n_same == report.n_questions == 30
    assert report.shared == 1.0
    back = tmp_path / "back"
    again = move(destination, back, encoder)
    assert again.contents == report.contents == contents(sample_index) == contents(destination) == contents(back)
    assert again.n_same == again.n_questions == 30
    assert listed(back) == listed(destination) == listed(sample_index)
    assert examine(destination) == examine(back) == []
    # The log went along: nothing is read again.
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
    assert contents(source) == contents(destination)
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


def test_a_copy_that_was_killed_goes_on_where_it_was(
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
    until(lambda: len(list(open_backend(destination).documents())) >= 9)
    already = len(list(open_backend(destination).documents()))
    assert 9 <= already < 30
    report = move(sample_index, destination, encoder)
    assert report.n_copied == 30 - already
    assert contents(destination) == contents(sample_index)
    assert examine(destination) == []


def test_a_destination_that_was_tampered_with_is_found_out(
    sample_index: Path, encoder: Encoder, tmp_path: Path, postgres: str
) -> None:
    folder = tmp_path / "copy"
    move(sample_index, folder, encoder)
    with sqlite3.connect(folder / "store.sqlite") as connection:
        connection.execute("UPDATE passages SET section = 'forged' WHERE pid = 3")
    with pytest.raises(CopyDiffers, match=r"holds Contents.*expected: Contents.*to mend: run the same command again"):
        move(sample_index, folder, encoder)
    import psycopg

    move(sample_index, postgres, encoder)
    address, _, schema = postgres.rpartition("schema=")
    with psycopg.connect(address.rstrip("?&"), autocommit=True) as database:
        database.execute(
            f"UPDATE {schema}.passages SET vectors = overlay(vectors PLACING '\\x0000' FROM 1)"
            f" WHERE pid = (SELECT min(pid) FROM {schema}.passages)"
        )
    with pytest.raises(CopyDiffers):
        move(sample_index, postgres, encoder)


def test_what_would_be_no_sound_copy_is_refused(sample_index: Path, encoder: Encoder, tmp_path: Path) -> None:
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
    with pytest.raises(StoreError, match=r"has 30 stale documents.*to mend: dragoman index --refresh"):
        move(stale, tmp_path / "c", encoder)


def odd_documents(dim: int) -> Iterator[EncodedDocument]:
    """Documents with what is easily lost: many parts or none, names alike, tags, astral characters, long locations."""
    generator = np.random.default_rng(0)
    aliases = (
        Alias("Jony Ive", "喬尼·艾維", 0.9),
        Alias("喬尼·艾維", "JONY IVE", 0.5),
        Alias("jony ive", "喬尼·艾維", 0.7),
        Alias("A", "B", 1 / 3),
    )
    for i, (text, n_parts) in enumerate(
        (("One 🛰️ 𠮷 text. Two.", 3), ("Another; 'quoted' \\x00 \t text", 256), ("…", 1))
    ):
        location = f"/{i}/" + "長い" * 1500
        meta = Metadata("A title 🚀", "https://e.x/?a=b", "Ann", "2024-05", "en", ("Tag", "標籤"))
        document = Document(location, "source", text, meta, (Span(0, 3),))
        passage = Passage(0, 0, len(text), text, (Span(0, len(text)),), "zh-Hant", "section")
        matrix = generator.standard_normal((n_parts, dim)).astype(np.float16)
        yield EncodedDocument(
            document,
            (passage,),
            (matrix,),
            (bytes(range(i)),),
            ("one two 🚀 one",),
            "a title",
            "n:ann jnf:ive",
            aliases,
            "/file",
        )
    bare = Document("/bare", "bare", "nothing", Metadata())
    yield EncodedDocument(bare, (), (), (), (), "", "", (), "/bare")


def test_odd_documents_are_copied_whole_and_what_is_lost_shows(destination: IndexPlace, tmp_path: Path) -> None:
    encoder, settings = HashEncoder(dim=16), IndexSettings()
    source = tmp_path / "source"
    with open_writer(source, encoder, settings) as writer:
        writer.upsert(list(odd_documents(16)), [FileRecord("/gone", "gone", "", "", "failed", "a reason")])
    report = move(source, destination, encoder)
    back = tmp_path / "back"
    assert move(destination, back, encoder).contents == report.contents
    assert (report.contents.n_documents, report.contents.n_passages, report.contents.n_vectors) == (4, 3, 260)
    assert listed(back) == listed(source)
    stored = {item.document.location: item for item in open_backend(destination).encoded()}
    for item in odd_documents(16):
        own = stored[item.document.location]
        assert own.document == item.document
        assert (own.passages, own.terms, own.file) == (item.passages, item.terms, item.file)
        for ours, theirs in zip(own.vectors, item.vectors, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert set(item.aliases) <= set(own.aliases) | {Alias("jony ive", "喬尼·艾維", 0.7)}
    # The digest sees every one of these.
    first, *others = stored.values()
    one = contents_of([first]).digest
    for changed in (
        replace(first, file="/other"),
        replace(first, title_terms="other"),
        replace(first, sounds="other"),
        replace(first, aliases=first.aliases[1:]),
        replace(first, terms=("other",)),
        replace(first, vectors=(first.vectors[0] * 2,)),
        replace(first, document=replace(first.document, headings=())),
        replace(first, document=replace(first.document, metadata=replace(first.document.metadata, tags=()))),
        replace(first, passages=(replace(first.passages[0], language="en"),)),
    ):
        assert contents_of([changed]).digest != one
    assert contents_of([first, *others]).digest == contents_of([*others, first]).digest


def test_without_its_client_a_database_is_refused_with_what_brings_it() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from index.store import open_backend\n"
        "from index.errors import StoreError\n"
        "try: open_backend('postgresql:///x')\n"
        "except StoreError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "the client of PostgreSQL is not installed" in ran.stdout
    assert "pip install 'dragoman[postgres]'" in ran.stdout
