"""The page in a real browser. Never waits for a quiet network: gradio keeps a stream open."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from index.encoders.base import Encoder
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain, ChainSettings
from rag.phrases import Part, phrase
from rag.testing import WordReader
from rag.verify import Verdict
from tests.ui.test_page import Saying, chain_of, page_app, serving
from ui.server.keys import KeyFile, Scope
from ui.server.settings import ServerSettings

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]

QUESTION = "How many documents did the lawyers review?"
CITED = '#chat a[href^="#src-"]'
PHONE = {"width": 390, "height": 844}


@dataclass
class Seen:
    """A page in a browser, and what it asked for and complained of."""

    page: Any
    address: str
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, question: str, wait_for: str = CITED) -> None:
        self.page.fill("#question textarea", question)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(wait_for, timeout=20_000)
        self.settled()

    def settled(self) -> None:
        """Wait until an answer is done: the box takes questions again."""
        self.page.wait_for_selector("#question .submit-button", timeout=20_000)
        time.sleep(0.6)  # what is kept in the browser is written after that

    def fine(self) -> None:
        assert self.elsewhere == []
        assert self.complaints == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def opened(browser: Any, address: str, query: str = "", **options: Any) -> Iterator[Seen]:
    """The page at `address` in a browser of its own storage."""
    context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 860}, **options})
    seen = Seen(context.new_page(), address)
    watch(seen)
    visit(seen, query)
    try:
        yield seen
    finally:
        context.close()


def watch(seen: Seen) -> None:
    def asked(request: Any) -> None:
        if not request.url.startswith((seen.address, "data:", "blob:")):
            seen.elsewhere.append(request.url)

    seen.page.on("request", asked)
    seen.page.on("console", lambda said: seen.complaints.append(said.text) if said.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))


def visit(seen: Seen, query: str = "") -> None:
    seen.page.goto(f"{seen.address}/{query}")
    seen.page.wait_for_selector("#question textarea", timeout=20_000)
    seen.page.wait_for_selector("#panel em", timeout=20_000)  # filled once the server has greeted


@pytest.fixture(scope="module")
def address(sample_index: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chain = Chain(EmbeddedBackend(sample_index), encoder, settings=ChainSettings(min_relevance=0.0))
    with serving(page_app(chain, on_feedback=FEEDBACK.append)) as at:
        yield at


FEEDBACK: list[Any] = []


def test_a_click_on_a_marker_leads_to_its_passage(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        page = seen.page
        seen.ask(QUESTION)
        assert "30.000 documentos" in page.inner_text("#panel mark")
        assert "✓ supported" in page.inner_text("#panel .said")
        assert "✓" in page.inner_text("#chat .v-supported")
        page.click(CITED)
        focused = page.evaluate("document.activeElement.id")
        assert f"#{focused}" == page.get_attribute(CITED, "href")
        assert page.evaluate("document.activeElement.classList.contains('here')")
        assert page.url.rstrip("/") == address
        assert page.locator("h1").count() == 1
        seen.fine()


def test_a_second_answer_has_its_own_cards_and_the_first_stay_within_reach(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        page = seen.page
        seen.ask(QUESTION)
        first = page.get_attribute(CITED, "href")
        seen.ask("Who led NASA?", f'#chat a[href^="#src-"]:not([href^="{first[:13]}"])')
        assert page.locator("#panel article").count() == page.evaluate(
            "new Set([...document.querySelectorAll('#panel article')].map(card => card.id)).size"
        )
        assert not page.is_visible(first)
        page.click(f'#chat a[href="{first}"]')
        assert page.is_visible(first)
        assert page.evaluate("document.activeElement.id") == first[1:]
        seen.fine()


def test_an_example_of_the_corpus_is_asked_with_a_click(browser: Any, address: str) -> None:
    with opened(browser, address, "?lang=de") as seen:
        page = seen.page
        page.wait_for_selector("#chat .example", timeout=10_000)
        assert "Was steht in „" in page.inner_text("#chat .example >> nth=0")
        page.click("#chat .example >> nth=0")
        page.wait_for_selector(CITED, timeout=20_000)
        seen.settled()
        assert page.locator("#panel mark").count() >= 1
        seen.fine()


@pytest.mark.parametrize("lang", ["ar", "ko", "he", "zh-Hant"])
def test_the_page_speaks_the_language_that_was_asked_for(browser: Any, address: str, lang: str) -> None:
    with opened(browser, address, f"?lang={lang}") as seen:
        page = seen.page
        assert page.evaluate("document.documentElement.dir") == ("rtl" if lang in ("ar", "he") else "ltr")
        assert phrase("subtitle", lang, Part.PAGE) in page.inner_text("#head")
        assert page.get_attribute("#question textarea", "placeholder") == phrase("placeholder", lang, Part.PAGE)
        assert phrase("panel_empty", lang, Part.PAGE) in page.inner_text("#panel")
        seen.fine()


def test_in_arabic_the_columns_and_each_text_run_their_own_way(browser: Any, address: str) -> None:
    with opened(browser, address, "?lang=ar") as seen:
        page = seen.page
        seen.ask("كم عدد الوثائق التي راجعها المحامون؟")
        chat, panel = page.locator("#chat").bounding_box(), page.locator("#panel").bounding_box()
        assert chat["x"] > panel["x"]
        ways = page.evaluate(
            "['#panel h2', '#panel .card', '#panel .quote', '#head h1'].map("
            "at => getComputedStyle(document.querySelector(at)).direction)"
        )
        assert ways == ["rtl", "rtl", "ltr", "rtl"]  # the quotation is Spanish
        assert phrase("supported", "ar", Part.PAGE) in page.inner_text("#panel .said")
        seen.fine()


@pytest.mark.parametrize("lang", ["en", "ar"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Any, address: str, lang: str, theme: str) -> None:
    with opened(browser, address, f"?lang={lang}", viewport=PHONE, color_scheme=theme) as seen:
        page = seen.page
        seen.ask(QUESTION)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.locator("#panel").bounding_box()["y"] > page.locator("#question").bounding_box()["y"]
        assert page.evaluate("document.body.classList.contains('dark')") is (theme == "dark")
        seen.fine()


def test_a_conversation_survives_a_restart_of_the_server(browser: Any, tmp_path: Path) -> None:
    chain = chain_of(tmp_path, Saying("Seven cranes."))
    with serving(page_app(chain)) as address:
        context = browser.new_context(locale="en-US")
        seen = Seen(context.new_page(), address)
        visit(seen)
        seen.ask("How many cranes?")
        stored = seen.page.evaluate("JSON.stringify(localStorage)")
    with serving(page_app(chain)) as address:
        # Another port is another storage: carried over, as it would be there on the same one.
        seen = Seen(context.new_page(), address)
        seen.page.goto(f"{address}/page/page.css")
        seen.page.evaluate(
            "kept => Object.entries(JSON.parse(kept)).forEach(one => localStorage.setItem(...one))", stored
        )
        visit(seen)
        seen.page.get_by_text(phrase("history", "en", Part.PAGE), exact=True).first.click()
        seen.page.get_by_text("How many cranes?").click()
        seen.page.wait_for_selector(CITED, timeout=10_000)
        assert "Seven cranes." in seen.page.inner_text("#chat")
        assert "The harbour has seven cranes." in seen.page.inner_text("#panel mark")
        context.close()


def test_an_answer_can_be_stopped_tried_again_edited_and_cleared(browser: Any, tmp_path: Path) -> None:
    answerer = Saying(*[f"Sentence {n}." for n in range(60)], pause_s=0.1)
    with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address) as seen:
        page = seen.page
        page.fill("#question textarea", "How many cranes?")
        page.keyboard.press("Enter")
        page.wait_for_selector(CITED, timeout=10_000)
        page.click("#question .stop-button")
        seen.settled()
        time.sleep(0.5)
        n_said = answerer.n_said
        time.sleep(0.5)
        assert answerer.n_said == n_said < 40
        answerer._sentences = ("Again.",)
        page.get_by_label("Retry").click()
        until(lambda: "Again." in page.inner_text("#chat"))
        seen.settled()
        answerer._sentences = ("Edited.",)
        page.get_by_label("Edit").first.click()
        page.fill("#chat textarea", "How many blue cranes?")
        page.get_by_label("Submit").first.click()
        until(lambda: "Edited." in page.inner_text("#chat"))
        seen.settled()
        assert answerer.tasks[-1].question == "How many blue cranes?"
        assert answerer.tasks[-1].history == []
        page.get_by_label("Clear").click()
        until(lambda: page.locator(CITED).count() == 0)
        until(lambda: "appear here" in page.inner_text("#panel"))
        seen.fine()


def test_a_follow_up_is_asked_with_what_was_said_before(browser: Any, tmp_path: Path) -> None:
    answerer = Saying("Seven cranes.")
    with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address) as seen:
        seen.ask("How many cranes?")
        seen.ask("And which colour?", "#panel details:has(.earlier)")
        (turn,) = answerer.tasks[-1].history
        assert (turn.question, turn.answer.strip()) == ("How many cranes?", "Seven cranes.")
        seen.fine()


def test_feedback_is_given_with_two_clicks(browser: Any, address: str) -> None:
    with opened(browser, address, "?lang=ko") as seen:
        seen.ask(QUESTION)
        FEEDBACK.clear()
        seen.page.locator("#chat .extra-feedback button").first.hover()
        seen.page.get_by_text(phrase("not_in_articles", "ko", Part.PAGE), exact=True).click()
        until(lambda: len(FEEDBACK) == 1)
        assert (FEEDBACK[0].kind, FEEDBACK[0].question) == ("not_in_articles", QUESTION)
        assert len(FEEDBACK[0].citations) >= 1
        seen.fine()


def test_articles_are_added_where_that_is_allowed(browser: Any, tmp_path: Path) -> None:
    chain = chain_of(tmp_path)
    new = tmp_path / "new.md"
    new.write_text("# Trams\n\nThe city has ninety trams, all of them yellow.", "utf-8")
    key = KeyFile(chain.backend.folder).add("loader", [Scope.INGEST])
    with (
        serving(page_app(chain, ServerSettings(allow_upload=True))) as address,
        # As a browser does it once it was told the key, which it asks for at the first file.
        opened(browser, address, http_credentials={"username": "me", "password": key}) as seen,
    ):
        page = seen.page
        page.get_by_text(phrase("add", "en", Part.PAGE), exact=True).click()
        page.set_input_files("input[type=file]", str(new))
        until(lambda: "new.md: added" in page.inner_text("#uploaded"))
        seen.ask("How many trams has the city?")
        assert "ninety trams" in page.inner_text("#panel mark >> nth=0")
        seen.fine()


def test_where_it_is_not_allowed_nothing_can_be_added(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        assert seen.page.locator("input[type=file]").count() == 0
        assert seen.page.get_by_text(phrase("add", "en", Part.PAGE), exact=True).count() == 0


def test_the_corpus_is_shown_with_bars(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        page = seen.page
        page.get_by_text(phrase("overview", "en", Part.PAGE), exact=True).click()
        page.wait_for_selector("#overview .bar", timeout=10_000)
        assert "Articles: 30" in page.inner_text("#overview")
        widths = page.evaluate("[...document.querySelectorAll('#overview .bar')].map(bar => bar.clientWidth)")
        assert len(widths) >= 20
        assert min(widths) > 0
        seen.fine()


# --- without a mouse, and without eyes ------------------------------------------------------------------------


def test_enter_sends_a_question_but_not_one_that_is_being_composed(browser: Any, tmp_path: Path) -> None:
    answerer = Saying("Seven cranes.")
    with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address, "?lang=ko") as seen:
        page = seen.page
        page.focus("#question textarea")
        keys = page.context.new_cdp_session(page)
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        keys.send("Input.imeSetComposition", {"text": "크레인", "selectionStart": 3, "selectionEnd": 3})
        keys.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": "\r", **enter})
        keys.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
        time.sleep(1)
        assert (answerer.tasks, page.locator("#chat .user-row").count()) == ([], 0)
        keys.send("Input.insertText", {"text": "크레인은?"})
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("x")
        time.sleep(0.5)
        assert answerer.tasks == []
        page.keyboard.press("Enter")
        page.wait_for_selector(CITED, timeout=10_000)
        assert [task.question.split() for task in answerer.tasks] == [["크레인은?", "x"]]
        seen.fine()


def test_esc_goes_back_from_a_passage_to_the_marker_that_led_there(browser: Any, address: str) -> None:
    with opened(browser, address, viewport=PHONE) as seen:
        page = seen.page
        seen.ask(QUESTION)
        page.focus(CITED)
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.className") == "card here"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.getAttribute('href')") == page.get_attribute(CITED, "href")
        assert page.locator(".card.here").count() == 0
        seen.fine()


STOP = """(one => [one.tagName, one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.innerText || "",
    getComputedStyle(one).outlineStyle])(document.activeElement)"""


def test_everything_is_reached_by_the_tab_key_and_has_a_name_and_a_ring(browser: Any, uploading: str) -> None:
    with opened(browser, uploading, "?lang=ko") as seen:
        page = seen.page
        seen.ask(QUESTION)
        for title in ("filters", "history", "overview", "add"):
            box = page.locator("button.label-wrap", has_text=phrase(title, "ko", Part.PAGE))
            assert box.get_attribute("aria-expanded") == "false"
            box.press("Enter")
            until(lambda box=box: box.get_attribute("aria-expanded") == "true")
        page.mouse.click(2, 2)
        stops = []
        for _ in range(60):
            page.keyboard.press("Tab")
            stops.append(page.evaluate(STOP))
            if stops[-1][0] == "BODY":
                break
        names = [name.strip().split("\n")[0] for _, name, _ in stops]
        assert [stop for stop, name in zip(stops, names, strict=True) if not name] == []
        named = (
            "send",
            "copy",
            "opinions",
            "placeholder",
            "filters",
            "languages",
            "since",
            "history",
            "new",
            "delete_all",
        )
        assert {phrase(name, "ko", Part.PAGE) for name in (*named, "overview", "add")} <= set(names)
        assert {"English", "한국어", "[1]"} <= set(names)
        assert any(tag == "SUMMARY" for tag, _, _ in stops)
        # A text field shows by its frame that it has the focus, and its caret.
        assert [name for tag, name, ring in stops if ring == "none" and tag not in ("INPUT", "TEXTAREA", "BODY")] == []
        seen.fine()


@pytest.fixture(scope="module")
def uploading(sample_index: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page where articles can be added, to an index of its own."""
    folder = tmp_path_factory.mktemp("uploading") / "index"
    shutil.copytree(sample_index, folder)
    chain = Chain(EmbeddedBackend(folder), encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader())
    with serving(page_app(chain, ServerSettings(allow_upload=True, per_minute=100_000))) as at:
        yield at


