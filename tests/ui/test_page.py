from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from index.encoders.base import Encoder
from index.ingest import ingest
from index.store import open_writer
from index.store.sqlite import EmbeddedBackend
from rag.answer import AnswerSentence
from rag.answerers.base import Answerer, Draft, Task, finish
from rag.chain import Chain, ChainSettings
from rag.events import Event
from rag.testing import HashEncoder, WordReader
from rag.verify import Verdict
from tests.ui.hostile import Tags
from tests.ui.running import events_of, feedback_in
from ui.page.corpus import Corpus, Facts, starters
from ui.page.shell import rewritten
from ui.page.uploads import add_files, rows_markdown
from ui.server.app import make_app
from ui.server.documents import Added, Documents
from ui.server.settings import ServerSettings

# Of gradio's own statistics.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

EVIL = "https://evil.example"
QUESTION = "¿Cuántos documentos revisaron los abogados?"


class Saying:
    """An answerer that says what it is told, sentence by sentence, each resting on the first passage."""

    def __init__(
        self, *sentences: str, verdict: Verdict = Verdict.SUPPORTED, pause_s: float = 0, error: Exception | None = None
    ) -> None:
        self._sentences, self._verdict, self._pause_s, self._error = sentences, verdict, pause_s, error
        self.n_said = 0
        self.tasks: list[Task] = []

    def answer(self, task: Task) -> Iterator[Event]:
        self.tasks.append(task)
        draft, passage = Draft(), task.found.passages[0].passage
        for sentence in self._sentences:
            self.n_said += 1
            n = draft.cite(passage, *(passage.sentences[0] if passage.sentences else (passage.start, passage.end)))
            yield draft.say(f"{sentence} [{n}] ")
            time.sleep(self._pause_s)
            yield draft.close(AnswerSentence(sentence, self._verdict, (n,)))
        if self._error:
            raise self._error
        yield from finish(task, draft, answer_language="en")


def chain_of(folder: Path, answerer: Answerer | None = None, *articles: str) -> Chain:
    """A chain over a small index of `articles`."""
    for n, article in enumerate(articles or ("The harbour has seven cranes. They are blue.",)):
        (folder / f"{n}.txt").write_text(article, "utf-8")
    ingest(folder / "index", [str(path) for path in sorted(folder.glob("*.txt"))], HashEncoder(), n_workers=1)
    encoder = HashEncoder()
    return Chain(
        EmbeddedBackend(folder / "index"), encoder, answerer, ChainSettings(min_relevance=0.0), reader=WordReader()
    )


# --- the articles -------------------------------------------------------------------------------------------


def test_one_can_begin_with_articles_in_several_languages_the_own_one_first() -> None:
    titles = {"en": "Cranes", "zh-Hans": "起重机", "zh-Hant": "起重機", "ar": "الرافعات"}
    facts = Facts(10, {"en": 4, "zh-Hans": 3, "zh-Hant": 2, "ar": 1}, "", titles)
    assert [one["text"] for one in starters(facts, "zh-Hant")] == ["起重機", "起重机", "Cranes", "الرافعات"]
    assert starters(Facts(), "en") == []


def test_the_facts_are_counted_from_the_documents_and_titles_stay_text(tmp_path: Path) -> None:
    for n, date in enumerate(("2024-05-01", "2024-05-30", "")):
        (tmp_path / f"{n}.md").write_text(
            f"---\ntitle: Cranes [{n}](x)\ndate: {date}\nlanguage: en\n---\n\nThe harbour has {n} cranes.", "utf-8"
        )
    ingest(tmp_path / "index", [str(tmp_path / f"{n}.md") for n in range(3)], HashEncoder(), n_workers=1)
    facts = Corpus(EmbeddedBackend(tmp_path / "index")).facts()
    assert (facts.n, facts.languages, facts.newest, facts.titles) == (
        3,
        {"en": 3},
        "2024-05-30",
        {"en": "Cranes [0](x)"},
    )
    assert [date for _, _, date in facts.rows] == ["2024-05-30", "2024-05-01", ""]
    assert facts.rows[0][0].startswith(r"[Cranes \[1\]\(x\)](article/")


# --- uploads ------------------------------------------------------------------------------------------------


def test_every_file_has_its_own_row_which_says_first_that_it_is_read(tmp_path: Path) -> None:
    chain = chain_of(tmp_path)
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / "서울.md").write_text("Seoul has many bridges over its river.", "utf-8")
    (sent / "bad.exe").write_bytes(b"MZ")
    (sent / "big.txt").write_text("x" * 2_000, "utf-8")
    (sent / "empty.txt").write_text("", "utf-8")
    (sent / "half.jsonl").write_text('{"text": "Trams are yellow here."}\nno json\n', "utf-8")
    names = ("서울.md", "bad.exe", "big.txt", "empty.txt", "half.jsonl", "서울.md")
    states = list(add_files([sent / name for name in names], Documents(chain.backend, HashEncoder(), 1_000)))
    assert [[row.status for row in state] for state in states[:2]] == [["reading"], ["added", "reading"]]
    assert len(states) == 7
    rows = states[-1]
    assert [row.name for row in rows] == list(names)
    assert [row.status for row in rows] == ["added", "failed", "failed", "failed", "partial", "unchanged"]
    assert "expected: one of .docx" in rows[1].reason
    assert "2,000 bytes; expected: at most 1,000" in rows[2].reason
    assert "an empty file" in rows[3].reason
    assert "line 2 is not JSON" in rows[4].reason
    assert EmbeddedBackend(tmp_path / "index").stats().n_documents == 3


