"""What is the PostgreSQL backend's own: SQLite's ranking, many writers, indexes of vectors, repair, errors."""

from __future__ import annotations

import logging
import multiprocessing
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")

from index.documents import Document, Metadata, Passage, Span  # noqa: E402
from index.encoders.base import Encoder  # noqa: E402
from index.errors import FormatTooNew, IndexMissing, SettingsMismatch, StoreError  # noqa: E402
from index.ingest import ingest, refresh  # noqa: E402
from index.search import search  # noqa: E402
from index.settings import IndexSettings  # noqa: E402
from index.store import examine, open_backend, open_writer, own_folder, repair, shown_place  # noqa: E402
from index.store.base import EVERYTHING, EncodedDocument, Filter, Finding, Hit  # noqa: E402
from index.store.postgres.__main__ import main as shard_main  # noqa: E402
from index.store.postgres.address import parsed  # noqa: E402
from index.store.postgres.schema import (  # noqa: E402
    FORMAT_VERSION,
    MIGRATIONS,
    bring_up_to_date,
    distribute,
    stored_version,
    unsuited_to_sharding,
)
from index.text.terms import indexed_terms, terms  # noqa: E402
from index.workers import encode  # noqa: E402
from rag.testing import HashEncoder  # noqa: E402
from tests.conftest import SAMPLES  # noqa: E402
from tests.index.conftest import until  # noqa: E402

ENCODER = HashEncoder(dim=32)
SETTINGS = IndexSettings()


def made(location: str, text: str, title: str = "", tags: tuple[str, ...] = (), language: str = "en") -> Document:
    return Document(location, location.lstrip("/"), text, Metadata(title, language=language, tags=tags))


