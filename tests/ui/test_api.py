from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from index.store.sqlite import EmbeddedBackend, Writer
from rag.answerers.base import Task
from rag.errors import ModelFailed
from rag.events import Delta, Event, Warned
from rag.testing import HashEncoder
from tests.ui.browser import served
from tests.ui.running import Endless, events_of, feedback_in, indexed, with_key
from ui.render import is_web_address, shown_source
from ui.server.documents import _safe
from ui.server.errors import UNKNOWN, Refusal
from ui.server.feedback import Feedback, FeedbackFile
from ui.server.keys import Scope
from ui.server.settings import Site
from ui.server.sse import EventStream, event_json, framed, public

QUESTION = "How many cranes has the harbour?"
TEXTS = {
    "harbour.txt": "The harbour has seven cranes. The oldest crane was built in 1931.",
    "항구.txt": "부산 항구에는 크레인이 일곱 대 있다. 가장 오래된 크레인은 1931년에 세워졌다.",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return indexed(tmp_path_factory.mktemp("api"), TEXTS)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """An index of two articles that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "index"))


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client()


def frame(event: Event) -> bytes:
    """An event as the API sends it."""
    return framed(event.name, event_json(event))


class Saying:
    """An answerer that gives what it was given."""

    def __init__(self, *said: Event | Exception) -> None:
        self._said = said

    def answer(self, task: Task) -> Iterator[Event]:
        for one in self._said:
            if isinstance(one, Exception):
                raise one
            yield one


# --- /ask as a stream ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["accept", "body"])
def test_a_stream_has_every_event_of_the_chain_and_ends_with_the_same_answer(client: TestClient, way: str) -> None:
    whole = client.post("/api/v1/ask", json={"question": QUESTION}).json()
    if way == "accept":
        got = client.post("/api/v1/ask", json={"question": QUESTION}, headers={"Accept": "text/event-stream"})
    else:
        got = client.post("/api/v1/ask", json={"question": QUESTION, "stream": True})
    assert got.status_code == 200
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert got.headers["cache-control"] == "no-store"
    read = events_of(got.text)
    names = [name for name, _ in read]
    assert names[:2] == ["question", "passages"]
    assert names[-2:] == ["citations", "done"]
    assert set(names[2:-2]) == {"delta", "sentence"}
    assert read[0][1] == {"question": QUESTION, "language": "en", "query": QUESTION}
    assert read[1][1]["passages"] == whole["retrieved"]
    assert "".join(data["text"] for name, data in read if name == "delta") == whole["answer"]
    assert [data for name, data in read if name == "sentence"] == whole["sentences"]
    assert read[-2][1] == {"citations": whole["citations"]}
    timed = {"timings_ms": None}
    assert read[-1][1] | timed == whole | timed


def test_what_ends_a_line_for_some_readers_does_not_end_one() -> None:
    text = "a\nb\rc\u2028d\u2029e\x85f"
    sent = frame(Delta(text)).decode("utf-8")
    assert sent.count("\n") == 3  # after the event, after the data, and the empty line
    assert len(sent.splitlines()) == 3
    assert events_of(sent) == [("delta", {"text": text})]


@pytest.mark.parametrize(
    ("error", "status", "data"),
    [
        (ModelFailed("it is down"), 502, {"detail": "it is down", "code": "model_failed", "param": None}),
        (KeyError("secret"), 500, {"detail": UNKNOWN, "code": "internal", "param": None}),
    ],
)
def test_a_failure_has_its_status_or_ends_the_stream_with_what_may_be_known_of_it(
    make_client: Callable[..., TestClient], error: Exception, status: int, data: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(answerer=Saying(Delta("The "), Warned("slow"), error))
    got = client.post("/api/v1/ask", json={"question": QUESTION, "stream": True})
    assert [name for name, _ in events_of(got.text)] == ["question", "passages", "delta", "warnings", "error"]
    assert events_of(got.text)[-1][1] == data
    whole = client.post("/api/v1/ask", json={"question": QUESTION})
    assert (whole.status_code, whole.json()) == (status, data)
    assert "secret" not in got.text + caplog.text
    assert "cranes" not in caplog.text
    assert ("KeyError at" in caplog.text) == (data["code"] == "internal")


class Listener:
    """What an ASGI application sends, as a server would take it; after two comments it says so."""

    def __init__(self, heard: asyncio.Event) -> None:
        self.body, self._heard = b"", heard

    async def __call__(self, message: Any) -> None:
        self.body += message.get("body", b"")
        if self.body.count(b": still here") == 2:
            self._heard.set()


async def _forever() -> Any:
    await asyncio.Event().wait()


def test_a_silent_stream_is_kept_alive_by_comments() -> None:
    heard = asyncio.Event()

    async def slow() -> AsyncIterator[Event]:
        await heard.wait()
        yield Delta("late")

    async def run() -> bytes:
        listener = Listener(heard)
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        await EventStream(slow(), frame, keep_alive_s=0.05)(scope, _forever, listener)
        return listener.body

    body = asyncio.run(run()).decode()
    assert body.startswith(": still here\n\n: still here\n\n")
    assert events_of(body) == [("delta", {"text": "late"})]


@pytest.mark.parametrize("waits_for", ["an event", "the client"])
def test_the_events_are_closed_at_once_when_the_response_is_cancelled(waits_for: str) -> None:
    closed: list[bool] = []

    async def endless() -> AsyncIterator[Event]:
        try:
            while True:
                yield Delta("and ")
                if waits_for == "an event":
                    await asyncio.sleep(60)
        finally:
            closed.append(True)

    async def run() -> None:
        got = asyncio.Event()

        async def send(message: Any) -> None:
            if message.get("body"):
                got.set()
                if waits_for == "the client":
                    await asyncio.sleep(60)

        events = endless()  # held here, or the garbage collector would do the work
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        task = asyncio.create_task(EventStream(events, frame)(scope, _forever, send))
        await got.wait()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert closed == [True]

    asyncio.run(run())


@pytest.mark.parametrize("stream", [True, False])
def test_the_model_is_freed_when_the_client_goes_away(make_client: Callable[..., TestClient], stream: bool) -> None:
    endless = Endless()
    app: Any = make_client("127.0.0.1", answerer=endless).app
    with served(app) as address:
        connection = HTTPConnection(address.removeprefix("http://"))
        body = json.dumps({"question": QUESTION, "stream": stream})
        connection.request("POST", "/api/v1/ask", body, {"Content-Type": "application/json"})
        assert endless.begun.wait(60)
        assert not endless.closed.is_set()
        connection.close()
        assert endless.closed.wait(60)


# --- /documents ------------------------------------------------------------------------------------------------


def test_documents_are_listed_page_by_page_without_their_place_on_the_disk(client: TestClient, folder: Path) -> None:
    whole = client.get("/api/v1/documents").json()
    assert (whole["total"], whole["next_offset"]) == (2, None)
    stored = list(EmbeddedBackend(folder).documents())
    assert [one["doc_id"] for one in whole["documents"]] == [one.doc_id for one in stored]
    assert [one["n_chars"] for one in whole["documents"]] == [len(text) for text in TEXTS.values()]
    assert "location" not in whole["documents"][0]
    first = client.get("/api/v1/documents", params={"limit": 1}).json()
    assert (first["documents"], first["next_offset"]) == (whole["documents"][:1], 1)
    second = client.get("/api/v1/documents", params={"limit": 1, "offset": 1}).json()
    assert (second["documents"], second["next_offset"]) == (whole["documents"][1:], None)
    assert client.get("/api/v1/documents", params={"offset": 9}).json()["documents"] == []
    for wrong in ({"limit": 201}, {"offset": 2**64}):
        assert client.get("/api/v1/documents", params=wrong).status_code == 422


Files = Sequence[tuple[str, bytes]]


def post(client: TestClient, headers: dict[str, str], files: Files) -> Any:
    return client.post(
        "/api/v1/documents", headers=headers, files=[("files", (name, BytesIO(data))) for name, data in files]
    )


def test_a_file_that_was_added_is_answered_from_and_one_that_was_removed_is_not(
    make_client: Callable[..., TestClient], folder: Path
) -> None:
    client, key = make_client(allow_upload=True), with_key(folder, Scope.INGEST)
    text = "The lighthouse keeper is called Ingeborg. She has kept it since 1987."
    got = post(client, key, [("lighthouse.txt", text.encode())])
    assert got.status_code == 200, got.text
    (result,) = got.json()["files"]
    assert (result["name"], result["status"], result["reason"]) == ("lighthouse.txt", "added", "")
    (doc_id,) = result["documents"]
    asked = {"question": "Who is the lighthouse keeper?"}
    answer = client.post("/api/v1/ask", json=asked).json()
    assert answer["citations"][0]["doc_id"] == doc_id
    assert "Ingeborg" in answer["answer"]
    assert post(client, key, [("lighthouse.txt", text.encode())]).json()["files"][0]["status"] == "unchanged"
    removed = client.delete(f"/api/v1/documents/{doc_id}", headers=key)
    assert (removed.status_code, removed.content) == (204, b"")
    assert "Ingeborg" not in client.post("/api/v1/ask", json=asked).text
    assert client.delete(f"/api/v1/documents/{doc_id}", headers=key).status_code == 404


def test_each_file_has_its_own_result_by_what_is_in_it(make_client: Callable[..., TestClient], folder: Path) -> None:
    client, key = make_client(allow_upload=True), with_key(folder, Scope.INGEST)
    sent = [
        ("good.md", b"# Tides\n\nThe tide turns twice a day in this bay."),
        ("picture.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20),
        ("fake.pdf", b"this is no PDF at all"),
        ("program.exe", b"MZ"),
        ("empty.txt", b""),
        ("lines.jsonl", b'{"id": "1", "text": "A first article on the sea."}\nno json\n'),
    ]
    results = post(client, key, sent).json()["files"]
    assert [(one["name"], one["status"]) for one in results] == [
        ("good.md", "added"),
        ("picture.txt", "failed"),
        ("fake.pdf", "failed"),
        ("program.exe", "failed"),
        ("empty.txt", "failed"),
        ("lines.jsonl", "partial"),
    ]
    assert all(bool(one["reason"]) == (one["status"] != "added") for one in results)
    assert [len(one["documents"]) for one in results] == [1, 0, 0, 0, 0, 1]
    assert str(folder) not in json.dumps(results)  # where the server keeps them is nobody's business
    assert list((folder / "uploads").iterdir()) == []  # the index has their texts


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("..\\..\\boot.txt", "boot.txt"),
        ("/etc/cron.d/x.md", "x.md"),
        ("...", "file"),
        ("", "file"),
        ("부산 항구.txt", "부산 항구.txt"),
        ("a\x1b[2J\n.txt", "a__2J_.txt"),
        (".htaccess", "htaccess"),
        ("다" * 300 + ".txt", "다" * 65 + ".txt"),
    ],
)
def test_the_name_of_a_file_is_never_a_path(sent: str, kept: str) -> None:
    assert _safe(sent) == kept


def test_nothing_is_added_or_removed_where_the_server_does_not_allow_it(
    make_client: Callable[..., TestClient], folder: Path
) -> None:
    client, key = make_client(), with_key(folder, Scope.INGEST)
    assert post(client, key, [("a.txt", b"Some words about the sea.")]).status_code == 403
    assert client.delete("/api/v1/documents/0123456789abcdef", headers=key).status_code == 403
    assert not (folder / "uploads").exists()


def test_a_file_or_a_request_over_the_limit_is_refused(make_client: Callable[..., TestClient], folder: Path) -> None:
    client = make_client(allow_upload=True, max_upload_bytes=5_000)
    key = with_key(folder, Scope.INGEST)
    assert post(client, key, [(name, b"x " * 2**18) for name in ("a.txt", "b.txt", "c.txt")]).status_code == 413
    assert not (folder / "uploads").exists()
    (large,) = post(client, key, [("a.txt", b"x" * 5_001)]).json()["files"]
    assert (large["status"], list((folder / "uploads").glob("*"))) == ("failed", [])
    many = [(f"{n}.txt", b"word") for n in range(21)]
    assert post(client, key, many).status_code in (400, 422)
    assert client.post("/api/v1/documents", headers=key, files=[("others", ("a.txt", b"x"))]).status_code == 422


def test_an_index_that_another_process_writes_to_says_so(make_client: Callable[..., TestClient], folder: Path) -> None:
    client, key = make_client(allow_upload=True), with_key(folder, Scope.INGEST)
    with Writer(folder, HashEncoder()):
        got = post(client, key, [("a.txt", b"Some words about the sea.")])
        assert got.status_code == 409
        assert "is writing" in got.json()["detail"]
    assert post(client, key, [("a.txt", b"Some words about the sea.")]).json()["files"][0]["status"] == "added"


# --- /feedback -------------------------------------------------------------------------------------------------


def test_feedback_is_kept(client: TestClient, folder: Path) -> None:
    said = {"question": QUESTION, "answer": "Seven. [1]", "kind": "right", "comment": "아주 좋아요"}
    assert client.post("/api/v1/feedback", json=said).status_code == 204
    (kept,) = feedback_in(folder)
    assert kept | said == kept
    assert kept["time"] > "2026"
    assert (folder / "feedback.jsonl").stat().st_mode & 0o777 == 0o600


def test_many_writers_of_feedback_do_not_mix_and_a_full_file_takes_no_more(tmp_path: Path) -> None:
    def write(n: int) -> None:
        for i in range(50):
            FeedbackFile(tmp_path).add(Feedback(kind="wrong", question=f"{n}.{i}", answer="가" * 3_000))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    said = sorted(one["question"] for one in feedback_in(tmp_path))
    assert said == sorted(f"{n}.{i}" for n in range(8) for i in range(50))
    os.truncate(tmp_path / "feedback.jsonl", 2**24)
    with pytest.raises(Refusal):
        FeedbackFile(tmp_path).add(Feedback(kind="right", question="?", answer="!"))


# --- sources ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("/home/x y/기사 1.txt", "기사 1.txt"),
        ("./articles/2024/a.md", "articles/2024/a.md"),
        ("articles/../../x/a.md", "a.md"),
        ("~/a.md", "a.md"),
        (".dragoman/uploads/0123456789abcdef/a.md", "a.md"),
        ("C:\\Users\\x\\a.md", "a.md"),
        ("C:/Users/x/a.md", "a.md"),
        ("\\\\server\\share\\a.md", "a.md"),
        ("/home/x/all.jsonl#https://news.example/1", "all.jsonl#https://news.example/1"),
        ("/home/user#1/a.md", "a.md"),
        ("https://news.example/a/b?c=1#d@e", "https://news.example/a/b?c=1#d@e"),
        ("https://user:secret@news.example/a", "https://news.example/a"),
    ],
)
def test_a_source_is_shown_as_far_as_a_reader_needs_it(stored: str, shown: str) -> None:
    assert shown_source(stored) == shown


def test_an_address_with_a_user_or_a_password_is_no_link() -> None:
    assert is_web_address("https://news.example/a@b?c=d@e")
    for url in ("https://user:secret@news.example/", "http://user@news.example", "javascript:alert(1)"):
        assert not is_web_address(url)
        assert "secret" not in json.dumps(public({"citations": [{"url": url}]}))
    assert not is_web_address("https://x/](y)")


def test_no_response_tells_where_the_server_keeps_its_files(client: TestClient, folder: Path) -> None:
    asked = {"question": QUESTION}
    answer = client.post("/api/v1/ask", json=asked)
    found = client.post("/api/v1/search", json=asked | {"explain": True})
    stream = client.post("/api/v1/ask", json=asked | {"stream": True})
    listed = client.get("/api/v1/documents")
    for got in (answer, found, stream, listed):
        assert got.status_code == 200
        assert str(folder.parent) not in got.text
    done = events_of(stream.text)[-1][1]
    for item in (*answer.json()["citations"], *found.json()["results"], *done["citations"], *done["retrieved"]):
        assert item["source"] in TEXTS
    assert [one["source"] for one in listed.json()["documents"]] == list(TEXTS)


def test_a_source_as_it_is_shown_can_be_asked_for(client: TestClient) -> None:
    def found(named: str) -> set[str]:
        body = {"question": QUESTION, "filter": {"sources": [named]}}
        return {item["source"] for item in client.post("/api/v1/search", json=body).json()["results"]}

    assert found("harbour.txt") == found("harb*.txt") == {"harbour.txt"}
    assert found("bour.txt") == set()


def test_an_index_that_breaks_is_reported_without_its_folder_and_the_server_stays_up(
    client: TestClient, folder: Path
) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}
    for file in folder.glob("store.sqlite*"):
        file.write_bytes(b"not a database" * 1_000)
    got = client.post("/api/v1/ask", json={"question": QUESTION})
    ready = client.get("/readyz")
    assert (got.status_code, ready.status_code, ready.json()) == (503, 503, {"status": "not ready"})
    assert client.get("/healthz").status_code == 200
    stream = client.post("/api/v1/ask", json={"question": QUESTION, "stream": True})
    for one in (got, stream):
        assert "the store store.sqlite is damaged" in one.text
        assert str(folder.parent) not in one.text


# --- health and metrics ----------------------------------------------------------------------------------------


def test_metrics_count_what_happened(client: TestClient, folder: Path) -> None:
    admin = with_key(folder, Scope.ADMIN)

    def counts() -> Counter[tuple[str, ...]]:
        """Value by name and labels, as Prometheus reads the text."""
        families = text_string_to_metric_families(client.get("/metrics", headers=admin).text)
        return Counter(
            {
                (one.name, *(f"{k}={v}" for k, v in sorted(one.labels.items()))): one.value
                for family in families
                for one in family.samples
            }
        )

    before = counts()
    client.post("/api/v1/ask", json={"question": QUESTION})
    client.post("/api/v1/ask", json={"question": QUESTION, "stream": True})
    client.post("/api/v1/ask", json={"question": QUESTION, "filter": {"tags": ["none"]}})
    client.post("/api/v1/ask", json={})
    client.get("/one/of/a/million/paths")
    client.delete("/api/v1/documents/0123456789abcdef", headers=admin)
    new = counts() - before
    name = "dragoman_request_seconds_count"
    assert new["dragoman_questions_total", "language=en", "outcome=answered"] == 2
    assert new["dragoman_questions_total", "language=en", "outcome=filtered"] == 1
    assert new[name, "route=/api/v1/ask", "status=200"] == 3
    assert new[name, "route=/api/v1/ask", "status=422"] == 1
    assert new[name, "route=other", "status=404"] == 1
    assert new[name, "route=other", "status=403"] == 1  # the gate let it to no route
    assert "million" not in str(new)


# --- strictness --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/api/v1/ask", {"filters": {"languages": ["fr"]}}, "filters"),
        ("/api/v1/ask", {"filter": {"language": ["fr"]}}, "filter.language"),
        ("/api/v1/ask", {"history": [{"question": "?", "role": "user"}]}, "history.0.role"),
        ("/api/v1/search", {"filters": {"languages": ["fr"]}}, "filters"),
        ("/api/v1/feedback", {"answer": "Seven.", "kind": "right", "opinion": "wrong"}, "opinion"),
        ("/widget/ask", {"site": "k", "filter": {}}, "filter"),
    ],
)
def test_an_unknown_field_is_refused_by_its_name(
    make_client: Callable[..., TestClient], path: str, body: dict[str, Any], param: str
) -> None:
    client = make_client(sites={"k": Site(key="k", origins=())})
    got = client.post(path, json={"question": QUESTION} | body)
    refused = {"detail": f"{param}: Extra inputs are not permitted", "code": "extra_forbidden", "param": param}
    assert (got.status_code, got.json()) == (422, refused)


# --- documentation ---------------------------------------------------------------------------------------------


def test_the_examples_of_requests_are_requests(client: TestClient) -> None:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            assert client.post(path, json=example["value"]).status_code in (200, 204), (path, name)


def test_the_documentation_loads_only_what_the_server_has_and_no_script_stands_in_it(client: TestClient) -> None:
    got = client.get("/docs")
    assert got.status_code == 200
    policy = got.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]*)', got.text)
    assert len(loaded) == 4
    for address in loaded:
        assert address.startswith("docs/static/")
        assert client.get(f"/{address}").status_code == 200
    assert re.findall(r"<script[^>]*>([^<]*)</script>", got.text) == ["", ""]
    assert " style=" not in got.text
    assert client.get("/docs/static/..%2f..%2fsettings.py").status_code == 404


def test_the_api_and_its_documentation_are_found_below_a_proxy_s_path(client: TestClient) -> None:
    app: Any = client.app
    with served(app, root_path="/answers") as address, httpx.Client(base_url=address, trust_env=False) as proxied:
        # The proxy has taken the path off; the server puts it on again.
        assert proxied.get("/docs/static/start.js").status_code == 200
        assert proxied.get("/openapi.json").json()["servers"] == [{"url": "/answers"}]
        assert proxied.get("/healthz").headers["content-security-policy"].startswith("default-src 'none'")
        assert proxied.post("/api/v1/ask", json={"question": QUESTION}).status_code == 200
        assert proxied.post("/api/v1/documents").status_code == 401
