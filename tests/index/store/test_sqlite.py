"""The embedded backend's own promises: one source of truth, one writer, many readers."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from index.documents import Document, Metadata
from index.errors import (
    FormatTooNew,
    FormatTooOld,
    IndexLocked,
    IndexMissing,
    IndexProblem,
    StoreDamaged,
    StoreFull,
)
from index.ingest import ingest, refresh
from index.search import search
from index.settings import IndexSettings
from index.store.base import EncodedDocument
from index.store.doctor import examine, repair
from index.store.quantized import packed, unpacked
from index.store.sqlite import EmbeddedBackend, Writer
from index.store.sqlite.problems import STORE
from index.store.sqlite.schema import connect, create
from index.store.sqlite.snapshot import EmbeddedSnapshot
from index.store.tables import FORMAT_VERSION
from index.text.terms import terms
from index.workers import encode
from rag.testing import HashEncoder
from tests.index.conftest import contents

ENCODER = HashEncoder(dim=32)
SETTINGS = IndexSettings()
FP16 = 1e-3
SENTENCES = (
    "阿特拉斯機器人在波士頓跑步。",
    "한국은 11월 22일을 김치의 날로 정했다.",
    "東海道新幹線は1964年に開業した。",
    "รถไฟความเร็วสูงเปิดให้บริการแล้ว",
    "وفي عام ٢٠٢٠ أُدرج الكسكسي في قائمة اليونسكو.",
    "The mirror of the telescope has 18 segments. 🛰️",
    "Ngư dân ở Hòn Mun rất lo lắng về rạn san hô.",
)
QUESTIONS = ("telescope mirror", "김치의 날", "新幹線", "رحلة القطار", "zzz")


def documents(numbers: Iterable[int], version: int = 1) -> list[EncodedDocument]:
    """Documents that can be told apart, and from other versions of themselves, by a word each has."""
    found = []
    for i in numbers:
        body = "\n\n".join(SENTENCES[(i + j * version) % len(SENTENCES)] for j in range(3))
        text = f"Marker{i}v{version} stands in it. {body}"
        found.append(Document(f"/d/{i}.txt", f"d/{i}.txt", text, Metadata(f"Title {i}", language="en")))
    return encode([(document, document.location) for document in found], ENCODER, SETTINGS)


def markers(snapshot: EmbeddedSnapshot, numbers: Iterable[int], version: int = 1) -> set[int]:
    """Those of `numbers` whose word is found, each in the text of its own document."""
    found = set()
    for i in numbers:
        hits = snapshot.passages([hit.pid for hit in snapshot.lexical(terms(f"Marker{i}v{version}"), 5)])
        assert all(f"Marker{i}v{version}" in hit.text and hit.source == f"d/{i}.txt" for hit in hits.values())
        if hits:
            found.add(i)
    return found


def assert_nearest_is_exact(backend: EmbeddedBackend) -> None:
    """`nearest` gives what numpy gives over the stored vectors, in order and score."""
    encoder = HashEncoder(dim=32)
    wholes = [
        (np.frombuffer(row.vector, "<f2").astype(np.float32), row.language.split("-")[0])
        for _, _, rows in contents(backend.place).values()
        for row in rows
    ]
    with backend.snapshot() as snapshot:
        for question in QUESTIONS:
            query = encoder.encode_queries([question])[0]
            for n in (3, len(wholes) + 10):
                found = snapshot.nearest(query, n)
                for group in {group for _, group in wholes}:
                    own = sorted((float(whole @ query) for whole, tag in wholes if tag == group), reverse=True)
                    got = [hit.score for hit in found if hit.language.split("-")[0] == group]
                    assert got == pytest.approx(own[:n], abs=FP16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index of documents 0 to 39."""
    path = tmp_path / "index"
    with Writer(path, ENCODER) as writer:
        writer.upsert(documents(range(40)))
    assert examine(path) == []
    return path


# --- an index that changes --------------------------------------------------------------------------------------


def test_an_open_reader_follows_commit_after_commit(folder: Path) -> None:
    backend = EmbeddedBackend(folder)
    assert_nearest_is_exact(backend)
    with Writer(folder, ENCODER) as writer:
        for round_ in range(4):
            writer.upsert(documents(range(40 + 5 * round_, 45 + 5 * round_)))
            assert_nearest_is_exact(backend)
            writer.delete([item.document.doc_id for item in documents([round_, 40 + 5 * round_])])
            assert_nearest_is_exact(backend)
            writer.upsert(documents([41], version=round_ + 2))
            assert_nearest_is_exact(backend)