VIOLATIONS = """async () => (await axe.run(document)).violations
    .filter(one => ["serious", "critical"].includes(one.impact))
    .map(one => [one.id, one.nodes.map(node => node.html.slice(0, 200))])"""


@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "ar", "ko"])
def test_axe_finds_nothing_serious(
    browser: Any, uploading: str, tmp_path: Path, lang: str, theme: str, size: str
) -> None:
    script = Path(os.environ.get("DRAGOMAN_AXE", "/nonexistent"))
    if not script.is_file():
        pytest.skip("DRAGOMAN_AXE does not name axe.min.js: npm pack axe-core")
    options = {"viewport": PHONE} if size == "phone" else {}
    with opened(browser, uploading, f"?lang={lang}", color_scheme=theme, **options) as seen:
        page = seen.page
        page.wait_for_selector("#chat .example", timeout=10_000)
        page.evaluate(script.read_text("utf-8"))

        def assert_sound(state: str) -> None:
            assert (state, page.evaluate(VIOLATIONS)) == (state, [])

        assert_sound("empty")
        seen.ask(QUESTION)
        page.evaluate("document.querySelectorAll('#panel details').forEach(one => one.open = true)")
        page.click(CITED)
        assert_sound("answered, with its passages open")
        for name in ("filters", "history", "overview", "add"):
            page.locator("button.label-wrap", has_text=phrase(name, lang, Part.PAGE)).click()
            page.wait_for_timeout(400)
            assert_sound(f"{name} open")
        (tmp_path / "a.md").write_text("# Trams", "utf-8")
        page.set_input_files("input[type=file]", str(tmp_path / "a.md"))
        page.wait_for_timeout(1_000)
        assert_sound("a file refused, for want of a key")


