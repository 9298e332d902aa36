"""The embedded backend's own promises: one source of truth, one writer, many readers."""

from __future__ import annotations

import json
import lzma
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from index.documents import Document, Metadata
from index.encoders import load_encoder
from index.errors import (
    FormatTooNew,
    FormatTooOld,
    IndexLocked,
    IndexMissing,
    IndexProblem,
    SettingsMismatch,
    StoreDamaged,
)
from index.ingest import ingest, refresh
from index.search import search
from index.settings import IndexSettings, Parts
from index.store import examine, repair
from index.store.base import EncodedDocument
from index.store.quantized import packed, unpacked
from index.store.sqlite import EmbeddedBackend, Writer
from index.store.sqlite.problems import STORE
from index.store.sqlite.schema import FORMAT_VERSION, connect, create
from index.store.sqlite.snapshot import EmbeddedSnapshot
from index.text.terms import terms
from index.workers import encode
from rag.testing import HashEncoder

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
    """`nearest` gives what numpy gives over the stored vectors of the wholes, in order and score."""
    encoder = HashEncoder(dim=32)
    wholes = [
        (matrix[0].astype(np.float32), passage.language.split("-")[0])
        for item in backend.encoded()
        for matrix, passage in zip(item.vectors, item.passages, strict=True)
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


def test_a_snapshot_held_across_changes_still_answers_from_its_own_state(folder: Path) -> None:
    backend = EmbeddedBackend(folder)
    query = ENCODER.encode_queries(["telescope mirror"])[0]
    with backend.snapshot() as held:
        before = held.nearest(query, 1_000), held.lexical(terms("telescope"), 1_000)
        assert len(before[0]) == sum(len(item.passages) for item in documents(range(40)))
        with Writer(folder, ENCODER) as writer:
            writer.delete([item.document.doc_id for item in documents(range(20))])
            writer.upsert(documents(range(20, 30), version=3))
        with backend.snapshot() as fresh:
            assert markers(fresh, range(40)) == set(range(30, 40))
        assert_nearest_is_exact(backend)
        assert (held.nearest(query, 1_000), held.lexical(terms("telescope"), 1_000)) == before
        assert markers(held, range(40)) == set(range(40))
    assert_nearest_is_exact(backend)


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


def test_ranks_by_words_are_those_of_the_bm25_formula(folder: Path) -> None:
    # FTS5: idf ln((N - n + 0.5) / (n + 0.5)) of rows holding the term, k1 1.2, b 0.75, columns weighed 1.0 and 0.6.
    rows = {i: (item.terms[0].split(), item.title_terms.split()) for i, item in enumerate(documents(range(40)), 1)}
    mean = sum(len(body) + len(title) for body, title in rows.values()) / len(rows)
    wanted = ["marker7v1", "17"]
    expected = {}
    for pid, (body, title) in rows.items():
        score = 0.0
        for term in wanted:
            n_rows = sum(term in body_ or term in title_ for body_, title_ in rows.values())
            idf = max(math.log((len(rows) - n_rows + 0.5) / (n_rows + 0.5)), 1e-6)
            frequency = 1.0 * body.count(term) + 0.6 * title.count(term)
            score += idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * (len(body) + len(title)) / mean))
        if score:
            expected[pid] = score
    assert len(expected) == 2
    with EmbeddedBackend(folder).snapshot() as snapshot:
        found = snapshot.lexical(wanted, 10)
    assert [hit.pid for hit in found] == sorted(expected, key=lambda pid: -expected[pid])
    for pid, _, score in found:
        assert score == pytest.approx(expected[pid], rel=1e-6)


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
        (["UPDATE passages SET parts = CAST(substr(parts, 1, 10) AS BLOB) WHERE pid = 3"], "checksum"),
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