def encoded(*documents: Document) -> list[EncodedDocument]:
    return encode([(document, document.location) for document in documents], ENCODER, SETTINGS)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A plain connection that sees the tables of the index at `address`."""
    own = parsed(address)
    with psycopg.connect(own.conninfo, autocommit=True) as connection:
        connection.execute(f"SET search_path = {own.schema}, public")
        yield connection


# --- the same ranking -------------------------------------------------------------------------------------------

QUESTIONS = (
    "When did the Webb telescope leave Earth?",
    "김치의 날은 언제인가요?",
    "新幹線はいつ開業しましたか",
    "機器人能做什麼？",
    "¿Cuántas estaciones tiene la red de alerta?",
    "متى أُدرج الكسكسي في قائمة اليونسكو؟",
    "รถไฟความเร็วสูงไปเชียงใหม่",
    'Who is "Jony Ive"?',
    "Что известно о землетрясении?",
    "What did Altman say about GPT in 2024?",
)
FILTERS = (
    EVERYTHING,
    Filter(languages=("zh", "ko")),
    Filter(since="2024"),
    Filter(until="2024-06", languages=("en", "ja", "th")),
    Filter(sources=("*a*",)),
)


@pytest.fixture(scope="module")
def samples(postgres_server: str, encoder: Encoder) -> Iterator[str]:
    """The sample articles in the database, read in by themselves, not copied."""
    address = f"{postgres_server}{'&' if urlsplit(postgres_server).query else '?'}schema=samples"
    clean = "SET client_min_messages = error; DROP SCHEMA IF EXISTS samples CASCADE"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(clean)
        assert ingest(address, [str(SAMPLES)], encoder, n_workers=1).added == 30
        yield address
        connection.execute(clean)


def damage_in(address: str) -> list[Finding]:
    """What the doctor finds of an index, but that its first ingest has not come to its end."""
    return [finding for finding in examine(address) if "has not been made" not in finding.what]


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_searches_give_what_the_embedded_backend_gives(
    samples: str, sample_index: Path, encoder: Encoder, where: Filter
) -> None:
    ours, theirs = open_backend(samples), open_backend(sample_index)
    found = 0
    with ours.snapshot() as one, theirs.snapshot() as other:
        assert one.languages(where) == other.languages(where)
        for question in QUESTIONS:
            a, b = (search(snapshot, encoder, question, where=where) for snapshot in (one, other))
            assert [(p.passage.doc_id, p.passage.start) for p in a.passages] == [
                (p.passage.doc_id, p.passage.start) for p in b.passages
            ]
            for p, q in zip(a.passages, b.passages, strict=True):
                assert replace(p.passage, pid=0) == replace(q.passage, pid=0)
                assert (p.score, p.dense, p.words, p.names, p.relevance) == pytest.approx(
                    (q.score, q.dense, q.words, q.names, q.relevance), abs=1e-3
                )
                assert (p.lexical_rank, p.best_part, p.quoted, p.forms) == (
                    q.lexical_rank, q.best_part, q.quoted, q.forms
                )  # fmt: skip
            found += len(a.passages)
    assert found > 3 * len(QUESTIONS)


def test_bm25_is_that_of_sqlite_for_words_and_phrases_in_bodies_and_titles(samples: str) -> None:
    backend = open_backend(samples)
    fts = sqlite3.connect(":memory:")
    fts.execute(
        "CREATE VIRTUAL TABLE terms USING fts5 (body, title,"
        " tokenize = \"unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'\")"
    )
    pids = {}
    with backend.snapshot() as snapshot:
        every = [hit.pid for hit in snapshot.nearest(np.full(256, 1 / 16, np.float32), 100_000)]
        for number, passage in enumerate(snapshot.passages(every).values(), 1):
            pids[number] = passage.pid
            body, title = (" ".join(indexed_terms(text)) for text in (passage.text, passage.title))
            fts.execute("INSERT INTO terms (rowid, body, title) VALUES (?, ?, ?)", (number, body, title))
        asked = [terms(question) for question in QUESTIONS]
        asked += [[" ".join(terms("Webb telescope"))], [" ".join(terms("神舟"))], ["the"], [" ".join(terms("of the"))]]
        asked += [["the", " ".join(terms("of the")), "telescope"]]
        n = 0
        for wanted in asked:
            match = " OR ".join(f'"{term}"' for term in wanted)
            rows = fts.execute("SELECT rowid, -bm25(terms, 1.0, 0.6) FROM terms WHERE terms MATCH ?", (match,))
            expected = {pids[number]: score for number, score in rows}
            found = snapshot.lexical(wanted, 10_000)
            assert {hit.pid: hit.score for hit in found} == pytest.approx(expected, abs=1e-4)
            inside = snapshot.lexical(wanted, 10_000, Filter(languages=("ko",)))
            korean = {hit.pid: expected[hit.pid] for hit in found if hit.language == "ko"}
            assert {hit.pid: hit.score for hit in inside} == pytest.approx(korean, abs=1e-4)
            n += len(expected)
    assert n > 70


# --- indexes of vectors -----------------------------------------------------------------------------------------


def vectors_at_random(n: int, language: str, seed: int, tag: str = "") -> list[EncodedDocument]:
    """`n` documents of one passage with eight vectors each."""
    generator = np.random.default_rng(seed)
    found = []
    for i in range(n):
        text = f"word{i} {language}."
        matrix = generator.standard_normal((8, ENCODER.dim)).astype(np.float32)
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        passage = Passage(0, 0, len(text), text, (Span(0, len(text)),), language)
        document = made(f"/{language}/{seed}/{i}", text, tags=(tag,) if tag and i % 50 == 0 else (), language=language)
        found.append(
            EncodedDocument(
                document, (passage,), (matrix.astype(np.float16),), (b"",), (" ".join(terms(text)),), "", "", (), "/f"
            )
        )
    return found


def nearest_by_hand(corpus: Sequence[EncodedDocument], query: np.ndarray, n: int) -> list[tuple[str, float]]:
    scored = [(item.document.doc_id, float((item.vectors[0].astype(np.float32) @ query).max())) for item in corpus]
    return sorted(scored, key=lambda one: -one[1])[:n]


def test_a_language_with_many_vectors_gets_an_index_that_finds_what_comparing_all_finds(postgres: str) -> None:
    many, few = vectors_at_random(800, "en", 1, tag="rare"), vectors_at_random(20, "ko", 2)
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert([*many, *few])
        before = open_backend(postgres).stats()
        assert before.vector_index.endswith("no index yet for en")
        assert writer.refresh_vectors() is True
        assert writer.refresh_vectors() is False  # there is nothing more to do
        gone, later = many[:100], vectors_at_random(50, "en", 3)
        writer.delete([item.document.doc_id for item in gone])
        writer.upsert(later)
    backend = open_backend(postgres)
    stats = backend.stats()
    assert stats.vector_index == "hnsw in 1 languages; exact in 1"
    assert 0.9 < stats.recall < 1.0 or stats.recall == 1.0
    corpus = [*many[100:], *later]
    hits = 0
    with backend.snapshot() as snapshot:
        for seed in range(40):
            query = np.random.default_rng(1000 + seed).standard_normal(ENCODER.dim).astype(np.float32)
            query /= np.linalg.norm(query)
            expected = nearest_by_hand(corpus, query, 10)
            found = snapshot.nearest(query, 10, Filter(languages=("en",)))
            names = {passage.doc_id for passage in snapshot.passages([hit.pid for hit in found]).values()}
            hits += len(names & {doc_id for doc_id, _ in expected})
            # A rare tag is looked for among its own, not among the nearest of all.
            tagged = [item for item in corpus if item.document.metadata.tags]
            pids = [hit.pid for hit in snapshot.nearest(query, 5, Filter(languages=("en",), tags=("rare",)))]
            own = snapshot.passages(pids)
            assert [own[pid].doc_id for pid in pids] == [doc_id for doc_id, _ in nearest_by_hand(tagged, query, 5)]
        assert hits >= 0.95 * 400
        plan = "\n".join(row[0] for row in _plan(postgres, query))
    assert "hnsw_32_en" in plan


def _plan(address: str, query: np.ndarray) -> list[tuple[str]]:
    text = "[" + ",".join(str(float(value)) for value in query) + "]"
    with connected(address) as connection:
        rows: list[tuple[str]] = connection.execute(
            "EXPLAIN SELECT pid FROM vectors WHERE language = 'en' AND dim = 32"
            f" ORDER BY embedding::halfvec(32) <#> '{text}'::halfvec(32) LIMIT 10"
        ).fetchall()
        return rows


def test_other_settings_make_documents_stale_and_a_refresh_brings_them_back(postgres: str) -> None:
    documents = [made(f"/{i}", f"The number {i} is told here. It is told once more: {i}.") for i in range(5)]
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(*documents))
        writer.refresh_vectors()
    other, settings = HashEncoder(dim=16), IndexSettings(target_tokens=40)
    with pytest.raises(SettingsMismatch, match="expected: the same"), open_writer(postgres, other):
        pass
    with pytest.raises(SettingsMismatch, match="target_tokens"), open_writer(postgres, ENCODER, settings):
        pass
    with open_writer(postgres, other, settings, adopt=True) as writer:
        assert writer.n_stale() == 5
    with open_backend(postgres).snapshot() as snapshot:
        assert snapshot.nearest(np.ones(16, np.float32) / 4, 10) == []
        assert len(snapshot.lexical(["number"], 10)) == 5
    assert examine(postgres) == []
    assert refresh(postgres, other, settings, n_workers=1).replaced == 5
    with open_backend(postgres).snapshot() as snapshot:
        assert len(snapshot.nearest(np.ones(16, np.float32) / 4, 100)) == 5
    assert open_backend(postgres).stats().n_stale == 0
    assert examine(postgres) == []


# --- many writers -----------------------------------------------------------------------------------------------

N_PLACES = 12


def written_over(address: str, seed: int, rounds: int) -> None:
    """Write versions of a few documents, in another order each time, and delete some: in a process of its own."""
    generator = np.random.default_rng(seed)
    with open_writer(address, ENCODER, SETTINGS) as writer:
        for number in range(rounds):
            places = generator.permutation(N_PLACES)[: N_PLACES // 2]
            documents = encoded(
                *(made(f"/{place}", f"Version w{seed}n{number} of p{place}. Again.") for place in places)
            )
            writer.upsert(documents)
            if number % 3 == 2:
                writer.delete([documents[0].document.doc_id])


def test_writers_of_the_same_documents_never_leave_two_versions_of_one(postgres: str) -> None:
    context = multiprocessing.get_context("spawn")
    with open_writer(postgres, ENCODER, SETTINGS):
        pass
    processes = [context.Process(target=written_over, args=(postgres, seed, 12)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    backend = open_backend(postgres)
    documents = list(backend.documents())
    assert len({document.location for document in documents}) == len(documents) >= N_PLACES // 2
    assert damage_in(postgres) == []
    with backend.snapshot() as snapshot:
        held = snapshot.passages([hit.pid for hit in snapshot.lexical(["version"], 1_000)])
    assert Counter(passage.doc_id for passage in held.values()) == {d.doc_id: d.n_passages for d in documents}


def test_an_index_is_laid_out_once_by_whoever_comes_first(postgres: str) -> None:
    failures: list[BaseException] = []

    def begin() -> None:
        try:
            with open_writer(postgres, ENCODER, SETTINGS) as writer:
                writer.upsert(encoded(made(f"/{threading.get_ident()}", "A text.")))
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert open_backend(postgres).stats().n_documents == 4


def test_readers_see_all_of_a_change_or_nothing_of_it(postgres: str) -> None:
    def version(number: int) -> list[EncodedDocument]:
        return encoded(*(made(f"/{place}", f"Version v{number} of place p{place}.") for place in range(8)))

    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(version(0))
    backend, stop, seen, wrong = open_backend(postgres), threading.Event(), set[str](), list[object]()

    def look() -> None:
        while not stop.is_set():
            with backend.snapshot() as snapshot:
                found = snapshot.lexical(["version"], 100)
                versions = Counter(
                    passage.text.split()[1] for passage in snapshot.passages([hit.pid for hit in found]).values()
                )
                near = len(snapshot.nearest(ENCODER.encode_queries(["version"])[0], 100))
                if (
                    len(versions) != 1
                    or set(versions.values()) != {8}
                    or (near, sum(snapshot.languages().values())) != (8, 8)
                ):
                    wrong.append((versions, near))
                seen.update(versions)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        for number in range(1, 15):
            writer.upsert(version(number))
    stop.set()
    for reader in readers:
        reader.join(60)
    assert wrong == []
    assert len(seen) > 3


def test_a_change_that_brings_the_same_number_twice_is_still_noticed(postgres: str) -> None:
    """As after a replica without the last writes has become the primary: the count of changes goes on from before."""
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/a", "An old text.")))
    backend = open_backend(postgres)
    with backend.snapshot() as snapshot:
        assert len(snapshot.lexical(["old"], 5)) == 1
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/a", "A new text.")))
    with connected(postgres) as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'generation'")
    with backend.snapshot() as snapshot:
        assert (snapshot.lexical(["old"], 5), len(snapshot.lexical(["new"], 5))) == ([], 1)


def test_the_postings_get_their_indexes_at_the_end_of_the_first_ingest(postgres: str) -> None:
    from index.store.postgres import postings

    def lexical(word: str) -> list[Hit]:
        with closing(open_backend(postgres)) as backend, backend.snapshot() as snapshot:
            return snapshot.lexical([word], 5)

    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/a", "A golden harbour."), made("/b", "A grey harbour.")))
        connection = writer.connection  # type: ignore[attr-defined]
        assert postings.lacking(connection) == ["postings_term", "postings_document"]
        before = lexical("golden")
        assert len(before) == 1
        assert not writer.refresh_vectors()
        assert postings.lacking(connection) == []
        assert lexical("golden") == before
        writer.upsert(encoded(made("/a", "A silver harbour.")))
    assert (lexical("golden"), len(lexical("silver"))) == ([], 1)


@pytest.mark.parametrize("how", ["replaced", "deleted", "forgotten"])
def test_the_first_thing_that_goes_has_the_postings_get_their_indexes(postgres: str, how: str) -> None:
    from index.store.postgres import postings

    documents = encoded(made("/a", "A golden harbour."), made("/b", "A grey harbour."))
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        assert examine(postgres) == []
        writer.upsert(documents)  # and there the first ingest was broken off
    assert [finding.what[:24] for finding in examine(postgres)] == [
        "the index postings_term ",
        "the index postings_docum",
    ]
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/c", "A red harbour.")))
        assert len(postings.lacking(writer.connection)) == 2  # type: ignore[attr-defined]
        if how == "replaced":
            writer.upsert(encoded(made("/a", "A silver harbour.")))
        elif how == "deleted":
            assert writer.delete([documents[0].document.doc_id]) == 1
        else:
            assert writer.forget_files([documents[0].file]) == 1
        assert postings.lacking(writer.connection) == []  # type: ignore[attr-defined]
    assert examine(postgres) == []
    with closing(open_backend(postgres)) as backend, backend.snapshot() as snapshot:
        assert snapshot.lexical(["golden"], 5) == []
        assert len(snapshot.lexical(["harbour"], 5)) == (3 if how == "replaced" else 2)


# --- doctor -----------------------------------------------------------------------------------------------------

ONE = "pid = (SELECT min(pid) FROM passages)"
DAMAGE = {
    f"DELETE FROM postings WHERE {ONE}": "not that of the text for 1 passages",
    f"UPDATE postings SET length = length + 1 WHERE {ONE}": "the lexical index is not",
    "DELETE FROM vectors WHERE part = 0": "the rows of vectors are not those of",
    "DELETE FROM names": "the index of names lacks",
    "DELETE FROM locations": "locations do not lead to their document",
    "INSERT INTO locations VALUES ('00000000-0000-0000-0000-000000000000', 1)": "1 locations do not lead",
    "INSERT INTO tags VALUES (12, 0, 'a', 'a')": "1 rows of tags belong to no document",
    f"UPDATE passages SET vectors = substr(vectors, 3) WHERE {ONE}": "bytes of vectors, not",
    f"UPDATE passages SET text = 'x' WHERE {ONE}": "is not the text of its document",
    f"DELETE FROM passages WHERE {ONE}": "passages, not",
    f"DELETE FROM bodies WHERE {ONE}": "or has no terms",
    "DROP INDEX postings_term": "the index postings_term has not been made",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_doctor_finds_what_is_wrong_and_mends_it(postgres: str, damage: str) -> None:
    corpus = encoded(
        *(
            made(f"/{i}", f"Sam Altman met Jony Ive in Seoul on day {i}. They spoke.", "A meeting", ("t",))
            for i in range(4)
        )
    )
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(corpus)
        writer.refresh_vectors()

    def answers() -> list[Any]:
        with open_backend(postgres).snapshot() as snapshot:
            hits = [
                snapshot.lexical(["altman", "seoul"], 10),
                snapshot.nearest(ENCODER.encode_queries(["Seoul"])[0], 50),
            ]
            return [*({hit.pid: hit.score for hit in own} for own in hits), snapshot.phonetic(["lmn", "ltmn", "sl"])]

    before = answers()
    assert all(before) and examine(postgres) == []
    with connected(postgres) as connection:
        connection.execute(damage)
    findings = examine(postgres)
    assert any(DAMAGE[damage] in finding.what for finding in findings)
    assert all(finding.repairable for finding in findings)
    repair(postgres, ENCODER)
    refresh(postgres, ENCODER, SETTINGS, n_workers=1)
    assert examine(postgres) == []
    after = answers()
    assert after == [pytest.approx(found) for found in before]


# --- the layout -------------------------------------------------------------------------------------------------


def test_the_tables_keep_the_rules_that_let_them_be_sharded(postgres: str) -> None:
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/a", "A text.")))
    own = parsed(postgres)
    with connected(postgres) as connection:
        assert unsuited_to_sharding(connection, own) == []
        for wrong, complaint in (
            ("CREATE UNIQUE INDEX x ON documents (location_key)", "x of documents lacks its distribution column"),
            ("CREATE TABLE y (n integer)", "y has no distribution column"),
            ("ALTER TABLE tags ADD CONSTRAINT z FOREIGN KEY (doc_id) REFERENCES documents", "z is a foreign key"),
            ("CREATE SEQUENCE s", "s is a foreign key, an exclusion, a sequence"),
        ):
            connection.execute(wrong)
            assert any(complaint in one for one in unsuited_to_sharding(connection, own))


class Distributed:
    """Stands for a connection to a server with Citus: remembers what it is asked to distribute."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    def execute(self, query: str, values: tuple[str, str, str]) -> None:
        assert query == "SELECT create_distributed_table(%s, %s, colocate_with => %s)"
        self.calls.append(values)