# --- hostile text -------------------------------------------------------------------------------------------


@contextmanager
def beacon() -> Iterator[tuple[str, list[str]]]:
    """An address elsewhere, and the requests that reach it."""
    hits: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing: the hits are the log."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", hits
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def hostile(at: str) -> list[str]:
    return [
        f"![pixel]({at}/markdown.png)",
        f"![ref][1]\n\n[1]: {at}/reference.png",
        f'<img src="{at}/img.png" onerror="window.pwned=1">',
        f"<script>window.pwned=1;fetch('{at}/script')</script>",
        f"<svg onload=\"window.pwned=1\"><image href='{at}/svg.png'/></svg>",
        f'<iframe src="{at}/frame"></iframe><object data="{at}/object"></object>',
        f"<style>body{{background:url({at}/style.png)}}</style>",
        f'<link rel="stylesheet" href="{at}/link.css"><meta http-equiv="refresh" content="0;url={at}/meta">',
        "[click](javascript:window.pwned=1)",
        f"<a href='{at}/link'>click</a> [click]({at}/link)",
        "</span></article></details><h1>Forged</h1><mark>forged</mark>",
        "$$\\href{javascript:window.pwned=1}{x}$$",
        f"<video poster='{at}/poster.png' src='{at}/v.mp4' autoplay></video><input autofocus onfocus='window.pwned=1'>",
        "```html\n<script>window.pwned=1</script>\n```",
    ]