def test_terms_of_another_version_are_made_again_before_anything_is_deleted(folder: Path) -> None:
    alter(
        folder,
        "INSERT INTO terms (terms) VALUES ('delete-all')",
        "INSERT INTO terms (rowid, body, title) SELECT pid, 'older', '' FROM passages",
        "UPDATE meta SET value = '1' WHERE key = 'terms'",
    )
    with Writer(folder, ENCODER) as writer:
        writer.delete([documents([3])[0].document.doc_id])
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


FORMAT_4 = Path(__file__).parent / "format4.sqlite.xz"


def test_an_index_of_the_last_format_is_refused_with_the_command_that_brings_it_up_to_date(tmp_path: Path) -> None:
    """`format4.sqlite.xz` is the store of an index that commit ea25761 made of two articles."""
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / STORE).write_bytes(lzma.decompress(FORMAT_4.read_bytes()))
    backend = EmbeddedBackend(folder)
    with pytest.raises(FormatTooOld, match="dragoman doctor --repair"):
        list(backend.documents())
    with pytest.raises(FormatTooOld, match="dragoman doctor --repair"), backend.snapshot():
        pass
    (finding,) = examine(folder)
    assert finding.repairable and "format 4" in finding.what
    encoder = load_encoder(backend.encoder_name)
    with pytest.raises(FormatTooOld), Writer(folder, encoder):
        pass
    backend.close()
    assert repair(folder, encoder) == []
    refresh(folder, encoder, SETTINGS, n_workers=1)
    assert examine(folder) == []
    backend = EmbeddedBackend(folder)
    texts = {document.source: backend.text(document.doc_id) for document in backend.documents()}
    assert len(texts) == backend.stats().n_documents == 2
    with backend.snapshot() as snapshot:
        found = search(snapshot, encoder, "Who lit the lamp?", 3).passages
        assert found[0].passage.text in (texts[found[0].passage.source] or "")
    assert {document.tags for document in backend.documents()} == {("Lamps", "海"), ()}


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
    yield lambda: refresh(folder, ENCODER, IndexSettings(parts=Parts.WHOLE), n_workers=1)


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
        with pytest.raises(IndexMissing, match="no tables"):
            EmbeddedBackend(folder)
        (finding,) = examine(folder)
        assert "no tables" in finding.what
        with Writer(folder, ENCODER) as writer:
            writer.upsert(documents([1]))
        assert examine(folder) == []


# --- settings and encoders --------------------------------------------------------------------------------------


def test_another_encoder_or_other_settings_are_refused_with_the_command_that_fixes_it(folder: Path) -> None:
    before = EmbeddedBackend(folder).meta()
    with pytest.raises(SettingsMismatch, match="dragoman index --refresh --encoder hash") as refused:
        Writer(folder, HashEncoder(dim=32, n=2)).__enter__()
    assert ENCODER.fingerprint in refused.value.found
    assert HashEncoder(dim=32, n=2).fingerprint in refused.value.expected
    with pytest.raises(SettingsMismatch, match="dragoman index --refresh"):
        Writer(folder, ENCODER, IndexSettings(target_tokens=100)).__enter__()
    with Writer(folder, ENCODER, SETTINGS) as writer:  # its own are welcome, and the refusals kept no lock
        assert writer.settings == SETTINGS
    assert EmbeddedBackend(folder).meta() == before


def test_a_new_encoder_makes_every_document_stale_and_words_still_find_them(folder: Path) -> None:
    other = HashEncoder(dim=8, n=2)
    open_before = EmbeddedBackend(folder)
    assert_nearest_is_exact(open_before)
    with Writer(folder, other, SETTINGS, adopt=True) as writer:
        assert len(writer.stale_documents(100)) == 40
        for backend in (open_before, EmbeddedBackend(folder)):
            assert backend.stats().n_stale == 40
            assert backend.encoder_fingerprint == other.fingerprint
            with backend.snapshot() as snapshot:
                assert snapshot.nearest(other.encode_queries(["telescope"])[0], 10) == []
                assert markers(snapshot, range(40)) == set(range(40))
                assert search(snapshot, other, "Marker7v1", 3).passages[0].passage.source == "d/7.txt"
    assert EmbeddedBackend(folder).stats().n_stale == 40