def test_tables_of_documents_are_distributed_side_by_side(postgres: str, capsys: pytest.CaptureFixture[str]) -> None:
    citus = Distributed()
    distribute(citus)  # type: ignore[arg-type]
    assert citus.calls[:2] == [("documents", "doc_id", "none"), ("passages", "doc_id", "documents")]
    assert {call[1:] for call in citus.calls[1:8]} == {("doc_id", "documents")}
    assert citus.calls[8:] == [("locations", "location_key", "none"), ("files", "location_key", "locations")]
    assert shard_main([postgres]) == 1
    assert "there is no index" in capsys.readouterr().err
    with open_writer(postgres, ENCODER, SETTINGS):
        pass
    assert shard_main([postgres]) == 1
    assert "has no Citus; expected: the extension citus" in capsys.readouterr().err
    assert shard_main([]) == 2


def test_an_older_layout_is_brought_up_to_date_once(postgres: str) -> None:
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/a", "A text.")))
    later = {**MIGRATIONS, FORMAT_VERSION + 1: "ALTER TABLE documents ADD COLUMN extra text; CREATE TABLE more (n int)"}
    own = parsed(postgres)
    with psycopg.connect(own.conninfo, autocommit=True) as connection:
        for _ in range(2):
            bring_up_to_date(connection, own, later)
            assert stored_version(connection, own) == FORMAT_VERSION + 1
        broken = {**later, FORMAT_VERSION + 2: "CREATE TABLE half (n int); SELECT 1 / 0"}
        with pytest.raises(psycopg.errors.DivisionByZero):
            bring_up_to_date(connection, own, broken)
        assert stored_version(connection, own) == FORMAT_VERSION + 1
        assert connection.execute("SELECT to_regclass(%s)", (f"{own.schema}.half",)).fetchone() == (None,)
    with pytest.raises(
        FormatTooNew, match=f"has index format {FORMAT_VERSION + 1}; expected: at most {FORMAT_VERSION}"
    ):
        open_backend(postgres)
    with pytest.raises(FormatTooNew), open_writer(postgres, ENCODER):
        pass
    with pytest.raises(FormatTooNew):
        examine(postgres)


