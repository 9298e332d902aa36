from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from index.encoders.base import Encoder
from index.store.sqlite import EmbeddedBackend
from rag.answer import AnswerSentence, Citation
from rag.answerers.base import Answerer, Draft, Task, finish
from rag.chain import Chain, ChainSettings
from rag.events import Delta, Event, Failed, Warned
from rag.testing import HashEncoder, WordReader
from rag.verify import Verdict
from tests.ui.browser import CHROMIUM, OtherSite, chromium, other_site, served
from tests.ui.running import events_of, feedback_in, indexed
from ui.server.app import make_app
from ui.server.settings import ServerSettings, Site
from ui.server.shown import frames
from ui.server.widget.pages import words

STATIC = Path(__file__).parent.parent.parent / "ui" / "server" / "widget" / "static"
WEB = Path(__file__).parent.parent.parent / "ui" / "web"
QUESTION = "¿Cuántos documentos revisaron los abogados?"
KEY = "pk_test"
SITE = Site(key=KEY, origins=("https://www.example.org",))


def widget_app(chain: Chain, *sites: Site, **limits: Any) -> FastAPI:
    """The whole server, with these sites."""
    settings = ServerSettings(sites={site.key: site for site in sites}, **{"per_minute": 1_000, **limits})
    return make_app(chain, settings, with_page=False)


@pytest.fixture
def chain(sample_backend: EmbeddedBackend, encoder: Encoder) -> Chain:
    return Chain(sample_backend, encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader())


@pytest.fixture
def client(chain: Chain) -> Iterator[TestClient]:
    with TestClient(widget_app(chain, SITE)) as client:
        yield client


