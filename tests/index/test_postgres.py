"""What only PostgreSQL has to guarantee: SQLite's ranking, many writers, vector indexes, repair, errors, replicas."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")

from index.documents import Document, Metadata, Passage, Span  # noqa: E402
from index.encoders.base import Encoder  # noqa: E402
from index.errors import FormatTooNew, FormatTooOld, IndexMissing, StoreError  # noqa: E402
from index.ingest import ingest, refresh  # noqa: E402
from index.search import search  # noqa: E402
from index.settings import IndexSettings  # noqa: E402
from index.store import open_backend, open_writer, shown_place  # noqa: E402
from index.store.base import EVERYTHING, EncodedDocument, Filter, Snapshot  # noqa: E402
from index.store.doctor import examine, repair  # noqa: E402
from index.store.postgres.address import parsed  # noqa: E402
from index.store.quantized import rounded  # noqa: E402
from index.store.tables import FORMAT_VERSION  # noqa: E402
from index.text.terms import terms  # noqa: E402
from index.workers import encode  # noqa: E402
from rag.testing import HashEncoder  # noqa: E402
from tests.conftest import ROOT, SAMPLES  # noqa: E402
from tests.index.conftest import until, with_schema  # noqa: E402

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
        connection.execute(f"SET search_path = {own.schema}, public; SET client_min_messages = error")
        yield connection


# --- the same ranking -------------------------------------------------------------------------------------------

QUESTIONS = (
    "When did the Webb telescope leave Earth?",
    "김치의 날은 언제인가요?",
    "新幹線はいつ開業しましたか",
    "機器人能做什麼？",
    "متى أُدرج الكسكسي في قائمة اليونسكو؟",
    "รถไฟความเร็วสูงไปเชียงใหม่",
    'Who is "Jony Ive"?',
    "What did Altman say about GPT in 2024?",
)
FILTERS = (
    EVERYTHING,
    Filter(languages=("zh", "ko")),
    Filter(until="2024-06", languages=("en", "ja", "th")),
    Filter(sources=("*a*",)),
)


@pytest.fixture(scope="module")
def samples(postgres_server: str, encoder: Encoder) -> Iterator[str]:
    """The sample articles, indexed into the database."""
    address = with_schema(postgres_server, "samples")
    with connected(address) as connection:
        connection.execute("DROP SCHEMA IF EXISTS samples CASCADE")
        assert ingest(address, [str(SAMPLES)], encoder, n_workers=1).added == 30
        yield address
        connection.execute("DROP SCHEMA samples CASCADE")


PHRASES = [[" ".join(terms(text))] for text in ("Webb Space Telescope", "김치의", "of the")]


def scores(snapshot: Snapshot, wanted: list[str], where: Filter) -> dict[tuple[str, int], float]:
    """The BM25 of each passage, by its document and place."""
    found = {hit.pid: hit.score for hit in snapshot.lexical(wanted, 10_000, where)}
    return {(p.doc_id, p.start): found[pid] for pid, p in snapshot.passages(list(found)).items()}


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_searches_give_what_the_embedded_backend_gives(
    samples: str, sample_index: Path, encoder: Encoder, where: Filter
) -> None:
    n_found = 0
    with open_backend(samples).snapshot() as one, open_backend(sample_index).snapshot() as other:
        assert one.languages(where) == other.languages(where)
        for question in QUESTIONS:
            ours, theirs = (search(snapshot, encoder, question, where=where).passages for snapshot in (one, other))
            assert [replace(p.passage, pid=0) for p in ours] == [replace(p.passage, pid=0) for p in theirs]
            assert [p.score for p in ours] == pytest.approx([p.score for p in theirs], abs=1e-3)
            n_found += len(ours)
        for wanted in (["the"], *(terms(question) for question in QUESTIONS), *PHRASES):
            assert scores(one, wanted, where) == pytest.approx(scores(other, wanted, where), abs=1e-4)
    assert n_found > 3 * len(QUESTIONS)
    with open_backend(samples).snapshot() as one:
        assert all(scores(one, phrase, EVERYTHING) for phrase in PHRASES)


# --- vector indexes ---------------------------------------------------------------------------------------------


def random_documents(n: int, language: str, seed: int) -> list[EncodedDocument]:
    """`n` documents of one passage; one in fifty has the tag `rare`."""
    generator = np.random.default_rng(seed)
    found = []
    for i in range(n):
        text = f"word{i} {language}."
        vector = generator.standard_normal((1, ENCODER.dim)).astype(np.float32)
        vector /= np.linalg.norm(vector)
        passage = Passage(0, 0, len(text), text, (Span(0, len(text)),), language)
        document = made(f"/{language}/{seed}/{i}", text, tags=() if i % 50 else ("rare",), language=language)
        (own,) = encoded(document)
        found.append(replace(own, passages=(passage,), vectors=rounded(vector)))
    return found


def nearest_by_hand(corpus: list[EncodedDocument], query: np.ndarray, n: int) -> list[str]:
    cosines = [float(item.vectors[0].astype(np.float32) @ query) for item in corpus]
    return [corpus[i].document.doc_id for i in np.argsort(cosines)[::-1][:n]]


def test_a_language_with_many_passages_gets_an_index_that_finds_what_comparing_all_finds(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.store.postgres.hnsw.EXACT_MAX", 500)
    many, few, later = random_documents(800, "en", 1), random_documents(20, "ko", 2), random_documents(50, "en", 3)
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert([*many, *few])
        assert open_backend(postgres).stats().vector_index == "exact"
        assert writer.refresh_vectors() is True
        assert writer.refresh_vectors() is False  # there is nothing more to do
        writer.delete([item.document.doc_id for item in many[:100]])
        writer.upsert(later)
    backend = open_backend(postgres)
    assert backend.stats().vector_index == "hnsw in 1 languages, exact in others"
    corpus = [*many[100:], *later]
    tagged = [item for item in corpus if item.document.metadata.tags]
    n_hits = 0
    with backend.snapshot() as snapshot:
        for seed in range(40):
            query = np.random.default_rng(1000 + seed).standard_normal(ENCODER.dim).astype(np.float32)
            query /= np.linalg.norm(query)
            doc_ids = [
                [snapshot.passages([hit.pid])[hit.pid].doc_id for hit in snapshot.nearest(query, n, where)]
                for n, where in ((10, Filter(languages=("en",))), (5, Filter(languages=("en",), tags=("rare",))))
            ]
            n_hits += len({*doc_ids[0]} & {*nearest_by_hand(corpus, query, 10)})
            # A rare tag is searched among its own vectors, not among the nearest of all.
            assert doc_ids[1] == nearest_by_hand(tagged, query, 5)
    assert n_hits >= 0.95 * 400
    with connected(postgres) as connection:
        distance = f"embedding::halfvec(32) <#> '{query.tolist()}'"
        where = "language = 'en' AND vector_dims(embedding) = 32"
        plan = connection.execute(f"EXPLAIN SELECT pid FROM vectors WHERE {where} ORDER BY {distance} LIMIT 10")
        assert "hnsw_32_en" in str(plan.fetchall())


# --- many writers -----------------------------------------------------------------------------------------------

N_PLACES = 12


def write_versions(address: str, seed: int, rounds: int) -> None:
    """Write versions of a few documents, in another order each time, and delete some: in a process of its own."""
    generator = np.random.default_rng(seed)
    with open_writer(address, ENCODER, SETTINGS) as writer:
        for number in range(rounds):
            places = generator.permutation(N_PLACES)[: N_PLACES // 2]
            texts = {f"/{place}": f"Version w{seed}n{number} of p{place}. Again." for place in places}
            documents = encoded(*(made(location, text) for location, text in texts.items()))
            writer.upsert(documents)
            if number % 3 == 2:
                writer.delete([item.document.doc_id for item in documents[:3]])


def test_writers_of_the_same_documents_never_leave_two_versions_of_one(postgres: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_versions, args=(postgres, seed, 12)) for seed in range(3)]
    for process in processes:  # all of them find no tables at first
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    backend = open_backend(postgres)
    documents = list(backend.documents())
    assert len({document.location for document in documents}) == len(documents) >= N_PLACES // 4
    assert examine(postgres) == []
    with backend.snapshot() as snapshot:
        held = snapshot.passages([hit.pid for hit in snapshot.lexical(["version"], 1_000)])
    assert Counter(passage.doc_id for passage in held.values()) == {d.doc_id: d.n_passages for d in documents}


# --- doctor -----------------------------------------------------------------------------------------------------

ONE = "pid = (SELECT min(pid) FROM passages)"
DAMAGE = {
    f"DELETE FROM postings WHERE {ONE}": "the lexical index is wrong for 1 documents",
    f"UPDATE postings SET n_terms = n_terms + 1 WHERE {ONE}": "the lexical index is wrong for 1",
    "UPDATE postings SET frequency = 9 WHERE ctid = '(0,1)'": "the lexical index is wrong for 1",
    "DELETE FROM vectors": "vectors or words of 4 documents are damaged",
    f"UPDATE vectors SET embedding = '[1,2]' WHERE {ONE}": "vectors or words of 1 documents are damaged",
    f"UPDATE passages SET section = 'x' WHERE {ONE}": "the passages, vectors or words of 1",
    f"DELETE FROM passages WHERE {ONE}": "the passages, vectors or words of 1",
    f"DELETE FROM terms WHERE {ONE}": "the lexical index is wrong for 1 documents",
    "DELETE FROM names": "the names are not those of the texts",
    "INSERT INTO names VALUES (12, 'a', 'a')": "names has rows of 1 documents that do not exist",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_doctor_finds_what_is_wrong_and_repairs_it(postgres: str, damage: str) -> None:
    texts = (f"Sam Altman met Jony Ive in Seoul on day {i}. They spoke." for i in range(4))
    with open_writer(postgres, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(*(made(f"/{i}", text, "A meeting", ("t",)) for i, text in enumerate(texts))))

    def answers() -> list[dict[object, float]]:
        with open_backend(postgres).snapshot() as snapshot:
            hits = [
                snapshot.lexical(["altman", "seoul"], 10),
                snapshot.nearest(ENCODER.encode_queries(["Seoul"])[0], 50),
            ]
            stored = snapshot.passages([hit.pid for own in hits for hit in own])
            return [{(stored[hit.pid].text, hit.language): hit.score for hit in own} for own in hits]

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
    assert answers() == [pytest.approx(hits) for hits in before]


# --- the layout -------------------------------------------------------------------------------------------------


def test_the_tables_keep_the_rules_that_let_them_be_sharded(postgres: str) -> None:
    with open_writer(postgres, ENCODER, SETTINGS):
        pass
    with connected(postgres) as connection:
        unique = connection.execute(
            "SELECT c.relname, array_agg(a.attname::text) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)"
            " WHERE i.indisunique AND c.relnamespace = current_schema()::regnamespace GROUP BY c.relname, i.indexrelid"
        ).fetchall()
        others = connection.execute(
            "SELECT conname FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace"
            " WHERE contype IN ('f', 'x') AND nspname = current_schema() UNION ALL"
            " SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace"
        ).fetchall()
    tables = {"meta", "documents", "passages", "vectors", "context", "terms"}
    assert {table for table, _ in unique} == tables
    assert all("doc" in columns for table, columns in unique if table != "meta")
    assert others == []


@pytest.mark.parametrize(
    ("version", "kind", "message"),
    [
        (FORMAT_VERSION - 1, FormatTooOld, "of an older version.*dragoman index --index .*_v8' PATH"),
        (FORMAT_VERSION + 1, FormatTooNew, f"expected: at most {FORMAT_VERSION}"),
    ],
)
def test_another_format_is_refused_with_the_command_that_helps(
    postgres: str, version: int, kind: type[StoreError], message: str
) -> None:
    with open_writer(postgres, ENCODER, SETTINGS):
        pass
    with connected(postgres) as connection:
        connection.execute("UPDATE meta SET value = %s WHERE key = 'format'", (str(version),))
    for use in (open_backend, lambda place: open_writer(place, ENCODER).__enter__()):
        with pytest.raises(kind, match=f"has index format {version}.*{message}"):
            use(postgres)


# --- errors -----------------------------------------------------------------------------------------------------


def test_nothing_shows_a_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for address in (
        "postgresql://me:s3cret@127.0.0.1:1/db?schema=a",
        "postgresql://me@127.0.0.1:1/db?password=s3cret&sslpassword=s3cret",
        "postgresql://me:s3%63ret@/db?host=/nowhere&passfile=/s3cret",
    ):
        with pytest.raises(
            StoreError, match=r"cannot be reached.*expected: a PostgreSQL server that answers"
        ) as caught:
            open_backend(address)
        texts = [str(caught.value), repr(caught.value), str(caught.value.__cause__), shown_place(address), caplog.text]
        assert not any("s3cret" in text for text in texts)
        assert "me@" in shown_place(address) and repr(parsed(address)).count("s3cret") == 0
    with pytest.raises(StoreError, match="lower case letters"):  # nor is a schema more than a plain name
        open_backend("postgresql:///db?schema=a%22;drop")


def test_without_its_client_a_database_is_refused_with_the_command_that_installs_it() -> None:
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


def test_a_wrong_password_and_missing_rights_are_clear_errors(new_server: Callable[[], Any]) -> None:
    server = new_server()
    with psycopg.connect(server.address, autocommit=True) as connection:
        for role in ("reader", "stranger"):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
        connection.execute("CREATE DATABASE plain")
    rules = (server.folder / "pg_hba.conf").read_text()
    (server.folder / "pg_hba.conf").write_text(f"local all reader,stranger scram-sha-256\n{rules}")
    server.reload()
    host = f"?host={server.folder}"
    with pytest.raises(
        StoreError, match=r"password authentication failed.*expected: .* a user and a password"
    ) as caught:
        until(lambda: not open_without_index(f"postgresql://reader:wrong@/postgres{host}"))
    assert "wrong" not in str(caught.value).replace("wrong password", "")
    with pytest.raises(StoreError, match=r"\"?gone\"? does not exist.*expected: .* a database that exists"):
        open_backend(f"postgresql://postgres@/gone{host}")
    # Only a superuser can create pgvector.
    plain = f"postgresql://reader:right@/plain{host}"
    with psycopg.connect(f"postgresql://postgres@/plain{host}", autocommit=True) as connection:
        connection.execute("GRANT CREATE ON DATABASE plain TO reader")
        refused = pytest.raises(StoreError, match=r"no usable pgvector.*expected: the extension vector, 0.8")
        with refused, open_writer(plain, ENCODER, SETTINGS):
            pass
        connection.execute("CREATE EXTENSION vector")
    with open_writer(plain, ENCODER, SETTINGS) as writer:
        writer.upsert(encoded(made("/a", "A text.")))
    with pytest.raises(StoreError, match=r"lacks a right.*expected: the right to read"):
        open_backend(f"postgresql://stranger:right@/plain{host}")


def open_without_index(address: str) -> bool:
    """Whether the server lets the user in; there is no index."""
    with pytest.raises(IndexMissing):
        open_backend(address)
    return True


# --- the server is lost -----------------------------------------------------------------------------------------


def batch(number: int) -> list[EncodedDocument]:
    return encoded(*(made(f"/{number}/{i}", f"Batch b{number} has text t{i}. It ends.") for i in range(5)))


def assert_holds(address: str, acknowledged: int, begun: int) -> int:
    """All acknowledged batches are there, whole, and nothing but them and the one that was begun; how many."""
    backend = open_backend(address)
    held = Counter(int(document.location.split("/")[1]) for document in backend.documents())
    assert set(held.values()) <= {5}
    assert set(range(acknowledged)) <= set(held) <= set(range(begun))
    assert examine(address) == []
    with backend.snapshot() as snapshot:
        for number in held:
            assert len(snapshot.lexical([f"b{number}"], 10)) == 5
    return len(held)


@pytest.mark.slow
def test_what_was_acknowledged_outlives_a_server_that_is_killed(new_server: Callable[[], Any]) -> None:
    server = new_server()
    acknowledged = 0
    backend = None
    for round_number in range(3):
        killer = threading.Thread(target=server.kill)
        unreachable = pytest.raises(StoreError, match="cannot be reached")
        with unreachable, open_writer(server.address, ENCODER, SETTINGS) as writer:
            backend = backend or open_backend(server.address)
            while True:
                writer.upsert(batch(acknowledged))
                acknowledged += 1
                if acknowledged > 4 * round_number + 2 and killer.ident is None:
                    killer.start()
        killer.join()
        with pytest.raises(StoreError, match="cannot be reached"):
            open_backend(server.address)
        server.start_again()
        acknowledged = assert_holds(server.address, acknowledged, acknowledged + 1)
        # A reader that was open before finds the new server by itself.
        assert backend is not None
        with backend.snapshot() as snapshot:
            assert sum(snapshot.languages().values()) == 5 * acknowledged
    with open_writer(server.address, ENCODER, SETTINGS) as writer:
        writer.upsert(batch(acknowledged))
    assert_holds(server.address, acknowledged + 1, acknowledged + 1)


@pytest.mark.slow
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
        assert snapshot.languages() == {"en": 10}
        assert len(snapshot.lexical(["b1"], 10)) == len(snapshot.nearest(ENCODER.encode_queries(["b1"])[0], 5)) == 5
    assert examine(replica.address) == []
    refused = pytest.raises(StoreError, match=r"it is a replica .*expected: the primary")
    with refused, open_writer(replica.address, ENCODER):
        pass
    primary.kill()
    with psycopg.connect(replica.address, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
    with open_writer(replica.address, ENCODER, SETTINGS) as writer:
        writer.upsert(batch(2))
    assert assert_holds(replica.address, 3, 3) == 3
    with reader.snapshot() as snapshot:
        assert snapshot.languages() == {"en": 15}