def test_several_indexes_lie_in_one_database(postgres: str) -> None:
    other = re.sub("schema=t", "schema=u", postgres)
    with open_writer(postgres, ENCODER, SETTINGS) as one, open_writer(other, HashEncoder(dim=8)) as two:
        one.upsert(encoded(made("/a", "A text.")))
        assert two.n_stale() == 0
    try:
        assert open_backend(postgres).stats().n_documents == 1
        assert open_backend(other).stats().n_documents == 0
        assert own_folder(postgres) != own_folder(other)
    finally:
        with connected(other) as connection:
            connection.execute(f"SET client_min_messages = error; DROP SCHEMA {parsed(other).schema} CASCADE")


# --- errors -----------------------------------------------------------------------------------------------------


def test_a_place_without_an_index_says_so(postgres: str) -> None:
    with pytest.raises(IndexMissing, match=r"there is no index in .*expected: a schema .*to mend: dragoman index"):
        open_backend(postgres)
    (finding,) = examine(postgres)
    assert "there is no index" in finding.what and not finding.repairable


def test_nothing_shows_a_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for address in (
        "postgresql://me:s3cret@127.0.0.1:1/db?schema=a",
        "postgresql://me@127.0.0.1:1/db?password=s3cret&sslpassword=s3cret",
        "postgresql://me:s3%63ret@/db?host=/nowhere&passfile=/s3cret",
    ):
        with pytest.raises(StoreError, match=r"cannot be reached.*expected: a PostgreSQL server") as caught:
            open_backend(address)
        texts = [str(caught.value), repr(caught.value), str(caught.value.__cause__), shown_place(address), caplog.text]
        assert not any("s3cret" in text for text in texts)
        assert "me@" in shown_place(address) and repr(parsed(address)).count("s3cret") == 0