INERT = """[...document.querySelectorAll(
    '#chat .bot .prose :is(img, iframe, video, svg, object, input, style, script, link, meta),'
    + '#panel :is(img, iframe, video, object, input, style, script, link, meta, section svg)'
)].map(one => one.outerHTML)"""
LINKS = "[...document.querySelectorAll('#chat .bot .prose a, #panel a')].map(one => one.getAttribute('href'))"


def assert_inert(seen: Seen, hits: list[str]) -> None:
    page = seen.page
    time.sleep(1)
    assert page.evaluate(INERT) == []
    assert [href for href in page.evaluate(LINKS) if not href.startswith(("#src-", "article/"))] == []
    assert page.evaluate("window.pwned") is None
    assert page.locator("h1").count() == 1
    assert hits == []
    seen.fine()  # a policy that had to stop something would have complained


def test_a_hostile_answer_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    with beacon() as (at, hits):
        answerer = Saying(*hostile(at), verdict=Verdict.PARTLY, pause_s=0.05)
        with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address) as seen:
            seen.ask("How many cranes?")
            assert "<script>window.pwned=1" in seen.page.inner_text("#chat")
            assert "![pixel](" in seen.page.inner_text("#chat")
            assert "◐ only partly supported" in seen.page.inner_text("#chat")
            assert "![pixel](" in seen.page.inner_text("#panel")
            assert_inert(seen, hits)


