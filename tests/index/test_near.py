"""What is told of all passages at once, against the plain definition on the same store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.documents import Document, Metadata
from index.encoders.base import FloatArray
from index.settings import IndexSettings
from index.store.sqlite import EmbeddedBackend, Writer
from index.store.sqlite.building import build
from index.store.sqlite.near import Near, as_single
from index.store.sqlite.postings import Postings, _varints
from index.store.sqlite.reader import EmbeddedSnapshot
from index.store.sqlite.vectors import Vectors, VectorView, for_search, part_ids
from index.text.terms import indexed_terms
from index.workers import encode
from rag.testing import HashEncoder

ENCODER = HashEncoder(dim=32)
TOLD = {
    "en": "The lighthouse number {i} was opened by Altman. It has {i} lamps. Nobody lives there.",
    "ko": "등대 {i}호는 알트만이 열었다. 등불이 {i}개 있다. 아무도 살지 않는다.",
    "zh-Hant": "阿爾特曼啟用了第{i}座燈塔。它有{i}盞燈。沒有人住在那裡。",
    "zh-Hans": "第{i}座灯塔由阿尔特曼启用。它有{i}盏灯。没有人住在那里。",
}
QUESTIONS = ("Who opened lighthouse 17?", "등대 9호는 누가 열었나요?", "第21座燈塔有幾盞燈？")


def write(folder: Path, numbers: range) -> None:
    documents = [
        Document(f"/{tag}/{i}.txt", f"{tag}/{i}.txt", told.format(i=i), Metadata(f"{tag} {i}", language=tag))
        for tag, told in TOLD.items()
        for i in numbers
    ]
    with Writer(folder, ENCODER) as writer:
        writer.upsert(encode([(document, document.location) for document in documents], ENCODER, IndexSettings()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a vector file, from which documents have gone since and to which some have come."""
    folder = tmp_path_factory.mktemp("near") / "index"
    write(folder, range(40))
    with Writer(folder, ENCODER) as writer:
        writer.refresh_vectors(force=True)
        doc_ids = [row[0] for row in writer.connection.execute("SELECT doc_id FROM documents WHERE doc_pk % 5 = 0")]
        assert writer.delete(doc_ids) == 32
    write(folder, range(40, 60))
    return folder


@pytest.fixture
def snapshot(folder: Path) -> Iterator[EmbeddedSnapshot]:
    backend = EmbeddedBackend(folder)
    with backend.snapshot() as snapshot:
        yield snapshot
    backend.close()


def vector(question: str) -> FloatArray:
    found: FloatArray = ENCODER.encode_queries([question])[0]
    return found


def test_an_index_of_codes_finds_nearly_what_an_exact_one_does() -> None:
    generator = np.random.default_rng(1)
    matrices = generator.standard_normal((900, 4, 32))
    matrices /= np.linalg.norm(matrices, axis=2, keepdims=True)
    rows = [(pid, "en" if pid % 2 else "ko", matrix.astype(np.float16)) for pid, matrix in enumerate(matrices, 1)]
    sizes = {"en": 1_800, "ko": 1_800}
    dead = np.concatenate([part_ids(pid, 4) for pid in range(1, 101)])
    exact = Near(VectorView(build(rows, sizes, 32), None, dead), {})
    built = build(rows, sizes, 32, exact_max=300)
    coded = Near(VectorView(Vectors(for_search(built.index), built.partitions), None, dead), {})
    assert (exact.exact, coded.exact) == (True, False)
    hits = 0
    queries = generator.standard_normal((20, 32)).astype(np.float32)
    for query in queries / np.linalg.norm(queries, axis=1, keepdims=True):
        true = exact.nearest(query, 10, ["en"])
        found = coded.probably_nearest(query, 40, ["en"])
        assert len(found) == 40
        assert all(pid % 2 and pid > 100 for pid in found)
        hits += len(set(true) & set(found))
        assert coded.cosines(query, found) == {}  # of codes nothing is told that is not exact
    assert hits >= 0.9 * 200


def test_halves_become_singles_of_the_same_value() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    assert np.array_equal(as_single(finite), finite.astype(np.float32))