class Config(HTMLParser):
    """What a page is told by its server."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        self.root: dict[str, str | None] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "html":
            self.root = found
        if tag == "body" and found.get("data-config"):
            self.config = json.loads(found["data-config"] or "")


def policy_of(headers: Any) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in headers["content-security-policy"].split(";")]
    return {name: value for name, _, value in parts}


# --- files ------------------------------------------------------------------------------------------------


def test_the_loader_is_small_and_may_be_loaded_by_any_page(client: TestClient) -> None:
    response = client.get("/widget.js", headers={"Origin": "https://www.example.org"})
    assert response.status_code == 200
    assert len(response.content) < 10 * 1024
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert client.get("/widget.v1.js").content == response.content
    assert "질문하기" in response.text


def test_the_page_and_its_files_weigh_little(client: TestClient) -> None:
    names = (
        "widget/static/frame.js",
        "widget/static/frame.css",
        "web/answer.js",
        "web/ask.js",
        "web/dom.js",
        "web/answer.css",
    )
    sizes = [len(client.get(f"/{name}").content) for name in names]
    sizes.append(len(client.get(f"/widget/frame?site={KEY}").content))
    assert sum(sizes) < 60_000


def test_only_the_widgets_own_files_are_served(client: TestClient) -> None:
    for path in ("/widget/static/frame.html", "/widget/static/..%2Fpages.py", "/widget/static/../pages.py"):
        assert client.get(path).status_code == 404
    assert client.get("/widget/static/frame.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", sorted([*STATIC.iterdir(), *WEB.iterdir()]), ids=lambda path: path.name)
def test_no_file_makes_markup_of_text_or_names_another_host(path: Path) -> None:
    text = path.read_text("utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "cdn."):
        assert word not in text
    assert " style=" not in text
    assert "<script>" not in text
    assert 'src="/' not in text  # it is served below a path, too
    assert 'href="/' not in text


# --- the page in the frame ----------------------------------------------------------------------------------


def test_the_page_is_sealed_and_only_the_sites_own_pages_may_frame_it(client: TestClient) -> None:
    response = client.get("/widget/frame", params={"site": KEY})
    assert response.status_code == 200
    assert policy_of(response.headers) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self' https://www.example.org",
    }
    assert len(response.headers.get_list("content-security-policy")) == 1
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in response.headers["permissions-policy"]


@pytest.mark.parametrize("key", ["nobody", "", '"><script>x</script>'])
def test_no_page_is_given_for_an_unknown_site(client: TestClient, key: str) -> None:
    response = client.get("/widget/frame", params={"site": key})
    assert response.status_code == 403
    assert policy_of(response.headers)["frame-ancestors"] == "'self'"
    assert "<script>" not in response.text


def test_what_a_site_is_called_stays_text(chain: Chain) -> None:
    evil = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)> $config ${words}"
    site = Site(key=KEY, origins=(), title=evil, greeting=evil)
    html = TestClient(widget_app(chain, site)).get("/widget/frame", params={"site": KEY}).text
    assert "<script>alert" not in html
    assert "<img" not in html
    assert Config(html).config["title"] == Config(html).config["greeting"] == evil


def test_the_pages_of_a_sites_origins_may_frame_it_as_browsers_name_them(chain: Chain) -> None:
    origins = ("https://a.example", "https://*.d.example:8443", "https://bücher.example/", "http://f.example:80")
    client = TestClient(widget_app(chain, Site(key=KEY, origins=origins)))
    assert policy_of(client.get("/widget/frame", params={"site": KEY}).headers)["frame-ancestors"] == (
        "'self' https://a.example https://*.d.example:8443 https://xn--bcher-kva.example http://f.example"
    )


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [
        ({"lang": "ar"}, "de", ("ar", "rtl")),
        ({"lang": "he-IL"}, "", ("he", "rtl")),
        ({"lang": "iw"}, "", ("he", "rtl")),
        ({"page": "ko-KR"}, "fr", ("ko", "ltr")),
        ({"lang": "xx", "page": "ko"}, "", ("ko", "ltr")),
        ({}, "xx, pt-BR;q=0.9, de;q=0.95", ("de", "ltr")),
        ({"lang": "zh-TW"}, "", ("zh-Hant", "ltr")),
        ({"lang": "zh"}, "", ("zh-Hans", "ltr")),
        ({"lang": "zh-Hant-HK"}, "", ("zh-Hant", "ltr")),
        ({}, "", ("en", "ltr")),
    ],
)
def test_the_language_is_the_hosts_choice_then_the_pages_then_the_browsers(
    client: TestClient, query: dict[str, str], header: str, expected: tuple[str, str]
) -> None:
    page = Config(client.get("/widget/frame", params={"site": KEY, **query}, headers={"Accept-Language": header}).text)
    assert (page.root["lang"], page.root["dir"]) == expected
    assert page.config["words"] == words(expected[0])


def test_a_sites_own_language_comes_before_its_pages(chain: Chain) -> None:
    client = TestClient(widget_app(chain, Site(key=KEY, origins=(), language="ja")))
    page = client.get("/widget/frame", params={"site": KEY, "page": "fr"})
    assert Config(page.text).root["lang"] == "ja"
    chosen = client.get("/widget/frame", params={"site": KEY, "lang": "fr"})
    assert Config(chosen.text).root["lang"] == "fr"


def test_the_page_speaks_only_with_the_page_around_it(client: TestClient) -> None:
    def host(origin: str) -> Any:
        return Config(client.get("/widget/frame", params={"site": KEY, "origin": origin}).text).config["host"]

    assert host("https://WWW.example.org:443") == "https://www.example.org"
    for none in ("null", "*", "https://*.example.org", "javascript:alert(1)", ""):
        assert host(none) == ""


# --- questions ----------------------------------------------------------------------------------------------


def ask(client: TestClient, question: str = QUESTION, site: str = KEY, **more: Any) -> Any:
    return client.post("/widget/ask", json={"site": site, "question": question, **more})


def test_an_answer_comes_as_events_with_its_passages_in_context(client: TestClient, chain: Chain) -> None:
    response = ask(client)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-store", "no")
    events = events_of(response.text)
    names = [name for name, _ in events]
    assert (names[:2], set(names[2:-2]), names[-2:]) == (
        ["question", "passages"],
        {"delta", "sentence"},
        ["citations", "done"],
    )
    expected = chain.invoke(QUESTION)
    assert "".join(data["text"] for name, data in events if name == "delta") == expected.text
    done, (first, *_) = events[-1][1], events[-2][1]["citations"]
    assert (done["text"], done["abstained"], done["closest"]) == (expected.text, False, None)
    text = chain.backend.text(first["doc_id"])
    assert text is not None
    assert text[first["start"] : first["end"]] == first["quote"]
    before, after = first["before"].removeprefix("…"), first["after"].removesuffix("…")
    assert before + first["quote"] + after in text
    assert 0 < len(before) + len(after) <= 520


@pytest.mark.parametrize(("own", "expected"), [("", "ko"), ("ja", "ja")])
def test_an_unclear_question_is_answered_in_the_sites_language_or_the_browsers(
    chain: Chain, own: str, expected: str
) -> None:
    client = TestClient(widget_app(chain, Site(key=KEY, origins=(), language=own)), headers={"Accept-Language": "ko"})
    assert events_of(ask(client, "nvidia").text)[0][1]["language"] == expected
    assert events_of(ask(client).text)[0][1]["language"] == chain.invoke(QUESTION).language


def test_a_visitor_is_not_told_what_is_the_servers_own(client: TestClient) -> None:
    text = ask(client).text
    for word in ("timings_ms", "usage", "score", "warnings", "retrieved", "relevance", "/ui/samples"):
        assert word not in text
    sources = {citation["source"] for citation in dict(events_of(text))["citations"]["citations"]}
    assert "04-openai-es.md" in sources


def test_a_sites_passages_are_the_only_ones_that_answer(chain: Chain) -> None:
    site = Site(key=KEY, origins=(), languages=("fr", "zh"))
    events = dict(events_of(ask(TestClient(widget_app(chain, site))).text))
    assert {citation["language"] for citation in events["citations"]["citations"]} <= {"fr", "zh-Hans", "zh-Hant"}
    none = Site(key=KEY, origins=(), tags=("no such tag",))
    events = dict(events_of(ask(TestClient(widget_app(chain, none))).text))
    assert events["done"]["reason"] == "filtered"


def test_a_card_shows_the_words_that_answer_within_the_quotation(client: TestClient) -> None:
    events = dict(events_of(ask(client).text))
    for card in events["citations"]["citations"]:
        assert "".join(card["answer"]) == card["quote"]
        assert len(card["answer"]) == 3 and card["answer"][1]


def test_an_abstention_offers_the_closest_sentence(sample_backend: EmbeddedBackend, encoder: Encoder) -> None:
    chain = Chain(sample_backend, encoder, settings=ChainSettings(min_relevance=1.0), reader=WordReader())
    done = events_of(ask(TestClient(widget_app(chain, SITE))).text)[-1][1]
    assert done["abstained"]
    closest = done["closest"]
    text = chain.backend.text(closest["doc_id"])
    assert text is not None
    assert text[closest["start"] : closest["end"]] == closest["quote"] != ""


@pytest.mark.parametrize("site", ["nobody", ""])
def test_no_other_site_may_ask(client: TestClient, site: str) -> None:
    assert ask(client, site=site).status_code == 403


def test_questions_that_another_origins_page_sends_are_refused(client: TestClient) -> None:
    body = {"site": KEY, "question": QUESTION}
    for where, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert client.post("/widget/ask", json=body, headers={"Sec-Fetch-Site": where}).status_code == status
    simple = client.post("/widget/ask", content=json.dumps(body), headers={"Content-Type": "text/plain"})
    assert simple.status_code == 422


def test_each_site_has_its_own_quota(chain: Chain) -> None:
    few, many = Site(key="few", origins=(), per_minute=2), Site(key="many", origins=())
    client = TestClient(widget_app(chain, few, many))
    assert [ask(client, site="few").status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(client, site="few")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert ask(client, site="many").status_code == 200


def test_the_page_is_sent_what_it_shows_and_no_warning() -> None:
    frame = frames(for_owner=False)
    assert frame(Delta("First.")) == b'event: delta\ndata: {"text": "First."}\n\n'
    assert frame(Warned("the encoder at 10.0.0.7 does not know Thai")) == b""
    assert frame(Failed(RuntimeError("sk-secret"))) == b'event: error\ndata: {"code": "internal"}\n\n'


def test_feedback_is_kept_beside_the_index(tmp_path: Path) -> None:
    chain = Chain(
        EmbeddedBackend(indexed(tmp_path, {"a.txt": "The harbour has seven cranes."})),
        HashEncoder(),
        reader=WordReader(),
    )
    client = TestClient(widget_app(chain, SITE))
    said = {
        "site": KEY,
        "kind": "wrong_citation",
        "question": "How many cranes?",
        "answer": "Seven. [1]",
        "citations": [{"doc_id": "0" * 16, "start": 0, "end": 29}],
    }
    assert client.post("/widget/feedback", json=said).status_code == 204
    (kept,) = feedback_in(tmp_path / "index")
    assert kept | said == kept
    assert client.post("/widget/feedback", json={**said, "kind": "rude"}).status_code == 422
    assert client.post("/widget/feedback", json={**said, "site": "nobody"}).status_code == 403
    assert client.post("/widget/feedback", json=said, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert len(feedback_in(tmp_path / "index")) == 1
    chain.backend.close()


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@dataclass
class Stage:
    """Our server, a host's pages, and a browser before them."""

    browser: Any
    host: OtherSite
    beacon: OtherSite
    server: str
    page: Any
    problems: list[str]

    def visit(
        self, *, site: str = KEY, lang: str = "en", path: str = "/", policy: str | None = None, **options: str
    ) -> Any:
        """A page of the host with the widget on it, as strict as a page can be."""
        data = "".join(f' data-{name.replace("_", "-")}="{escape(value)}"' for name, value in options.items())
        html = (
            f'<!doctype html><html lang="{lang}"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Host</title>'
            f'<h1>Host</h1><button id="mine">Mine</button>'
            f'<script src="{self.server}/widget.js" data-site="{site}"{data} async></script>'
        )
        strict = f"default-src 'none'; script-src {self.server}; frame-src {self.server}; style-src 'none'"
        self.host.pages[path] = html, {"Content-Security-Policy": policy or strict}
        self.page.goto(self.host.origin + path)
        return self.page

    @property
    def frame(self) -> Any:
        return self.page.frame_locator("iframe")

    @property
    def bubble(self) -> Any:
        return self.page.locator("button.bubble")

    def events(self) -> list[list[Any]]:
        found: list[list[Any]] = self.page.evaluate("window.seen")
        return found

    def ask(self, question: str) -> None:
        box = self.frame.locator("#box[placeholder]")  # which it has when its script has run
        box.fill(question)
        box.press("Enter")