def test_a_hostile_article_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    with beacon() as (at, hits):
        lines = [json.dumps({"title": text_, "text": f"Cranes. {text_} Seven."}) for text_ in hostile(at)]
        (tmp_path / "hostile.jsonl").write_text("\n".join(lines), "utf-8")
        chain = with_jsonl(tmp_path)
        with serving(page_app(chain)) as address, opened(browser, address) as seen:
            seen.page.wait_for_selector("#chat .example", timeout=10_000)
            seen.ask("How many cranes? Seven.")
            seen.page.evaluate("document.querySelectorAll('#panel details').forEach(one => one.open = true)")
            assert "window.pwned=1" in seen.page.inner_text("#panel")
            assert seen.page.locator("#panel .card").count() >= 8
            assert_inert(seen, hits)


def with_jsonl(folder: Path) -> Chain:
    """A chain over the articles of `hostile.jsonl`."""
    from index.ingest import ingest
    from rag.testing import HashEncoder

    report = ingest(folder / "index", [str(folder / "hostile.jsonl")], HashEncoder(), n_workers=1)
    assert report.added >= 8
    return Chain(
        EmbeddedBackend(folder / "index"), HashEncoder(), settings=ChainSettings(min_relevance=0.0), reader=WordReader()
    )


def until(holds: Callable[[], bool], timeout_s: float = 15) -> None:
    """Wait for something to hold; a browser's own waiting would need eval, which the policy forbids."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