def test_an_upload_while_another_writes_is_told_of_every_file(tmp_path: Path) -> None:
    chain = chain_of(tmp_path)
    with open_writer(tmp_path / "index", HashEncoder()):
        *_, rows = add_files([tmp_path / "0.txt"] * 2, Documents(chain.backend, HashEncoder(), 1_000))
    assert [(row.status, "is writing" in row.reason) for row in rows] == [("failed", True)] * 2
    assert not any(path.is_file() for path in (tmp_path / "index" / "uploads").rglob("*"))


def test_more_files_than_are_taken_at_a_time_are_told(tmp_path: Path) -> None:
    chain = chain_of(tmp_path)
    (tmp_path / "x.exe").write_bytes(b"MZ")
    *_, rows = add_files([tmp_path / "x.exe"] * 102, Documents(chain.backend, HashEncoder(), 1_000))
    assert [row.reason for row in rows].count("more than 100 files at a time") == 2


def test_the_name_of_an_upload_is_escaped() -> None:
    rows = [Added("<img src=x>.txt", "added"), Added("b.md", "failed", reason="<b>no</b>"), Added("c.md", "reading")]
    shown = rows_markdown(rows, 4, "en")
    assert shown.startswith("**2 / 4**")
    assert r"\<img src\=x\>\.txt: added" in shown
    assert r"not added (\<b\>no\<\/b\>)" in shown
    assert rows_markdown([], 0, "en") == ""


# --- the server's side: six steps without which a mounted gradio is not safe ---------------------------------


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address at which `app` is served from a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def page_app(chain: Chain, limits: ServerSettings | None = None) -> FastAPI:
    """The server's application with the page."""

    async def made() -> FastAPI:  # within a loop: without one gradio makes its own, and never closes it
        return make_app(chain, limits)

    with ThreadPoolExecutor(1) as elsewhere:  # the thread of a test may be in a loop of the browser's
        return elsewhere.submit(asyncio.run, made()).result()


@pytest.fixture(scope="module")
def client(sample_index: Path, encoder: Encoder) -> Iterator[httpx.Client]:
    chain = Chain(
        EmbeddedBackend(sample_index), encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader()
    )
    with serving(page_app(chain)) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as opened:
        yield opened


def ask(client: httpx.Client, **body: Any) -> list[tuple[str, Any]]:
    response = client.post("/page/ask", json={"question": QUESTION, **body})
    assert response.status_code == 200, response.text
    return events_of(response.text)


def test_sources_are_sent_as_soon_as_they_are_found_and_then_the_cited_answer(client: httpx.Client) -> None:
    events = ask(client)
    names = [name for name, _ in events]
    assert names.index("passages") < names.index("delta") < names.index("citations") < names.index("done")
    found = dict(events)
    assert len(found["passages"]["passages"]) == 10
    assert "más de 30.000 documentos" in found["done"]["text"]
    assert found["done"]["sentences"][0]["verdict"] == "quoted"
    first = found["citations"]["citations"][0]
    assert (first["n"], first["language"]) == (1, "es")
    assert "".join(first["answer"]) == first["quote"]


def test_the_filter_holds_on_the_page(client: httpx.Client) -> None:
    found = dict(ask(client, filter={"languages": ["ko"]}))
    assert {card["language"] for card in found["passages"]["passages"]} == {"ko"}
    refused = client.post("/page/ask", json={"question": QUESTION, "filter": {"since": "soon"}})
    assert (refused.status_code, refused.json()["param"]) == (422, "filter")


def test_an_unclear_question_is_answered_in_the_page_language(client: httpx.Client) -> None:
    for chosen in ({"params": {"lang": "ko"}}, {"headers": {"Cookie": "dragoman_lang=ko"}}):
        response = client.post("/page/ask", json={"question": "nvidia"}, **chosen)  # type: ignore[arg-type]
        assert events_of(response.text)[0][1]["language"] == "ko"


@pytest.mark.parametrize("question", ["", "   ", "x" * 2_001])
def test_a_question_that_cannot_be_asked_is_refused(client: httpx.Client, question: str) -> None:
    assert client.post("/page/ask", json={"question": question}).status_code == 422


