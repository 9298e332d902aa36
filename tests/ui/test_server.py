from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from index.encoders.base import Encoder
from index.search import MAX_QUESTION_CHARS
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain, ChainSettings
from rag.testing import WordReader
from tests.ui.hostile import Tags
from tests.ui.test_cli import ASK, CITATION, PASSAGE
from ui.config import Config
from ui.server.app import make_app
from ui.server.run import run

ROOT = Path(__file__).parent.parent.parent
QUESTION = "¿Cuántos documentos revisaron los abogados?"
EVIL = "https://evil.example"


@pytest.fixture
def chain(sample_backend: EmbeddedBackend, encoder: Encoder) -> Chain:
    return Chain(sample_backend, encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader())


@pytest.fixture
def client(chain: Chain) -> Iterator[TestClient]:
    with TestClient(make_app(chain, with_page=False)) as client:
        yield client


# --- the JSON interface -----------------------------------------------------------------------------------


def test_ask_gives_the_answer_in_the_shape_of_the_command_line(client: TestClient, chain: Chain) -> None:
    response = client.post("/api/v1/ask", json={"question": QUESTION})
    assert response.status_code == 200
    got, expected = response.json(), chain.invoke(QUESTION)
    assert set(got) == ASK
    assert all(set(citation) == CITATION for citation in got["citations"])
    assert (got["question"], got["language"], got["abstained"]) == (QUESTION, "es", False)
    assert (got["answer"], got["answer_language"], got["warnings"]) == (expected.text, "es", [])
    assert [(s["text"], s["supported"], s["citations"]) for s in got["sentences"]] == [
        (s.text, s.supported, list(s.citations)) for s in expected.sentences
    ]
    first = got["citations"][0]
    assert "más de 30.000 documentos" in first["quote"]
    text = chain.backend.text(first["doc_id"])
    assert text is not None
    assert text[first["start"] : first["end"]] == first["quote"]
    assert len(got["retrieved"]) == 10
    assert set(got["timings_ms"]) == {"retrieval", "total"}


def test_a_follow_up_is_searched_for_with_what_it_points_to(client: TestClient) -> None:
    history = [{"question": "When did the Webb telescope leave Earth?", "answer": "In 2021. [1]"}]
    asked = {"question": "Why did it leave?", "history": history}
    answer = client.post("/api/v1/ask", json=asked).json()
    assert answer["question"] == "Why did it leave?"
    assert "webb" in answer["retrieved"][0]["source"]
    alone = client.post("/api/v1/ask", json={"question": "Why did it leave?"}).json()
    assert alone["retrieved"] != answer["retrieved"]
    assert client.post("/api/v1/ask", json=asked | {"history": history * 51}).status_code == 422


def test_search_and_ask_keep_to_a_filter(client: TestClient) -> None:
    wanted = {"languages": ["fr", "zh"], "since": "2021", "sources": ["*webb*"]}
    got = client.post("/api/v1/search", json={"question": QUESTION, "filter": wanted, "explain": True}).json()
    assert {result["language"] for result in got["results"]} == {"fr", "zh-Hans"}
    assert all(result["explanation"]["dense"]["rank"] for result in got["results"])
    answer = client.post("/api/v1/ask", json={"question": QUESTION, "filter": {"languages": ["es"]}}).json()
    assert {result["language"] for result in answer["retrieved"]} == {"es"}
    assert (
        client.post("/api/v1/search", json={"question": QUESTION, "filter": {"tags": ["none"]}}).json()["results"] == []
    )


def test_search_gives_k_passages_in_the_shape_of_the_command_line(client: TestClient, chain: Chain) -> None:
    got = client.post("/api/v1/search", json={"question": QUESTION, "k": 3}).json()
    assert (list(got), got["question"], got["language"]) == (
        ["question", "language", "results", "warnings"],
        QUESTION,
        "es",
    )
    expected = chain.retrieve(QUESTION, 3).passages
    assert [(r["doc_id"], r["start"], r["end"], r["text"], r["source"], r["title"]) for r in got["results"]] == [
        (p.doc_id, p.start, p.end, p.text, Path(p.source).name, p.title) for p in (item.passage for item in expected)
    ]
    assert [r["score"] for r in got["results"]] == pytest.approx([item.score for item in expected], abs=1e-6)
    assert set(got["results"][0]) == PASSAGE
    assert len(client.post("/api/v1/search", json={"question": QUESTION}).json()["results"]) == 10


@pytest.mark.parametrize(
    "wrong",
    [{"question": "\n\t\u3000"}, {"question": "x" * (MAX_QUESTION_CHARS + 1)}, {"question": "?", "k": 101}]
    + [{"question": "?", "filter": one} for one in ({"since": "２０２４"}, {"languages": "fr"}, {"tags": ["x"] * 51})],
)
def test_what_cannot_be_asked_is_refused(client: TestClient, wrong: dict[str, Any]) -> None:
    assert client.post("/api/v1/search", json=wrong).status_code == 422
    assert client.post("/api/v1/ask", json=wrong).status_code == 422


def test_a_page_may_show_and_send_nothing_elsewhere(client: TestClient) -> None:
    headers = client.get("/nowhere").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["connect-src"] == policy["form-action"] == policy["base-uri"] == "'self'"
    assert policy["frame-ancestors"] == "'self'"
    assert policy["object-src"] == "'none'"
    assert "http" not in headers["content-security-policy"]