def _is_problem(message: Any) -> bool:
    """Whether the browser complains; that a page has no icon is none."""
    return message.type == "error" and "favicon.ico" not in message.location["url"]


_WATCH = """
window.seen = [];
for (const name of ["ready", "open", "close", "question", "answer", "citation", "feedback", "error"])
  document.addEventListener("dragoman:" + name, (event) => window.seen.push([name, event.detail]));
"""


@pytest.fixture
def stage(browser: Any, sample_backend: EmbeddedBackend, encoder: Encoder) -> Iterator[Callable[..., Stage]]:
    """A function that sets the stage, with an answerer and the options of a browser's context."""
    with ExitStack() as stack:

        def set_up(
            answerer: Answerer | None = None,
            chain: Chain | None = None,
            site: Any = None,
            profile: Path | None = None,
            **options: Any,
        ) -> Stage:
            host, beacon = stack.enter_context(other_site()), stack.enter_context(other_site())
            chain = chain or Chain(
                sample_backend, encoder, answerer, ChainSettings(min_relevance=0.0), reader=WordReader()
            )
            allowed = Site(key=KEY, origins=(host.origin,), **(site or {}))
            stranger = Site(key="pk_stranger", origins=("https://www.example.org",))
            server = stack.enter_context(served(widget_app(chain, allowed, stranger)))
            options = {"locale": "en-GB", "viewport": {"width": 1000, "height": 800}, **options}
            if profile:  # in a browser that gives pages in frames a storage of their own, as most do
                flags = ["--no-sandbox", "--disable-features=TrackingProtection3pcd,ThirdPartyCookieDeprecation"]
                options |= {"executable_path": str(CHROMIUM), "args": flags}
                context = browser.browser_type.launch_persistent_context(str(profile), **options)
            else:
                context = browser.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(15_000)
            problems: list[str] = []
            page.on("console", lambda message: _is_problem(message) and problems.append(message.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.add_init_script(_WATCH)
            return Stage(browser, host, beacon, server, page, problems)

        yield set_up


def _wait(stage: Stage, true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    # A host's policy forbids the eval that playwright's own waiting needs.
    for _ in range(int(timeout_s / 0.05)):
        if true():
            return
        stage.page.wait_for_timeout(50)
    raise AssertionError(f"it did not come to be; events: {stage.events()}; problems: {stage.problems}")


def test_a_visitor_of_a_strict_page_asks_and_sees_the_cited_passages(stage: Callable[..., Stage]) -> None:
    on = stage()
    page = on.visit(color="#facc15")
    on.bubble.wait_for()
    assert on.bubble.get_attribute("aria-label") == "Ask a question"
    assert on.bubble.evaluate("e => getComputedStyle(e).color") == "rgb(0, 0, 0)"  # black on yellow
    page.locator("#mine").focus()
    on.bubble.press("Enter")
    frame = on.frame
    frame.locator("#box").wait_for()
    _wait(on, lambda: page.evaluate("document.activeElement.shadowRoot?.activeElement?.tagName") == "IFRAME")
    on.ask(QUESTION)
    frame.locator(".opinion").wait_for()
    assert "más de 30.000 documentos" in frame.locator(".said").inner_text()
    cards = frame.locator("details")
    assert cards.count() >= 1
    assert "más de 30.000 documentos" in cards.first.locator("mark").inner_text()
    about = cards.first.locator(".about").inner_text()
    assert "Spanish" in about
    assert "2024" in about
    quoted = cards.first.locator("blockquote")
    assert len(quoted.inner_text()) > len(cards.first.locator("mark").inner_text())
    assert quoted.get_attribute("lang") == "es"
    frame.locator("details > summary").first.click()  # closes it
    assert not cards.first.evaluate("e => e.open")
    frame.locator(".cite").first.click()
    assert cards.first.evaluate("e => e.open && e.classList.contains('lit')")
    assert frame.locator("details.lit summary").evaluate("e => e === document.activeElement")
    page.keyboard.press("Escape")
    _wait(on, lambda: not page.evaluate("Dragoman.isOpen()"))
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.className") == "bubble"
    names = [name for name, _ in on.events()]
    assert names == ["ready", "open", "question", "answer", "citation", "close"]
    assert QUESTION not in json.dumps(on.events(), ensure_ascii=False)
    answer = dict(on.events())["answer"]
    assert (answer["citations"], answer["abstained"]) == (cards.count(), False)
    assert on.problems == []


def test_a_question_asked_before_the_script_was_there_is_not_lost(stage: Callable[..., Stage]) -> None:
    on = stage()
    on.page.add_init_script(f"window.dragomanQueue = [['ask', {json.dumps(QUESTION)}], ['version'], ['constructor']]")
    on.visit()
    on.frame.locator(".opinion").wait_for()
    assert on.frame.locator(".asked").inner_text() == QUESTION
    assert on.page.evaluate("Dragoman.isOpen()")
    assert [name for name, _ in on.events()] == ["ready", "open", "question", "answer"]
    assert on.problems == []


def test_the_interface_opens_asks_translates_and_goes_away(stage: Callable[..., Stage]) -> None:
    on = stage()
    page = on.visit(hide_launcher="true", title="Ask <b>us</b>", greeting="Hello", position="left")
    _wait(on, lambda: page.evaluate("!!window.Dragoman && window.seen.length > 0"))
    assert not on.bubble.is_visible()
    page.evaluate("window.heard = 0; window.off = Dragoman.on('open', () => window.heard++); 0")
    page.locator("#mine").focus()
    page.evaluate("Dragoman.open()")
    on.frame.locator("#title", has_text="Ask <b>us</b>").wait_for()
    assert on.frame.locator("#greeting").inner_text() == "Hello"
    box = page.locator(".panel").bounding_box()
    assert box["x"] == 20
    page.evaluate("Dragoman.setLocale('he')")
    on.frame.locator("html[lang=he][dir=rtl]").wait_for()
    page.evaluate("Dragoman.setTheme('dark')")
    on.frame.locator("html[data-theme=dark]").wait_for()
    page.evaluate("Dragoman.ask('Who led NASA?')")
    on.frame.locator(".turn").wait_for()
    page.evaluate("Dragoman.reset()")
    on.frame.locator(".turn").wait_for(state="detached")
    page.evaluate("off(); Dragoman.close(); Dragoman.open(); Dragoman.close()")
    _wait(on, lambda: page.evaluate("window.heard") == 1)
    assert page.evaluate("document.activeElement.id") == "mine"
    page.evaluate("Dragoman.destroy()")
    assert page.evaluate("window.Dragoman === undefined && !document.querySelector('dragoman-ask')")


@pytest.mark.parametrize("site", ["pk_stranger", "nobody"])
def test_on_a_site_that_is_not_allowed_the_bubble_says_so(stage: Callable[..., Stage], site: str) -> None:
    on = stage()
    on.visit(site=site, lang="fr")
    on.bubble.click()
    notice = on.page.get_by_role("alert")
    notice.wait_for()
    assert "Les réponses ne peuvent pas être affichées sur cette page." in notice.inner_text()
    assert ["error", {"code": "unavailable"}] in on.events()
    notice.get_by_role("button").click()
    assert not on.page.evaluate("Dragoman.isOpen()")
    on.visit(site=site, error_text="Call us: 555")
    on.bubble.click()
    on.page.get_by_text("Call us: 555").wait_for()


class Hostile:
    """An answerer whose words, passages and titles all try to be more than text."""

    def __init__(self) -> None:
        self.beacon = ""

    def answer(self, task: Task) -> Iterator[Event]:
        evil = (
            f"<script>fetch('{self.beacon}/script')</script> <img src={self.beacon}/img onerror=alert(1)> "
            f"<svg onload=alert(1)><image href={self.beacon}/svg /></svg> ![x]({self.beacon}/markdown) "
            f"[click](javascript:alert(1)) <iframe src={self.beacon}/frame></iframe> "
            f"<style>@import '{self.beacon}/style';</style> <a href='javascript:alert(1)'>link</a> {self.beacon}/plain "
            "**<b onclick=alert(1)>bold</b>** \u202egnp.exe [1][2][99] &lt;script&gt;"
        )
        draft = Draft()
        yield draft.say(evil)
        yield draft.say("\n" + evil)
        passage = task.found.passages[0].passage
        for n, url in ((1, "javascript:alert(document.domain)"), (2, f"{self.beacon}/linked?%3Cscript%3E")):
            end = passage.start + 40
            draft.citations.append(
                Citation(
                    n=n,
                    doc_id=passage.doc_id,
                    source=evil,
                    title=evil,
                    language='"><img src=x>',
                    start=passage.start,
                    end=end,
                    quote=passage.text[:40],
                    url=url,
                    date="<img src=x onerror=alert(1)>",
                )
            )
        yield draft.close(AnswerSentence(evil, Verdict.UNSUPPORTED, (1, 2)))
        yield from finish(task, draft, answer_language="en")


def test_hostile_answers_passages_and_titles_stay_inert_text(stage: Callable[..., Stage], tmp_path: Path) -> None:
    answerer = Hostile()
    hostile = "cranes <img src=x onerror=alert(1)> <script>alert(1)</script> \u202eevil <svg onload=alert(1)> " * 8
    backend = EmbeddedBackend(indexed(tmp_path, {"a.txt": f"How many cranes? {hostile}"}))
    on = stage(chain=Chain(backend, HashEncoder(), answerer, ChainSettings(min_relevance=0.0), reader=WordReader()))
    answerer.beacon = on.beacon.origin
    dialogs: list[str] = []
    on.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    on.visit()
    on.bubble.click()
    on.ask("How many cranes? <img src=x onerror=alert(1)>")
    on.frame.locator(".opinion").wait_for()
    for card in on.frame.locator("details").all():
        card.evaluate("e => e.open = true")
    assert on.frame.locator("img, iframe, style, svg image, #log script, #log svg, [onclick], [onerror]").count() == 0
    assert "<script>fetch(" in on.frame.locator(".said").inner_text()
    assert "![x](" in on.frame.locator(".said").inner_text()
    links = on.frame.locator("#log a")
    ours, theirs = (link.get_attribute("href") for link in links.all())  # javascript: is no address
    assert ours.startswith("article/")
    assert theirs.startswith(on.beacon.origin)
    assert set(links.first.get_attribute("rel").split()) == {"noopener", "noreferrer", "nofollow"}
    assert on.frame.locator(".said p").first.locator(".cite").all_inner_texts() == ["[1]", "[2]"]
    assert "[99]" in on.frame.locator(".said").inner_text()
    assert "\u202e" not in on.frame.locator("#log").evaluate("e => e.textContent")
    assert "<script>alert(1)</script>" in on.frame.locator("blockquote").first.inner_text()
    on.page.wait_for_timeout(500)
    assert (on.beacon.asked, dialogs, on.problems) == ([], [], [])
    backend.close()


def test_enter_that_chooses_a_syllable_does_not_send(stage: Callable[..., Stage]) -> None:
    on = stage()
    on.visit(lang="ko")
    on.bubble.click()
    box = on.frame.locator("#box[placeholder]")
    box.fill("한국 철도")
    press = """(e, init) => e.dispatchEvent(
        new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ...init}))"""
    assert box.evaluate(press, {"isComposing": True})  # nobody prevented it
    assert box.evaluate(press, {"keyCode": 229})
    assert box.evaluate(press, {"shiftKey": True})
    assert on.frame.locator(".turn").count() == 0
    assert box.input_value() == "한국 철도"
    assert not box.evaluate(press, {"keyCode": 13})
    on.frame.locator(".turn").wait_for()
    assert on.frame.locator(".asked").inner_text() == "한국 철도"


def test_an_arabic_page_runs_from_right_to_left_and_each_text_in_its_own_direction(stage: Callable[..., Stage]) -> None:
    on = stage(locale="ar")
    on.visit(lang="ar")
    on.bubble.click()
    on.frame.locator("html[lang=ar][dir=rtl]").wait_for()
    on.ask("كم يبلغ قطر مرآة تلسكوب جيمس ويب؟")
    on.frame.locator(".opinion").wait_for()
    direction = "e => getComputedStyle(e).direction"
    assert on.frame.locator(".asked").evaluate(direction) == "rtl"
    assert on.frame.locator("textarea").get_attribute("placeholder") == "سؤالك"
    new, title = on.frame.locator("#new").bounding_box(), on.frame.locator("#title").bounding_box()
    assert new["x"] < title["x"]
    on.ask("Which mirror has the Webb telescope?")
    on.frame.locator(".turn:nth-of-type(2) .opinion").wait_for()
    assert on.frame.locator(".asked").nth(1).evaluate(direction) == "ltr"
    assert on.problems == []


def test_on_a_phone_it_takes_the_whole_screen(stage: Callable[..., Stage]) -> None:
    on = stage(viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True, device_scale_factor=2)
    on.visit(lang="ja")
    on.bubble.tap()
    on.frame.locator("#close").wait_for()
    box = on.page.locator(".panel").bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 780)
    assert not on.bubble.is_visible()
    on.ask("日本の鉄道で最も速い列車はどれですか。")
    on.frame.locator(".opinion").wait_for()
    assert on.frame.locator("body").evaluate("e => e.scrollWidth <= innerWidth")
    cross = on.frame.locator("#close").bounding_box()
    on.page.touchscreen.tap(cross["x"] + cross["width"] / 2, cross["y"] + cross["height"] / 2)
    on.bubble.wait_for()
    assert on.problems == []


def test_dark_follows_the_system_and_the_host_may_choose(stage: Callable[..., Stage]) -> None:
    on = stage(color_scheme="dark")
    on.visit(lang="zh-TW")
    on.bubble.click()
    ground = "e => getComputedStyle(e).backgroundColor"
    on.frame.locator("html[lang=zh-Hant] #greeting:not(:empty)").wait_for()
    assert on.frame.locator("body").evaluate(ground) == "rgb(17, 24, 39)"
    on.ask("誰接替了蘇茨克維擔任首席科學家？")
    on.frame.locator(".opinion").wait_for()
    on.visit(theme="light")  # it is open still
    on.frame.locator("#box").wait_for()
    assert on.frame.locator("body").evaluate(ground) == "rgb(255, 255, 255)"


class Slow:
    """An answerer that says a first sentence, and the next when it is let."""

    def __init__(self) -> None:
        self.go_on, self.histories = threading.Event(), []  # type: ignore[var-annotated]

    def answer(self, task: Task) -> Iterator[Event]:
        self.histories.append(list(task.history))
        draft = Draft()
        yield draft.say("First sentence. (not supported by the cited passage)")
        yield draft.close(AnswerSentence("First sentence.", Verdict.UNSUPPORTED, ()))
        self.go_on.wait(10)
        yield draft.say(" Second sentence.")
        yield from finish(task, draft, answer_language="en")


def test_an_answer_is_seen_as_it_comes_can_be_stopped_and_asked_for_again(stage: Callable[..., Stage]) -> None:
    answerer = Slow()
    on = stage(answerer)
    on.visit()
    on.bubble.click()
    on.ask("Who led NASA in 1969?")
    said = on.frame.locator(".said")
    on.frame.get_by_text("First sentence.").wait_for()
    assert said.get_attribute("aria-busy") == "true"
    assert on.frame.locator(".verdict.unsupported").inner_text() == "(not supported by the cited passage)"
    assert not on.frame.locator("#send").is_visible()
    on.frame.locator("#stop").click()
    on.frame.get_by_text("Stopped.").wait_for()
    assert "First sentence." in said.inner_text()
    answerer.go_on.set()
    on.frame.get_by_role("button", name="Ask again").click()
    on.frame.get_by_text("Second sentence.").wait_for()
    on.frame.locator(".opinion").wait_for()
    assert on.frame.locator(".turn").count() == 1
    on.ask("And who in 1970?")
    on.frame.locator(".turn:nth-of-type(2) .opinion").wait_for()
    assert [len(history) for history in answerer.histories] == [0, 0, 1]
    assert answerer.histories[2][0].question == "Who led NASA in 1969?"


def test_what_a_visitor_says_of_an_answer_is_sent_and_thanked_for(stage: Callable[..., Stage]) -> None:
    answerer = Slow()
    answerer.go_on.set()
    on = stage(answerer)
    sent: list[Any] = []

    def keep(route: Any) -> None:  # the index of the samples is shared by all tests: nothing is written to it
        sent.append(route.request.post_data_json)
        route.fulfill(status=204)

    on.page.route("**/widget/feedback", keep)
    on.visit()
    on.bubble.click()
    on.ask("Who led NASA?")
    on.frame.locator('[data-kind="not_in_articles"]').click()
    on.frame.get_by_text("Thank you.").wait_for()
    assert (sent[0]["site"], sent[0]["kind"], sent[0]["question"]) == (KEY, "not_in_articles", "Who led NASA?")
    assert ["feedback", {"id": "t1", "kind": "not_in_articles"}] in on.events()


def test_a_site_that_asks_too_much_is_told_when_to_come_again(stage: Callable[..., Stage]) -> None:
    on = stage(site={"per_minute": 1})
    on.visit(lang="de")
    on.bubble.click()
    on.ask(QUESTION)
    on.frame.locator(".opinion").wait_for()
    on.ask(QUESTION)
    alert = on.frame.get_by_role("alert")
    alert.wait_for()
    assert "Zurzeit gibt es zu viele Fragen. Bitte fragen Sie in " in alert.inner_text()
    assert on.events()[-1] == ["error", {"id": "t2", "code": "busy"}]


def test_messages_of_others_are_not_heeded(stage: Callable[..., Stage]) -> None:
    on = stage()
    page = on.visit()
    on.bubble.click()
    on.frame.locator("#box").wait_for()
    _wait(on, lambda: on.frame.locator("#close").is_visible())
    forged = {"p": "dragoman:1", "type": "answer", "detail": {"forged": True}}
    page.evaluate("(m) => postMessage(m, '*')", forged)
    inner = page.frames[1]
    inner.evaluate("(m) => parent.postMessage({...m, p: 'other:1'}, '*')", forged)
    inner.evaluate("(m) => postMessage(m, '*')", {"p": "dragoman:1", "type": "ask", "question": "forged"})
    inner.evaluate("() => parent.postMessage({p: 'dragoman:1', type: 'constructor'}, '*')")
    page.wait_for_timeout(300)
    assert [name for name, _ in on.events()] == ["ready", "open"]
    assert on.frame.locator(".turn").count() == 0


def test_the_page_of_a_plain_iframe_answers_without_the_script(stage: Callable[..., Stage]) -> None:
    on = stage()
    on.host.pages["/plain"] = f'<!doctype html><iframe src="{on.server}/widget/frame?site={KEY}&lang=it"></iframe>', {}
    on.page.goto(on.host.origin + "/plain")
    on.ask(QUESTION)
    on.frame.locator(".opinion").wait_for()
    assert on.frame.locator("#box").get_attribute("placeholder") == "La tua domanda"
    assert not on.frame.locator("#close").is_visible()
    assert on.problems == []


def test_the_builder_shows_the_snippet_and_a_preview(stage: Callable[..., Stage]) -> None:
    on = stage()
    page = on.page
    page.goto(f"{on.server}/embed?site={KEY}")
    page.locator("#position").select_option("left")
    page.locator("#lang").select_option("ko")
    page.locator("#title").fill('A "title" & <b>')
    snippet = page.locator("#script").inner_text()
    loader = httpx.get(f"{on.server}/widget.js", trust_env=False).content
    digest = base64.b64encode(hashlib.sha384(loader).digest()).decode()
    assert snippet == (
        f'<script src="{on.server}/widget.js" data-site="{KEY}" data-lang="ko" data-position="left"'
        ' data-title="A &quot;title&quot; &amp; &lt;b&gt;"'
        f' integrity="sha384-{digest}" crossorigin="anonymous" async></script>'
    )
    assert f"{on.server}/widget/frame?site={KEY}&amp;lang=ko" in page.locator("#frame").inner_text()
    preview = page.frame_locator("#preview").frame_locator("iframe")
    preview.locator("#title", has_text='A "title" & <b>').wait_for()
    assert preview.locator("html").get_attribute("lang") == "ko"
    _wait(on, lambda: "ready {}\nopen {}" in page.locator("#events").inner_text())
    assert on.problems == []


def test_the_header_stays_when_questions_follow_each_other(stage: Callable[..., Stage]) -> None:
    on = stage()
    on.visit(starters="Who led NASA? | What is kimchi?")
    on.bubble.click()
    on.frame.locator("#starters button").first.click()
    on.frame.locator(".opinion").wait_for()
    for n, question in enumerate(("What is kimchi?", "Which mirror has the Webb telescope?"), 2):
        on.ask(question)
        on.frame.locator(f".turn:nth-of-type({n}) .opinion").wait_for()
    assert on.frame.locator("#close").is_visible()
    assert on.frame.locator("header").evaluate("e => e.getBoundingClientRect().top") == 0
    assert on.frame.locator("html").evaluate("e => e.scrollTop") == 0


def test_the_conversation_and_the_open_window_survive_navigation(stage: Callable[..., Stage], tmp_path: Path) -> None:
    on = stage(profile=tmp_path)
    on.visit()
    on.bubble.click()
    on.ask(QUESTION)
    on.frame.locator(".opinion").wait_for()
    on.visit(path="/other")
    on.frame.locator(".opinion").wait_for()
    assert on.page.evaluate("Dragoman.isOpen()")
    assert "30.000 documentos" in on.frame.locator(".said").inner_text()
    on.frame.locator("#new").click()
    on.page.evaluate("Dragoman.close()")
    on.visit(path="/third")
    on.bubble.click()
    on.frame.locator("#box[placeholder]").wait_for()
    assert on.frame.locator(".turn").count() == 0
    assert on.problems == []


def test_styles_of_the_host_neither_hide_nor_move_it(stage: Callable[..., Stage]) -> None:
    on = stage()
    on.visit(policy="default-src * 'unsafe-inline'", mode="side")
    on.page.add_style_tag(content="body * { display: none !important } body { transform: translateX(300px) }")
    box = on.bubble.bounding_box()
    assert box is not None
    assert (box["x"] + box["width"], box["y"] + box["height"]) == (980, 780)
    on.bubble.click()
    panel = on.page.locator(".panel").bounding_box()
    assert (panel["x"] + panel["width"], panel["y"], panel["height"]) == (1000, 0, 800)


def test_an_element_of_the_page_can_hold_the_answers(stage: Callable[..., Stage]) -> None:
    on = stage()
    script = f'<script src="{on.server}/widget.js" data-site="{KEY}" data-height="400"></script>'
    on.host.pages["/inline"] = f"<!doctype html><h1>Help</h1><dragoman-ask></dragoman-ask><p>Below</p>{script}", {}
    on.page.goto(on.host.origin + "/inline")
    on.ask(QUESTION)
    on.frame.locator(".opinion").wait_for()
    assert not on.bubble.is_visible()
    assert not on.frame.locator("#close").is_visible()
    panel, below = on.page.locator(".panel").bounding_box(), on.page.get_by_text("Below").bounding_box()
    assert panel["height"] == 400
    assert below["y"] >= panel["y"] + 400
    assert on.problems == []