def test_the_page_is_told_what_there_is(client: httpx.Client) -> None:
    facts = client.get("/page/facts", params={"lang": "ko"}).json()
    assert (facts["n"], facts["starters"][0]["language"]) == (30, "ko")
    assert sum(facts["languages"].values()) == 30
    assert facts["newest"] >= "2024"


def test_feedback_reaches_its_file_with_what_was_cited(tmp_path: Path) -> None:
    chain = chain_of(tmp_path)
    cited = {"doc_id": "d" * 16, "source": "a.txt", "start": 1, "end": 5, "quote": "four"}
    said = {"kind": "wrong_citation", "question": "How many?", "answer": "Four. [1]", "citations": [cited]}
    with serving(page_app(chain)) as address, httpx.Client(base_url=address, trust_env=False) as client:
        assert client.post("/page/feedback", json=said).status_code == 204
        assert client.post("/page/feedback", json={**said, "kind": "rude"}).status_code == 422
    (kept,) = feedback_in(chain.backend.folder)
    assert kept | said == kept


def test_a_body_over_the_limit_is_refused(client: httpx.Client) -> None:
    assert client.post("/page/ask", json={"question": "x" * 2**20}).status_code == 413


def test_a_file_that_a_client_names_is_refused(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("private", "utf-8")
    assert client.get(f"/gradio_api/file={tmp_path / 'private.txt'}").status_code in (403, 404)


def test_pages_of_other_origins_get_no_leave(client: httpx.Client) -> None:
    for path in ("/", "/config", "/gradio_api/info", "/web/page.js"):
        headers = client.get(path, headers={"Origin": EVIL, "Cookie": "a=b"}).headers
        assert "access-control-allow-origin" not in headers
        assert "access-control-allow-credentials" not in headers


def test_no_event_of_gradios_is_public_and_none_can_be_called_by_name(client: httpx.Client) -> None:
    config = client.get("/config").json()
    assert {event["api_visibility"] for event in config["dependencies"]} == {"private"}
    assert [event["api_name"] for event in config["dependencies"] if event.get("js")] == []  # they would need eval
    assert "html" not in {part["type"] for part in config["components"]}
    assert client.get("/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
    for path in ("call/rows", "api/rows", "proxy=https://evil.example/"):
        assert client.post(f"/gradio_api/{path}", json={"data": []}).status_code == 404
    assert client.post("/gradio_api/upload").status_code == 401


def test_until_the_library_is_opened_nothing_of_gradio_is_fetched(client: httpx.Client) -> None:
    html = client.get("/").text
    fetched = [a for tag, a in Tags(html).tags if tag in ("script", "link") and a.get("type") != "text/plain"]
    own = [a.get("src") or a.get("href") for a in fetched if "src" in a or "href" in a]
    assert [path for path in own if not str(path).startswith("web/")] == []
    size = len(html) + sum(len(client.get(f"/{path}").content) for path in own)
    modules = ("answer.js", "ask.js", "dom.js", "history.js")
    assert size + sum(len(client.get(f"/web/{name}").content) for name in modules) < 150_000


def test_the_page_has_a_policy_with_a_nonce_for_its_own_scripts_alone(client: httpx.Client) -> None:
    pages = [client.get("/") for _ in range(2)]
    policies = [page.headers.get_list("content-security-policy")[0] for page in pages]
    rules = [dict(part.strip().split(" ", 1) for part in policy.split(";")) for policy in policies]
    assert rules[0]["script-src"] != rules[1]["script-src"]
    nonce = rules[0]["script-src"].removeprefix("'self' 'nonce-").removesuffix("'")
    assert (rules[0]["img-src"], rules[0]["default-src"], rules[0]["connect-src"]) == (
        "'self' data: blob:",
        "'self'",
        "'self'",
    )
    # What waits for the library to be opened has a type of its own.
    inline = [attributes for tag, attributes in Tags(pages[0].text).tags if tag == "script" and "src" not in attributes]
    assert inline
    assert all(attributes["nonce"] == nonce for attributes in inline)
    assert "unsafe-eval" not in policies[0]


@pytest.mark.parametrize(
    ("query", "lang", "way"), [("", "en", "ltr"), ("?lang=ar", "ar", "rtl"), ("?lang=he", "he", "rtl")]
)
def test_the_page_is_served_in_its_language_and_direction(
    client: httpx.Client, query: str, lang: str, way: str
) -> None:
    html = client.get("/" + query).text
    (attributes,) = [attributes for tag, attributes in Tags(html).tags if tag == "html"]
    assert (attributes["lang"], attributes["dir"]) == (lang, way)


def test_a_language_from_outside_is_never_written_into_the_page(client: httpx.Client) -> None:
    for lang in ('"><img onload=x>', "en' onload=x"):
        assert "onload=x" not in client.get("/", params={"lang": lang}).text
        assert "onload=x" not in client.get("/", headers={"Cookie": f"dragoman_lang={lang}"}).text
    assert rewritten('<html lang="en"><base href="./">', "n", "ko").startswith(
        '<html data-ui="ko" lang="ko" dir="ltr">'
    )