def test_the_interface_alone_does_not_import_gradio() -> None:
    code = "import sys, ui.server.app;print([name for name in ('gradio', 'pandas', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_mode_in_which_visitors_run_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_VIBE_MODE", "1")
    with pytest.raises(ValueError, match="GRADIO_VIBE_MODE is set, which lets visitors run code here; fix: unset it"):
        run(Config(port=1), with_page=True)


def test_a_port_that_is_taken_is_said_before_anything_is_built() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"{port}"):
            run(Config(port=port), with_page=True)


# --- with the page, in a process of its own -----------------------------------------------------------------

_SERVE = """
import json, socket, sys
from pathlib import Path

looked_up = open(sys.argv[2], "w")
HERE = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "None")

def audit(event, args):
    host = args[0] if event == "socket.getaddrinfo" else args[1][0] if event == "socket.connect" else None
    if event in ("socket.getaddrinfo", "socket.connect") and str(host) not in HERE:
        print(event, host, file=looked_up, flush=True)

sys.addaudithook(audit)

import uvicorn
from index.store.sqlite import EmbeddedBackend
from index.encoders import load_encoder
from rag.chain import Chain, ChainSettings
from rag.testing import WordReader
from ui.server.app import make_app

backend = EmbeddedBackend(Path(sys.argv[1]))
app = make_app(Chain(backend, load_encoder("embedded"), settings=ChainSettings(min_relevance=0.0), reader=WordReader()))
import gc
from gradio import Blocks

blocks = [one for one in gc.get_objects() if type(one) is Blocks]
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
print(json.dumps({"port": port, "launched": [page.has_launched for page in blocks]}), flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])
"""


@dataclass
class Page:
    """A running server with the page, and what it looked up outside of this machine."""

    client: httpx.Client
    launched: list[bool]
    looked_up: Path


@pytest.fixture(scope="module")
def page(sample_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_TEMP_DIR": str(folder / "gradio")}
    del environment["GRADIO_ANALYTICS_ENABLED"]  # the page itself turns it off
    command = [sys.executable, "-c", _SERVE, str(sample_index), str(folder / "looked-up")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        with httpx.Client(base_url=f"http://127.0.0.1:{told['port']}", timeout=30, trust_env=False) as client:
            yield Page(client, told["launched"], folder / "looked-up")
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def test_the_page_is_served_with_the_security_headers_and_the_interface_beside_it(page: Page) -> None:
    response = page.client.get("/", headers={"Origin": EVIL})
    assert response.status_code == 200
    assert page.client.get("/config").json()["title"] == "Dragoman"
    assert "img-src 'self' data: blob:" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in response.headers
    assert page.client.get("/healthz").json() == {"status": "ok"}
    assert page.client.post("/api/v1/ask", json={"question": QUESTION}).json()["language"] == "es"


def test_the_page_takes_no_path_of_other_interfaces(page: Page) -> None:
    wrong = page.client.get("/api/v1/ask")
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["code"]) == (405, "POST", "method_not_allowed")
    assert page.client.delete("/v1/models").json()["error"]["message"] == "Method Not Allowed"
    for path, status in (("/api/v1/nothing", 404), ("/widget/nothing", 404), ("/widget/ask", 405)):
        assert page.client.get(path).status_code == status
    assert page.client.get("/api/v1/nothing").json()["code"] == "not_found"


def test_the_page_loads_and_looks_up_nothing_elsewhere(page: Page) -> None:
    tags = [(tag, told) for tag, told in Tags(page.client.get("/").text).tags if tag != "a"]
    loaded = [address for tag, told in tags if (address := told.get("href" if tag == "link" else "src"))]
    assert loaded
    assert [address for address in loaded if "://" in address or address.startswith("//")] == []
    styles = [address.removeprefix(".") for address in loaded if address.endswith(".css")]
    for sheet in [page.client.get(address).text for address in (*styles, "/theme.css")]:
        assert "@import" not in sheet
        assert "url(http" not in sheet
    for path in ("/config", "/docs"):
        assert page.client.get(path).status_code == 200
    assert page.looked_up.read_text() == ""


def test_the_page_guards_paths_of_files_and_has_no_public_endpoint(page: Page) -> None:
    # gradio checks the paths of files that a request names only where a page counts as launched.
    assert page.launched == [True]
    assert page.client.get("/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}


@pytest.mark.parametrize(
    ("header", "language"),
    [("fr-CA;q=0.8, ko-KR", "ko"), ("xx, zh-TW;q=0.5", "zh-Hant"), ("*", None), ("", None)],
)
def test_an_unclear_question_is_answered_in_the_language_that_the_client_accepts(
    client: TestClient, chain: Chain, header: str, language: str | None
) -> None:
    language = language or chain.invoke("nvidia").language
    got = client.post("/api/v1/ask", json={"question": "nvidia"}, headers={"accept-language": header}).json()
    assert got["language"] == language
    clear = client.post("/api/v1/ask", json={"question": QUESTION}, headers={"accept-language": header}).json()
    assert clear["language"] == "es"
    body = {"model": "dragoman", "messages": [{"role": "user", "content": "nvidia"}]}
    said = client.post("/v1/chat/completions", json=body, headers={"accept-language": header}).json()
    assert said["choices"][0]["message"]["content"].startswith(got["answer"][:40])