# --- one writer, many readers -----------------------------------------------------------------------------------

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


KEEP_WRITING = """
import json, sys, time
from pathlib import Path
from index.ingest import ingest
from index.store.sqlite import Writer
from rag.testing import HashEncoder
folder, corpus, texts = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text("utf-8"))
encoder = HashEncoder(dim=32)
for version in range(1, 10_000):
    lines = [json.dumps({"id": str(i), "title": f"T{i}", "text": f"Marker{i} version{version} version. " + text})
             for i, text in enumerate(texts)]
    corpus.write_text("\\n".join(lines), "utf-8")
    ingest(folder, [str(corpus)], encoder, n_workers=1)
    print(version, flush=True)
"""


def test_four_threads_search_while_another_process_writes_and_see_only_what_was_committed(tmp_path: Path) -> None:
    folder, corpus = tmp_path / "index", tmp_path / "corpus.jsonl"
    texts = [f"{SENTENCES[i % 7]} {SENTENCES[(i + 3) % 7]}" for i in range(40)]
    (tmp_path / "texts.json").write_text(json.dumps(texts), "utf-8")
    command = [sys.executable, "-c", KEEP_WRITING, str(folder), str(corpus), str(tmp_path / "texts.json")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    problems: list[str] = []
    states: set[int] = set()
    n_searches = [0] * 4
    stop = threading.Event()

    def look(thread: int, backend: EmbeddedBackend) -> None:
        try:
            while not stop.is_set():
                with backend.snapshot() as snapshot:
                    problems.extend(inspect(snapshot, n_searches[thread] + thread))
                n_searches[thread] += 1
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is to fail for it
            problems.append(f"{type(error).__name__}: {error}")

    def inspect(snapshot: EmbeddedSnapshot, i: int) -> Iterator[str]:
        # One transaction replaces all 40: a snapshot holds 40 passages, all of one version.
        everything = snapshot.passages([hit.pid for hit in snapshot.lexical(["version"], 100)])
        versions = {passage.text.split()[1] for passage in everything.values()}
        if len(everything) != 40 or len(versions) != 1 or sum(snapshot.languages().values()) != 40:
            yield f"{len(everything)} passages of versions {versions}"
        found = snapshot.nearest(ENCODER.encode_queries([texts[i % 40]])[0], 1_000)
        if {hit.pid for hit in found} != set(everything):
            yield f"dense finds {len(found)} passages, words {len(everything)}"
        version = min(versions, default="none")
        states.add(int(version.removeprefix("version").removesuffix(".")))
        for item in search(snapshot, ENCODER, f"Marker{i % 40} {texts[i % 40]}", 5).passages:
            number = int(item.passage.source.rsplit("#", 1)[1])
            if item.passage.text != f"Marker{number} {version} version. {texts[number]}":
                yield f"{item.passage.source} has the text {item.passage.text!r}"

    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        shared = EmbeddedBackend(folder)
        # Two threads share an open index, two have one each.
        backends = [shared, shared, EmbeddedBackend(folder), EmbeddedBackend(folder)]
        threads = [threading.Thread(target=look, args=(i, backend)) for i, backend in enumerate(backends)]
        for thread in threads:
            thread.start()
        last = 1
        while (last < 25 or min(n_searches) < 5) and not problems:
            last = int(child.stdout.readline())
        stop.set()
        for thread in threads:
            thread.join(60)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert problems == []
    assert len(states) >= 5  # the readers did see the index move on


def test_a_killed_process_leaves_an_index_that_opens(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("The telescope has a mirror. It is large.", "utf-8")
    ingest(tmp_path / "index", [str(source)], ENCODER, n_workers=1)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path / "index")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    assert examine(tmp_path / "index") == []
    assert_nearest_is_exact(EmbeddedBackend(tmp_path / "index"))
