"""Files that visitors add, by the API and by the page: who may, how large, and what a hostile one costs."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from index.contextual import add_contextual
from index.encoders.base import Encoder
from index.encoders.contextual import FINGERPRINT
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain, ChainSettings
from rag.testing import HashEncoder, WordReader
from tests.index.conftest import until
from tests.ui.test_page import chain_of, page_app, serving
from ui.server import documents
from ui.server.documents import Added, Documents
from ui.server.keys import KeyFile, Scope
from ui.server.settings import ServerSettings

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
MIB = 2**20
ALLOWED = ServerSettings(allow_upload=True, per_minute=10_000)


def upload(name: str, content: bytes) -> tuple[str, BytesIO]:
    return name, BytesIO(content)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    opened = chain_of(tmp_path).backend
    yield opened
    opened.close()


def answering(backend: EmbeddedBackend) -> Chain:
    """A chain over the index that answers every question."""
    return Chain(backend, HashEncoder(), None, ChainSettings(min_relevance=0.0), reader=WordReader())


def copies(backend: EmbeddedBackend) -> list[str]:
    return sorted(path.name for path in (backend.folder / "uploads").rglob("*") if path.is_file())


# --- one implementation ---------------------------------------------------------------------------------------


def test_a_document_is_called_as_its_sender_called_it(backend: EmbeddedBackend) -> None:
    given = Documents(backend, HashEncoder(), MIB)
    lines = b'{"id": "one", "text": "Trams are yellow here."}\n{"id": "two", "text": "Buses are blue here."}'
    sent = [upload("../보고서.md", "다리가 많은 도시이다.".encode()), upload("lines.jsonl", lines)]
    page, parts = given.adding(sent)
    stored = {one.doc_id: one.source for one in backend.documents()}
    assert [stored[doc_id] for doc_id in page.documents] == ["보고서.md"]
    assert [stored[doc_id] for doc_id in parts.documents] == ["lines.jsonl#one", "lines.jsonl#two"]
    assert copies(backend) == []
    with backend.snapshot() as snapshot:
        document = snapshot.document(page.documents[0])
    assert document is not None
    assert document.location.endswith("/보고서.md")


def test_an_index_with_contextual_vectors_has_them_of_what_is_added(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "a.md").write_text("The tram runs every ten minutes.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.md")], encoder, n_workers=0)
    add_contextual(tmp_path / "index", encoder)
    with closing(EmbeddedBackend(tmp_path / "index")) as opened:
        list(Documents(opened, encoder, MIB).adding([upload("b.md", b"The ferry runs on Tuesdays.")]))

        def n_contextual() -> int:
            with opened.snapshot() as snapshot:
                return len(snapshot.context(FINGERPRINT, [1, 2]))

        until(lambda: n_contextual() == 2)
        assert opened.stats().n_passages == 2


def test_a_file_is_told_as_soon_as_it_is_done(backend: EmbeddedBackend) -> None:
    taken: list[str] = []

    def sent() -> Iterator[tuple[str, BytesIO]]:
        for n in range(3):
            taken.append(str(n))
            yield upload(f"{n}.txt", f"Article number {n} of the harbour.".encode())

    adding = Documents(backend, HashEncoder(), MIB).adding(sent())
    assert (next(adding).status, taken) == ("added", ["0"])
    adding.close()
    assert taken == ["0"]


def test_a_file_of_which_nothing_is_stored_leaves_no_trace(backend: EmbeddedBackend) -> None:
    before, listed = backend.stats(), list(backend.documents())
    bad = [("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256))), ("b.pdf", b"no PDF"), ("c.txt", b"\xef\xbb\xbf \n")]
    told = list(Documents(backend, HashEncoder(), MIB).adding([upload(*one) for one in bad]))
    assert [one.status for one in told] == ["failed"] * 3
    assert all(one.reason and str(backend.folder) not in one.reason for one in told)
    assert (copies(backend), backend.failures()) == ([], [])
    assert list((backend.folder / "uploads").iterdir()) == []
    assert (backend.stats().n_failed, list(backend.documents())) == (before.n_failed, listed)


def test_a_file_that_is_there_already_stays_when_it_is_sent_again_and_cannot_be_added(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Documents(backend, HashEncoder(), MIB)
    (first,) = given.adding([upload("a.txt", b"Trams are yellow here.")])

    def fails(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(documents, "ingest_untrusted", fails)
    told = list(given.adding([upload("a.txt", b"Trams are yellow here."), upload("b.txt", b"Buses are blue.")]))
    assert told == [Added(name, "failed", (), "No space left on device") for name in ("a.txt", "b.txt")]
    assert (first.status, copies(backend)) == ("added", [])
    assert len([one for one in backend.documents() if one.source == "a.txt"]) == 1


# --- what is made to harm -------------------------------------------------------------------------------------


def test_a_hostile_file_costs_its_sender_alone(backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_PARSE_TIMEOUT_S", 4.0)
    chain = answering(backend)
    headers = key_of(backend, Scope.INGEST)
    statuses: list[int] = []
    with serving(page_app(chain, ALLOWED)) as address, httpx.Client(base_url=address, trust_env=False, timeout=60) as c:
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                asked = {"question": "How many cranes?"}
                got = httpx.post(f"{address}/api/v1/ask", json=asked, trust_env=False, timeout=60)
                statuses.append(got.status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            files = [("files", ("slow.md", b"[" * (4 * MIB))), ("files", ("good.md", b"# Trams\n\nTrams are yellow."))]
            got = c.post("/api/v1/documents", headers=headers, files=files)
        finally:
            done.set()
            asking.join()
    assert got.status_code == 200, got.text
    slow, good = got.json()["files"]
    assert (slow["status"], good["status"]) == ("failed", "added")
    assert slow["reason"].startswith("a MD whose reader was stopped")
    assert set(statuses) == {200}


def key_of(backend: EmbeddedBackend, *scopes: Scope, basic: bool = False) -> dict[str, str]:
    token = KeyFile(backend.folder).add("-".join(scopes) + ("-basic" if basic else ""), scopes)
    if basic:
        return {"Authorization": "Basic " + base64.b64encode(f"me:{token}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"}


# --- the page -------------------------------------------------------------------------------------------------


@contextmanager
def page(backend: EmbeddedBackend, limits: ServerSettings = ALLOWED) -> Iterator[httpx.Client]:
    with (
        serving(page_app(answering(backend), limits)) as address,
        httpx.Client(base_url=address, timeout=60, trust_env=False) as client,
    ):
        yield client


def send(client: httpx.Client, headers: dict[str, str], name: str, content: bytes, path: str = "") -> httpx.Response:
    return client.post(path or "/gradio_api/upload?upload_id=x", headers=headers, files={"files": (name, content)})


class Called:
    """A client that does what the page's own script does."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.events = {event["api_name"]: event for event in client.get("/config").json()["dependencies"]}

    def call(self, name: str, data: Sequence[Any], session: str, query: str = "") -> list[dict[str, Any]]:
        """Put an event into the queue, and read what comes of it."""
        body = {"data": data, "fn_index": self.events[name]["id"], "session_hash": session}
        joined = self.client.post(f"/gradio_api/queue/join{query}", json=body)
        assert joined.status_code == 200, joined.text
        messages: list[dict[str, Any]] = []
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    messages.append(json.loads(line.removeprefix("data:")))
                    if messages[-1]["msg"] == "process_completed":
                        break
        return messages