@pytest.mark.parametrize("most", [8_000_000, 50])  # of 50, much is forgotten all the time
def test_the_scores_of_terms_add_up_to_those_of_sqlite(
    folder: Path, snapshot: EmbeddedSnapshot, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("index.store.sqlite.postings._MAX_POSTINGS", most)
    connection, postings = snapshot._connection, Postings()
    for question in (*QUESTIONS, 'nothing "of" this', "17 17 lighthouse"):
        wanted = [*indexed_terms(question), "was opened", 'a "quote"']
        expression = " OR ".join('"' + term.replace('"', '""') + '"' for term in dict.fromkeys(wanted))
        for n in (1, 10, 1_000):
            expected = connection.execute(
                "SELECT rowid, -bm25(terms, 1.0, 0.6) AS score FROM terms WHERE terms MATCH ?"
                " ORDER BY score DESC, rowid LIMIT ?",
                (expression, n),
            ).fetchall()
            found = postings.best(connection, wanted, n)
            assert [score for _, score in found] == pytest.approx([score for _, score in expected], rel=1e-5)
            assert {pid for pid, score in found if score > found[-1][1] + 1e-4} <= {pid for pid, _ in expected}
        for term in indexed_terms(question):
            counted = connection.execute("SELECT count(*) FROM terms WHERE terms MATCH ?", (f'"{term}"',))
            assert postings.frequency(connection, term) == counted.fetchone()[0]
    assert postings.best(connection, ["nowhere"], 10) == []


def test_scores_follow_what_is_written_and_terms_that_are_made_anew(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    backend = EmbeddedBackend(tmp_path)

    def agree() -> list[float]:
        with backend.snapshot() as snapshot:
            expected = snapshot._connection.execute(
                'SELECT rowid, -bm25(terms, 1.0, 0.6) AS score FROM terms WHERE terms MATCH \'"lighthouse" OR "en"\''
                " ORDER BY score DESC, rowid"
            ).fetchall()
            found = snapshot.lexical(["lighthouse", "en"], 1_000)
            assert [hit.score for hit in found] == pytest.approx([score for _, score in expected], rel=1e-5)
            return [hit.score for hit in found]

    before = agree()
    write(tmp_path, range(10, 15))
    more = agree()
    assert len(more) == len(before) + 5
    with Writer(tmp_path, ENCODER) as writer:
        writer.delete(
            [row[0] for row in writer.connection.execute("SELECT doc_id FROM documents WHERE doc_pk % 3 = 0")]
        )
    assert len(agree()) < len(more)
    with Writer(tmp_path, ENCODER) as writer, writer.transaction():
        writer.connection.execute("UPDATE documents SET title = title || ' lighthouse en more words'")
        writer.rebuild_terms()
        writer.next_generation()
    assert max(agree()) < 0.001  # every passage holds them now


def test_an_older_state_is_scored_right_after_a_newer_one_has_read_the_lengths(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    backend = EmbeddedBackend(tmp_path)
    with backend.snapshot() as older:
        with Writer(tmp_path, ENCODER) as writer:
            writer.delete(
                [row[0] for row in writer.connection.execute("SELECT doc_id FROM documents WHERE doc_pk < 9")]
            )
        with backend.snapshot() as newer:
            assert newer.lexical(["lighthouse"], 100)
        expected = dict(
            older._connection.execute("SELECT rowid, -bm25(terms, 1.0, 0.6) FROM terms WHERE terms MATCH 'lighthouse'")
        )
        found = {hit.pid: hit.score for hit in older.lexical(["lighthouse"], 100)}
    assert found.keys() == expected.keys() and len(found) == 10
    assert [found[pid] for pid in expected] == pytest.approx(list(expected.values()), rel=1e-5)
    assert older.lexical([], 0) == []


def test_numbers_of_variable_length_are_read_as_sqlite_writes_them() -> None:
    numbers = [0, 1, 127, 128, 300, 16_383, 16_384, 2**35, 2**56 - 1]

    def written(number: int) -> bytes:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(number & 127 | 128)
        return bytes(reversed(groups))

    assert _varints(b"".join(map(written, numbers))).tolist() == numbers
    assert _varints(b"").tolist() == []