def test_vectors_in_eight_bits_are_near_and_packing_them_again_changes_nothing() -> None:
    matrix = np.random.default_rng(3).standard_normal((50, 32)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix[7] = 0
    once = unpacked(packed(matrix), 32)
    greatest = np.abs(matrix).max(axis=1, keepdims=True)
    assert (np.abs(once - matrix) <= greatest * (0.5 / 127 + 1e-3)).all()
    assert packed(once.astype(np.float16)) == packed(matrix)
    with pytest.raises(ValueError, match="buffer size"):
        unpacked(packed(matrix)[:-1], 32)


# --- the store itself -------------------------------------------------------------------------------------------


def alter(folder: Path, *statements: str) -> None:
    """Change the store behind the program's back."""
    connection = sqlite3.connect(folder / STORE)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


WRONG_TERM = "INSERT INTO terms (terms, rowid, body, title) VALUES ('delete', 3, 'stands', '')"


@pytest.mark.parametrize(
    ("statements", "complaint"),
    [
        (["UPDATE passages SET words = x'01' WHERE pid = 3"], "checksum"),
        (["UPDATE vectors SET embedding = CAST(x'007e' || substr(embedding, 3) AS BLOB) WHERE pid = 3"], "checksum"),
        (["UPDATE vectors SET embedding = x'00' WHERE pid = 3"], "checksum"),
        (["UPDATE passages SET start = start + 1 WHERE pid = 3"], "checksum"),
        (["DELETE FROM vectors WHERE pid = 3"], "checksum"),
        (["DELETE FROM passages WHERE pid = 3"], "1 documents are damaged"),
        (["UPDATE passages SET end = end + 10000 WHERE pid = 3"], "checksum"),
        ([WRONG_TERM], "the lexical index is wrong for 1 terms"),
        (["INSERT INTO terms (rowid, body, title) VALUES (9999, 'ghost', '')"], "41 passages of 40"),
        (["UPDATE forms SET n_documents = n_documents + 1"], "the names are not those of the texts"),
        (["DELETE FROM documents WHERE doc = 3"], "passages has rows of 1 documents that do not exist"),
    ],
)
def test_the_doctor_finds_and_repairs_what_can_be_made_again_from_the_texts(
    folder: Path, statements: list[str], complaint: str
) -> None:
    texts = {doc.source: EmbeddedBackend(folder).text(doc.doc_id) for doc in EmbeddedBackend(folder).documents()}
    alter(folder, *statements)
    findings = examine(folder)
    assert any(complaint in finding.what for finding in findings), findings
    assert all(finding.repairable for finding in findings)
    try:
        with EmbeddedBackend(folder).snapshot() as snapshot:
            assert search(snapshot, ENCODER, "Marker7v1", 3).passages[0].passage.source == "d/7.txt"
    except StoreDamaged as error:
        assert statements == [WRONG_TERM] and "dragoman doctor --repair" in str(error)
    repair(folder, ENCODER)
    refresh(folder, ENCODER, SETTINGS, n_workers=1)
    assert examine(folder) == []
    backend = EmbeddedBackend(folder)
    left = {doc.source: backend.text(doc.doc_id) for doc in backend.documents()}
    assert left == {source: text for source, text in texts.items() if source in left}
    assert len(left) >= 39
    assert_nearest_is_exact(backend)
    with backend.snapshot() as snapshot:
        assert markers(snapshot, range(40)) == {int(Path(source).stem) for source in left}
        assert snapshot.lexical(["ghost"], 5) == []


def test_a_changed_text_is_found_and_its_source_brings_it_back(tmp_path: Path) -> None:
    source, folder = tmp_path / "a.txt", tmp_path / "index"
    source.write_text("The telescope has a mirror. It is large.", "utf-8")
    ingest(folder, [str(source)], ENCODER, n_workers=1)
    (document,) = EmbeddedBackend(folder).documents()
    alter(folder, "UPDATE documents SET text = replace(text, 'large', 'small')")
    findings = examine(folder)
    assert f"dragoman remove {document.doc_id}" in findings[0].what and not findings[0].repairable
    with Writer(folder, ENCODER) as writer:
        writer.delete([document.doc_id])
    ingest(folder, [str(source)], ENCODER, n_workers=1)
    repair(folder, ENCODER)
    assert examine(folder) == []
    assert EmbeddedBackend(folder).text(document.doc_id) == "The telescope has a mirror. It is large."


def test_terms_of_another_version_are_made_again_before_anything_is_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter(
        folder,
        "INSERT INTO terms (terms) VALUES ('delete-all')",
        "INSERT INTO terms (rowid, body, title) SELECT pid, 'older', '' FROM passages",
    )
    real = IndexSettings.key
    monkeypatch.setattr(IndexSettings, "key", lambda self, fingerprint: real(self, f"newer {fingerprint}"))
    with Writer(folder, ENCODER, adopt=True) as writer:
        writer.delete([documents([3])[0].document.doc_id])
    refresh(folder, ENCODER, SETTINGS, n_workers=1)
    assert examine(folder) == []
    with EmbeddedBackend(folder).snapshot() as snapshot:
        assert snapshot.lexical(["older"], 5) == []
        assert markers(snapshot, range(40)) == set(range(40)) - {3}


def test_the_commonest_of_too_many_terms_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedBackend(folder).snapshot() as snapshot:
        everything = snapshot.lexical(["marker7v1", "stands"], 100)
    monkeypatch.setattr("index.store.sqlite.snapshot._MAX_POSTINGS", 30)
    with EmbeddedBackend(folder).snapshot() as snapshot:
        (hit,) = snapshot.lexical(["marker7v1", "stands"], 100)
        assert len(snapshot.lexical(["stands"], 100)) == len(everything) == 40  # one is always looked for
    assert (hit.pid, hit.score) == (everything[0].pid, pytest.approx(everything[0].score, abs=1e-5))


def test_an_index_of_a_newer_version_is_refused_by_all_who_open_it(folder: Path) -> None:
    alter(folder, f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    for use in (EmbeddedBackend, examine, lambda path: Writer(path, ENCODER).__enter__()):
        with pytest.raises(FormatTooNew, match=f"format {FORMAT_VERSION + 1}.*newer version"):
            use(folder)
    alter(folder, f"PRAGMA user_version = {FORMAT_VERSION}")
    assert examine(folder) == []  # nothing was changed meanwhile, and no lock was kept


def test_an_index_of_an_older_format_is_refused_with_the_command_that_makes_a_new_one(folder: Path) -> None:
    alter(folder, f"PRAGMA user_version = {FORMAT_VERSION - 1}")
    for use in (EmbeddedBackend, lambda path: Writer(path, ENCODER, adopt=True).__enter__()):
        with pytest.raises(FormatTooOld, match=f"dragoman index --index '{folder}-{FORMAT_VERSION}' PATH"):
            use(folder)
    (finding,) = examine(folder)
    assert not finding.repairable and f"format {FORMAT_VERSION - 1}" in finding.what


def every_use(folder: Path) -> Iterator[Callable[[], object]]:
    """All that a command does with an index."""
    yield lambda: list(EmbeddedBackend(folder).documents())
    yield lambda: EmbeddedBackend(folder).stats()
    yield lambda: EmbeddedBackend(folder).failures()
    yield lambda: EmbeddedBackend(folder).text(documents([7])[0].document.doc_id)

    def ask() -> None:
        with EmbeddedBackend(folder).snapshot() as snapshot:
            search(snapshot, ENCODER, "telescope mirror Marker7v1", 10)

    yield ask

    def write() -> None:
        with Writer(folder, ENCODER) as writer:
            writer.upsert(documents(range(5), version=4))
            writer.delete([item.document.doc_id for item in documents(range(10, 20))])
            writer.stale_documents(5)

    yield write
    yield lambda: refresh(folder, ENCODER, IndexSettings(target_tokens=99), n_workers=1)


def overwrite(path: Path, start: float, n: int) -> None:
    """Noise over the page of the file at `start`."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * start) // n * n
    data[at : at + n] = np.random.default_rng(at).bytes(n)
    path.write_bytes(data)


STORE_DAMAGES: dict[str, Callable[[Path], object]] = {
    "no database at all": lambda path: path.write_bytes(b"I am a poem, not a database. " * 1_000),
    "a header of zeros": lambda path: path.write_bytes(bytes(100) + path.read_bytes()[100:]),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: 3 * 16_384]),
    **{
        f"noise at {share:.2f}": lambda path, share=share: overwrite(path, share, 16_384)
        for share in np.linspace(0.02, 0.9, 6)
    },
}


@pytest.mark.parametrize("damage", STORE_DAMAGES)
def test_a_damaged_store_is_an_error_that_says_so_and_never_a_wrong_kind_of_one(
    folder: Path, tmp_path: Path, damage: str
) -> None:
    STORE_DAMAGES[damage](folder / STORE)
    findings = examine(folder)
    assert findings and not all(finding.repairable for finding in findings)
    assert "damaged" in findings[0].what
    for i in range(len(list(every_use(folder)))):
        copy = tmp_path / f"copy{i}"
        shutil.copytree(folder, copy)
        try:
            list(every_use(copy))[i]()  # what does not touch the damaged pages may work
        except IndexProblem as error:
            assert isinstance(error, StoreDamaged)
            assert "backup" in str(error)
    if not damage.startswith("noise"):
        with pytest.raises(StoreDamaged):
            list(EmbeddedBackend(folder).documents())


def test_where_there_is_no_index_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="dragoman index"):
        EmbeddedBackend(tmp_path / "nowhere")
    with pytest.raises(IndexMissing, match="dragoman index"):
        refresh(tmp_path / "nowhere", ENCODER, SETTINGS)
    assert not (tmp_path / "nowhere").exists()  # looking does not make one
    (finding,) = examine(tmp_path)
    assert not finding.repairable


def test_an_index_without_tables_is_missing_until_the_next_writer_makes_them(tmp_path: Path) -> None:
    for state in ("an empty file", "tables without a word in them"):
        folder = tmp_path / state
        folder.mkdir()
        connection = connect(folder, write=True)
        if state != "an empty file":
            create(connection)
        connection.close()
        with pytest.raises(IndexMissing, match="there is no index"):
            EmbeddedBackend(folder)
        (finding,) = examine(folder)
        assert "there is no index" in finding.what
        with Writer(folder, ENCODER) as writer:
            writer.upsert(documents([1]))
        assert examine(folder) == []


def test_a_full_disk_keeps_what_was_committed_and_more_room_lets_it_go_on(folder: Path) -> None:
    with Writer(folder, ENCODER) as writer:
        (n_pages,) = writer.connection.execute("PRAGMA page_count").fetchone()
        writer.connection.execute(f"PRAGMA max_page_count = {n_pages + 5}")  # SQLite's answer is that of a full disk
        with pytest.raises(StoreFull, match="no room left on the disk"):
            writer.upsert(documents(range(40, 400)))
        assert examine(folder) == []
        writer.connection.execute(f"PRAGMA max_page_count = {10 * n_pages}")
        writer.upsert(documents(range(40, 60)))
    with EmbeddedBackend(folder).snapshot() as snapshot:
        assert markers(snapshot, range(400)) == set(range(60))


# --- one writer -------------------------------------------------------------------------------------------------

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from index.store.sqlite import Writer
from rag.testing import HashEncoder
with Writer(Path(sys.argv[1]), HashEncoder(dim=32)):
    print("holding", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_which_process_writes_and_gets_in_when_that_is_gone(folder: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD_THE_LOCK, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == "holding\n"
        with pytest.raises(IndexLocked, match=rf"process {child.pid}\)") as refused:
            Writer(folder, ENCODER).__enter__()
        assert "one writer at a time" in str(refused.value)
        assert_nearest_is_exact(EmbeddedBackend(folder))  # readers are not kept out
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    with Writer(folder, ENCODER) as writer:  # a lock dies with its holder
        writer.upsert(documents([50]))
    assert not list(folder.glob("*.pid"))


def test_two_writers_in_one_process_are_kept_apart_too(folder: Path) -> None:
    with Writer(folder, ENCODER), pytest.raises(IndexLocked, match=str(os.getpid())):
        Writer(folder, ENCODER).__enter__()
    with Writer(folder, ENCODER):
        pass