def add(client: httpx.Client, paths: list[str], session: str) -> list[dict[str, Any]]:
    """What comes of the page's event for files that gradio has."""
    files = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]
    return Called(client).call("upload", [files], session)


def test_a_file_of_twenty_megabytes_is_added_by_the_page(backend: EmbeddedBackend) -> None:
    headers = key_of(backend, Scope.INGEST, basic=True)
    article = b"<html><body><article><p>Trams are yellow here, and there are many of them.</p></article>"
    content = article + b"<!--" + b"x" * (20 * MIB) + b"--></body></html>"
    with page(backend) as client:
        sent = send(client, headers, "трамвай.html", content)
        assert sent.status_code == 200, sent.text
        (path,) = sent.json()
        last = add(client, [path], "large")[-1]
    assert last["success"] is True, last
    document = list(backend.documents())[-1]
    assert document.source == "трамвай.html"
    assert backend.text(document.doc_id) == "Trams are yellow here, and there are many of them."
    assert not Path(path).exists()  # the index has a copy of its own


def test_a_body_of_that_size_is_refused_elsewhere(backend: EmbeddedBackend) -> None:
    body, paths = b'{"question": "' + b"x" * (20 * MIB) + b'"}', ("/api/v1/ask", "/gradio_api/queue/join", "/upload")
    with page(backend) as client:
        for path in paths:
            got = client.post(path, content=body, headers={"content-type": "application/json"})
            assert got.status_code == 413, path