def test_a_schema_must_be_a_plain_name() -> None:
    with pytest.raises(StoreError, match="lower case letters"):
        open_backend("postgresql:///db?schema=a%22;drop")


def test_a_wrong_password_and_a_user_without_rights_are_told(new_server: Callable[[], Any]) -> None:
    server = new_server()
    with psycopg.connect(server.address, autocommit=True) as connection:
        for role in ("reader", "stranger"):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
        connection.execute("CREATE DATABASE plain")
    rules = (server.folder / "pg_hba.conf").read_text()
    (server.folder / "pg_hba.conf").write_text(f"local all reader,stranger scram-sha-256\n{rules}")
    server.reload()
    host = f"?host={server.folder}"
    with pytest.raises(StoreError, match=r"does not let the user in.*expected: a user and a password") as caught:
        for _ in range(50):  # until the server has read its rules
            with pytest.raises(IndexMissing):
                open_backend(f"postgresql://reader:wrong@/postgres{host}")
    assert "wrong" not in str(caught.value).replace("wrong password", "")
    with pytest.raises(StoreError, match=r"\"?gone\"? does not exist.*expected: a database that exists"):
        open_backend(f"postgresql://postgres@/gone{host}")
    # pgvector can be made by a superuser only.
    plain = f"postgresql://reader:right@/plain{host}"
    with psycopg.connect(f"postgresql://postgres@/plain{host}", autocommit=True) as connection:
        connection.execute("GRANT CREATE ON DATABASE plain TO reader")
    refused = pytest.raises(StoreError, match=r"no usable pgvector.*expected: the extension vector, 0.8")
    with refused, open_writer(plain, ENCODER, SETTINGS):
        pass
    with psycopg.connect(f"postgresql://postgres@/plain{host}", autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    with open_writer(plain, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/a", "A text.")))
    with pytest.raises(StoreError, match=r"may not do this.*expected: the right to read"):
        open_backend(f"postgresql://stranger:right@/plain{host}")


# --- the server is lost -----------------------------------------------------------------------------------------


def batch(number: int) -> list[EncodedDocument]:
    return encoded(*(made(f"/{number}/{i}", f"Batch b{number} has text t{i}. It ends.") for i in range(5)))


def assert_holds(address: str, acknowledged: int, begun: int) -> int:
    """All acknowledged batches are there, whole, and nothing but them and the one that was begun; how many."""
    backend = open_backend(address)
    held = Counter(int(document.location.split("/")[1]) for document in backend.documents())
    assert set(held.values()) <= {5}
    assert set(range(acknowledged)) <= set(held) <= set(range(begun))
    assert damage_in(address) == []
    with backend.snapshot() as snapshot:
        for number in held:
            assert len(snapshot.lexical([f"b{number}"], 10)) == 5
    return len(held)


def test_what_was_acknowledged_outlives_a_server_that_is_killed(new_server: Callable[[], Any]) -> None:
    server = new_server()
    acknowledged = 0
    backend = None
    for round_number in range(3):
        killer = threading.Timer(0.3 + 0.2 * round_number, server.kill)
        with (
            pytest.raises(StoreError, match="cannot be reached"),
            open_writer(server.address, ENCODER, SETTINGS) as writer,
        ):
            backend = backend or open_backend(server.address)
            killer.start()
            while True:
                writer.upsert(batch(acknowledged))
                acknowledged += 1
        killer.join()
        with pytest.raises(StoreError, match="cannot be reached"):
            open_backend(server.address)
        server.start_again()
        acknowledged = assert_holds(server.address, acknowledged, acknowledged + 1)
        # A reader that was open before finds its way to the new server by itself.
        assert backend is not None
        with backend.snapshot() as snapshot:
            assert sum(snapshot.languages().values()) == 5 * acknowledged
    assert acknowledged > 3
    with open_writer(server.address, ENCODER, SETTINGS) as writer:
        writer.upsert(batch(acknowledged))
        writer.refresh_vectors(force=True)
    assert_holds(server.address, acknowledged + 1, acknowledged + 1)


def test_a_replica_answers_and_takes_over_with_all_that_there_was(new_server: Callable[..., Any]) -> None:
    primary = new_server()
    with open_writer(primary.address, ENCODER, SETTINGS) as writer:
        writer.upsert(batch(0))
        replica = new_server(primary)
        reader = open_backend(replica.address)  # which must not need to write
        writer.upsert(batch(1))
    with psycopg.connect(primary.address) as connection:
        position = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
    with psycopg.connect(replica.address, autocommit=True) as connection:
        until(lambda: connection.execute("SELECT pg_last_wal_replay_lsn() >= %s", position).fetchone() == (True,))
    with reader.snapshot() as snapshot:
        assert sum(snapshot.languages().values()) == 10
        assert len(snapshot.lexical(["b1"], 10)) == len(snapshot.nearest(ENCODER.encode_queries(["b1"])[0], 5)) == 5
    assert damage_in(replica.address) == []
    refused = pytest.raises(StoreError, match="it is a replica; expected: the primary")
    with refused, open_writer(replica.address, ENCODER):
        pass
    primary.kill()
    with psycopg.connect(replica.address, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
    with open_writer(replica.address, ENCODER, SETTINGS) as writer:
        writer.upsert(batch(2))
    assert assert_holds(replica.address, 3, 3) == 3
    with reader.snapshot() as snapshot:
        assert sum(snapshot.languages().values()) == 15