def chunks(n_bytes: int) -> Iterator[bytes]:
    """A body whose length is not told beforehand."""
    yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
    for _ in range(n_bytes // 65_536):
        yield b"x" * 65_536
    yield b"\r\n--b--\r\n"


def test_files_over_the_limit_are_refused_by_the_page(backend: EmbeddedBackend) -> None:
    headers = key_of(backend, Scope.INGEST, basic=True)
    limits = ALLOWED.model_copy(update={"max_upload_bytes": 2 * MIB})
    with page(backend, limits) as client:
        assert send(client, headers, "a.txt", b"x" * (2 * MIB)).status_code == 200
        assert send(client, headers, "a.txt", b"x" * (2 * MIB + 70_000)).status_code == 413  # of one file
        assert send(client, headers, "a.txt", b"x" * (4 * MIB)).status_code == 413  # of a request
        kind = {"content-type": "multipart/form-data; boundary=b"}
        for n_mib, status in ((1, 200), (9, 413)):
            got = client.post("/gradio_api/upload", headers=headers | kind, content=chunks(n_mib * MIB))
            assert got.status_code == status


def test_the_page_takes_files_of_those_with_the_scope_alone(backend: EmbeddedBackend) -> None:
    ask, both = key_of(backend, Scope.ASK, basic=True), key_of(backend, Scope.ASK, Scope.INGEST, basic=True)
    elsewhere = both | {"Sec-Fetch-Site": "cross-site"}
    with page(backend) as client:
        told = [send(client, headers, "a.txt", b"words").status_code for headers in ({}, ask, elsewhere, both)]
        assert told == [401, 403, 403, 200]
        others = ("//gradio_api/upload", "/./gradio_api/upload")
        for path in (*others, *map("/gradio_api/{}".format, ("upload/", "/upload", "%75pload", "upload%00", "UPLOAD"))):
            assert send(client, ask, "a.txt", b"words", path).status_code in (403, 404, 405), path


def test_where_nothing_may_be_added_no_key_opens_the_page_for_files(backend: EmbeddedBackend) -> None:
    headers = key_of(backend, Scope.INGEST, basic=True)
    with page(backend, ALLOWED.model_copy(update={"allow_upload": False})) as client:
        assert send(client, headers, "a.txt", b"words").status_code == 404
        assert "upload" not in Called(client).events


def test_a_file_of_the_server_is_not_added_by_naming_it(backend: EmbeddedBackend, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("A private note about the harbour.", "utf-8")
    before = backend.stats().n_documents
    with page(backend) as client:
        for n, path in enumerate((tmp_path / "private.txt", Path("README.md").resolve(), backend.folder / "keys.json")):
            last = add(client, [str(path)], f"named {n}")[-1]
            assert last["success"] is False
            assert "private note" not in json.dumps(last)
    assert (backend.stats().n_documents, (tmp_path / "private.txt").exists()) == (before, True)
