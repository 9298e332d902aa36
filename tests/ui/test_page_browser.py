"""The page in a real browser."""

from __future__ import annotations

import http.server
import json
import os
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
from rag.errors import ModelFailed
from rag.phrases import Part, phrase
from rag.testing import WordReader
from rag.verify import Verdict
from tests.ui.browser import chromium
from tests.ui.running import feedback_in
from tests.ui.test_page import Saying, chain_of, page_app, serving
from ui.server.keys import KeyFile, Scope
from ui.server.settings import ServerSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]

QUESTION = "How many documents did the lawyers review?"
PHONE = {"width": 390, "height": 844}
SHOTS = Path(__file__).parent.parent.parent / "build" / "screenshots"


@dataclass
class Seen:
    """A page in a browser, and what it asked for and complained of."""

    page: Any
    address: str
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, question: str) -> Any:
        """Ask, and wait until the answer is whole; its section."""
        n = self.page.locator(".turn").count()
        self.page.fill("#box", question)
        self.page.keyboard.press("Enter")
        turn = self.page.locator(".turn").nth(n)
        turn.locator(".opinion, .note.bad").first.wait_for(timeout=20_000)
        return turn

    def shot(self, name: str) -> None:
        """Keep a picture for people to look at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))

    def fine(self) -> None:
        assert self.elsewhere == []
        assert self.complaints == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@contextmanager
def opened(browser: Any, address: str, query: str = "", **options: Any) -> Iterator[Seen]:
    """The page at `address` in a browser of its own storage."""
    context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options})
    seen = Seen(context.new_page(), address)
    watch(seen)
    seen.page.goto(f"{seen.address}/{query}")
    seen.page.wait_for_selector(".welcome, .turn", timeout=20_000)
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


@pytest.fixture(scope="module")
def address(sample_index: Path, encoder: Encoder) -> Iterator[str]:
    chain = Chain(EmbeddedBackend(sample_index), encoder, settings=ChainSettings(min_relevance=0.0))
    with serving(page_app(chain, ServerSettings(per_minute=100_000))) as at:
        yield at


def test_the_best_quotation_stands_first_and_its_marker_leads_to_its_source(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        page, turn = seen.page, seen.ask(QUESTION)
        best = turn.locator(".quotation.best")
        assert "30.000 documentos" in best.inner_text()
        assert "30.000" in best.locator("mark b").inner_text()
        assert "Spanish" in best.locator(".about").inner_text()
        assert "✓" not in turn.inner_text()  # nothing has a tick for being itself
        best.locator(".cite").click()
        assert page.evaluate("document.activeElement.matches('.place.lit')")
        assert "30.000 documentos" in page.inner_text(".place.lit mark")
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.matches('.cite')")
        assert page.locator("h1").count() == 1
        seen.shot("page-desktop")
        seen.fine()


def test_sources_stand_once_under_their_article_and_are_there_before_the_answer(browser: Any, tmp_path: Path) -> None:
    answerer = Saying("One.", "Two.", "Three.", pause_s=0.3)
    with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address) as seen:
        page = seen.page
        page.fill("#box", "How many cranes?")
        page.keyboard.press("Enter")
        page.wait_for_selector("#sources .article")
        assert page.locator(".opinion").count() == 0
        page.wait_for_selector(".opinion")
        assert page.locator("#sources .article").count() == 1
        assert page.locator(".said .verdict.supported").count() >= 1  # sentences of a model that were checked
        seen.fine()


def test_an_earlier_answer_shows_its_own_sources_again(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        first = seen.ask(QUESTION)
        was = seen.page.inner_text("#sources .article >> nth=0")
        seen.ask("Who led NASA?")
        assert seen.page.inner_text("#sources .article >> nth=0") != was
        first.locator(".cite").first.click()
        assert seen.page.inner_text("#sources .article >> nth=0") == was
        seen.fine()


def test_one_can_begin_with_a_click(browser: Any, address: str) -> None:
    with opened(browser, address, "?lang=de") as seen:
        seen.page.locator(".starter").first.click()
        seen.page.wait_for_selector(".opinion", timeout=20_000)
        assert seen.page.locator("#sources mark").count() >= 1
        seen.fine()


@pytest.mark.parametrize("lang", ["ar", "ko", "he", "th", "zh-Hant"])
def test_the_page_speaks_the_language_that_was_asked_for(browser: Any, address: str, lang: str) -> None:
    with opened(browser, address, f"?lang={lang}") as seen:
        page = seen.page
        assert page.evaluate("document.documentElement.dir") == ("rtl" if lang in ("ar", "he") else "ltr")
        assert phrase("subtitle", lang, Part.INTERFACE) in page.inner_text(".welcome")
        assert page.get_attribute("#box", "placeholder") == phrase("placeholder", lang, Part.INTERFACE)
        assert phrase("sources_empty", lang, Part.INTERFACE) in page.inner_text("#panel")
        seen.ask(QUESTION)
        seen.shot(f"page-{lang}")
        seen.fine()


def test_the_language_that_is_chosen_is_kept(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        seen.ask(QUESTION)
        seen.page.select_option("#lang", "ko")
        seen.page.wait_for_selector("html[lang=ko] .turn")
        seen.page.goto(f"{address}/")
        assert seen.page.evaluate("document.documentElement.lang") == "ko"
        seen.fine()


def test_in_arabic_the_panes_and_each_text_run_their_own_way(browser: Any, address: str) -> None:
    with opened(browser, address, "?lang=ar") as seen:
        page = seen.page
        seen.ask("كم عدد الوثائق التي راجعها المحامون؟")
        log, panel = page.locator("#log").bounding_box(), page.locator("#panel").bounding_box()
        assert log["x"] > panel["x"]
        ways = page.evaluate(
            "['#panel h2', '.article', '#sources blockquote', 'h1'].map("
            "at => getComputedStyle(document.querySelector(at)).direction)"
        )
        assert ways == ["rtl", "rtl", "ltr", "rtl"]  # the quotation is Spanish
        seen.fine()


@pytest.mark.parametrize("lang", ["en", "ar"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_sources_are_a_sheet_and_targets_are_large(
    browser: Any, address: str, lang: str, theme: str
) -> None:
    options = {"viewport": PHONE, "color_scheme": theme, "has_touch": True, "is_mobile": True}
    with opened(browser, address, f"?lang={lang}", **options) as seen:
        page, turn = seen.page, seen.ask(QUESTION)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate("document.documentElement.scrollHeight") <= PHONE["height"]
        small = page.evaluate(
            "[...document.querySelectorAll('button, select')].filter(one => !one.matches('.cite, .chip')"
            " && one.checkVisibility({visibilityProperty: true}) && one.getBoundingClientRect().height < 40)"
            ".map(one => one.outerHTML)"
        )
        assert small == []
        assert not page.is_visible("#panel")
        seen.shot(f"page-phone-{lang}-{theme}")
        turn.locator(".tools .chip.narrow").tap()
        assert page.is_visible("#panel")
        assert page.locator("#panel").bounding_box()["height"] <= PHONE["height"] * 0.76
        seen.shot(f"page-phone-{lang}-{theme}-sources")
        page.tap("#close-panel")
        assert not page.is_visible("#panel")
        seen.fine()


def test_conversations_are_kept_found_renamed_and_deleted(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        page = seen.page
        seen.ask(QUESTION)
        page.reload()
        page.wait_for_selector(".quotation.best")
        assert "30.000 documentos" in page.inner_text(".quotation.best")
        assert "30.000 documentos" in page.inner_text("#sources mark >> nth=0")
        page.click("#new")
        seen.ask("Who led NASA?")
        names = page.locator("#conversations .name")
        assert names.all_inner_texts() == ["Who led NASA?", QUESTION]
        page.fill("#find", "documentos")
        assert names.all_inner_texts() == [QUESTION]
        page.get_by_label("Rename").click()
        page.keyboard.type("Lawyers")
        page.keyboard.press("Enter")
        page.fill("#find", "")
        assert "Lawyers" in names.all_inner_texts()[1]
        page.get_by_label("Delete").nth(1).click()
        assert names.all_inner_texts() == ["Who led NASA?"]
        page.get_by_text("Delete all").click()
        assert names.count() == 0
        assert page.is_visible(".welcome")
        seen.fine()


@pytest.mark.parametrize("stored", ["null", "{", "[1]", '[{"id": "a", "title": "b", "turns": [{"question": 1}]}]'])
def test_storage_that_is_not_ours_is_left_out(browser: Any, address: str, stored: str) -> None:
    with opened(browser, address) as seen:
        seen.page.evaluate("kept => localStorage.setItem('dragoman_conversations_2', kept)", stored)
        seen.page.goto(f"{address}/#a")
        seen.page.reload()
        seen.page.wait_for_selector(".starter")
        seen.fine()


def test_an_answer_can_be_stopped_tried_again_and_edited(browser: Any, tmp_path: Path) -> None:
    answerer = Saying(*[f"Sentence {n}." for n in range(60)], pause_s=0.1)
    with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address) as seen:
        page = seen.page
        page.fill("#box", "How many cranes?")
        page.keyboard.press("Enter")
        page.wait_for_selector(".said .cite", timeout=10_000)
        page.click("#stop")
        until(lambda: "Stopped." in page.inner_text(".note"))
        until_still(lambda: answerer.n_said)
        assert answerer.n_said < 60
        answerer._sentences = ("Again.",)
        page.get_by_label("Ask again").click()
        until(lambda: "Again." in page.inner_text("#log"))
        page.wait_for_selector(".opinion")
        answerer._sentences = ("Edited.",)
        page.get_by_label("Edit the question").click()
        assert page.input_value("#box") == "How many cranes?"
        seen.ask("How many blue cranes?")
        assert "Edited." in page.inner_text("#log")
        assert page.locator(".turn").count() == 1
        assert (answerer.tasks[-1].question, answerer.tasks[-1].history) == ("How many blue cranes?", [])
        seen.fine()


def test_a_follow_up_is_asked_with_what_was_said_before(browser: Any, tmp_path: Path) -> None:
    answerer = Saying("Seven cranes.")
    with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address) as seen:
        seen.ask("How many cranes?")
        seen.ask("And which colour?")
        (turn,) = answerer.tasks[-1].history
        assert (turn.question, turn.answer.strip()) == ("How many cranes?", "Seven cranes.")
        seen.fine()


def test_an_answer_is_copied_as_text_with_its_sources(browser: Any, address: str) -> None:
    with opened(browser, address, permissions=["clipboard-read", "clipboard-write"]) as seen:
        turn = seen.ask(QUESTION)
        turn.get_by_label("Copy", exact=True).click()
        until(lambda: "Sources:\n[1] " in seen.page.evaluate("navigator.clipboard.readText()"))
        text = seen.page.evaluate("navigator.clipboard.readText()")
        assert "30.000 documentos" in text
        assert "/article/" in text
        turn.get_by_label("Copy as Markdown").click()
        until(lambda: "1. [" in seen.page.evaluate("navigator.clipboard.readText()"))
        seen.fine()


def test_feedback_is_given_with_a_click(browser: Any, tmp_path: Path) -> None:
    chain = chain_of(tmp_path)
    with serving(page_app(chain)) as address, opened(browser, address, "?lang=ko") as seen:
        seen.ask("How many cranes?")
        seen.page.get_by_text(phrase("not_in_articles", "ko", Part.INTERFACE), exact=True).click()
        until((chain.backend.folder / "feedback.jsonl").exists)
        (given,) = feedback_in(chain.backend.folder)
        assert (given["kind"], given["question"]) == ("not_in_articles", "How many cranes?")
        assert len(given["citations"]) >= 1
        seen.fine()


def test_the_filter_holds_and_is_seen(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        page = seen.page
        page.click("#filters")
        page.locator("#filter .chip", has_text="Korean").click()
        assert page.locator("#filters.on").count() == 1
        seen.ask(QUESTION)
        page.evaluate("document.querySelectorAll('#panel details').forEach(one => one.open = true)")
        abouts = page.locator("#sources .article > .about").all_inner_texts()
        assert abouts
        assert all("Korean" in about for about in abouts)
        page.get_by_text("Clear the filter").click()
        assert page.locator("#filters.on").count() == 0
        seen.fine()


def test_what_goes_wrong_is_said_in_place_and_the_next_question_works(browser: Any, tmp_path: Path) -> None:
    answerer = Saying("One.", pause_s=0.05, error=ModelFailed("it broke"))
    app = page_app(chain_of(tmp_path, answerer), ServerSettings(per_minute=4))
    with serving(app) as address, opened(browser, address) as seen:
        assert phrase("model_problem", "en", Part.INTERFACE) in seen.ask("How many cranes?").inner_text()
        answerer._error = None
        assert "One." in seen.ask("How many cranes are blue?").inner_text()
        seen.page.context.set_offline(True)
        assert phrase("offline", "en", Part.INTERFACE) in seen.ask("And red?").inner_text()
        seen.page.context.set_offline(False)
        for _ in range(5):
            last = seen.ask("And green?").inner_text()
        assert "Too many questions at the moment" in last


def test_articles_are_added_where_that_is_allowed(browser: Any, tmp_path: Path) -> None:
    chain = chain_of(tmp_path)
    new = tmp_path / "new.md"
    new.write_text("# Trams\n\nThe city has ninety trams, all of them yellow.", "utf-8")
    key = KeyFile(chain.backend.folder).add("loader", [Scope.INGEST, Scope.ASK])
    with (
        serving(page_app(chain, ServerSettings(allow_upload=True))) as address,
        # As a browser does it once it was told the key.
        opened(browser, address, http_credentials={"username": "me", "password": key}) as seen,
    ):
        page = seen.page
        page.click("#open-library")
        page.wait_for_selector("input[type=file]", state="attached", timeout=20_000)
        page.set_input_files("input[type=file]", str(new))
        until(lambda: "new.md: added" in page.inner_text("#uploaded"))
        until(lambda: "Trams" in page.inner_text("#articles"))
        seen.shot("page-library")
        page.click("#close-library")
        assert "ninety trams" in seen.ask("How many trams has the city?").inner_text()
        seen.fine()


def test_where_it_is_not_allowed_there_is_the_list_of_articles_alone(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        seen.page.click("#open-library")
        until(lambda: "한국어" in seen.page.inner_text("#articles"))
        assert seen.page.locator("#files").count() == 0
        seen.page.keyboard.press("Escape")
        assert not seen.page.is_visible("#library")
        seen.fine()


# --- without a mouse, and without eyes ------------------------------------------------------------------------


def test_enter_sends_a_question_but_not_one_that_is_being_composed(browser: Any, tmp_path: Path) -> None:
    answerer = Saying("Seven cranes.")
    with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address, "?lang=ko") as seen:
        page = seen.page
        page.focus("#box")
        keys = page.context.new_cdp_session(page)
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        keys.send("Input.imeSetComposition", {"text": "크레인", "selectionStart": 3, "selectionEnd": 3})
        keys.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": "\r", **enter})
        keys.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
        assert (answerer.tasks, page.locator(".turn").count()) == ([], 0)
        keys.send("Input.insertText", {"text": "크레인은?"})
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("x")
        assert answerer.tasks == []
        page.keyboard.press("Enter")
        page.wait_for_selector(".said .cite", timeout=10_000)
        assert [task.question.split() for task in answerer.tasks] == [["크레인은?", "x"]]
        seen.fine()


def test_arrows_go_from_marker_to_marker_and_a_slash_to_the_question(browser: Any, address: str) -> None:
    with opened(browser, address) as seen:
        page = seen.page
        seen.ask(QUESTION)
        seen.ask("Who led NASA?")
        page.locator(".cite").first.focus()
        page.keyboard.press("ArrowRight")
        order = "[...document.querySelectorAll('.cite')].indexOf(document.activeElement)"
        assert page.evaluate(order) == 1
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(order) == 0
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "box"
        assert page.input_value("#box") == ""
        seen.fine()


STOP = """(one => [one.tagName, one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.innerText || "",
    getComputedStyle(one).outlineStyle])(document.activeElement)"""


def test_everything_is_reached_by_the_tab_key_and_has_a_name_and_a_ring(browser: Any, address: str) -> None:
    with opened(browser, address, "?lang=ko") as seen:
        page = seen.page
        seen.ask(QUESTION)
        page.click("#filters")
        page.mouse.click(2, 2)
        stops = []
        for _ in range(100):
            page.keyboard.press("Tab")
            stops.append(page.evaluate(STOP))
            if stops[-1][0] == "BODY":
                break
        names = [name.strip().split("\n")[0] for _, name, _ in stops]
        assert [stop for stop, name in zip(stops, names, strict=True) if not name] == []
        named = ("send", "copy", "copy_markdown", "edit", "placeholder", "filters", "since", "new", "rename", "delete",
                 "delete_all", "library", "right", "export", "interface_language")  # fmt: skip
        assert {phrase(name, "ko", Part.INTERFACE) for name in named} <= set(names)
        assert "출처 1 보기" in names
        # A field shows by its caret that it has the focus, and so does the part of a date.
        assert [name for tag, name, ring in stops if ring == "none" and tag not in ("TEXTAREA", "INPUT", "BODY")] == []
        seen.fine()


VIOLATIONS = """async () => (await axe.run(document)).violations
    .filter(one => ["serious", "critical"].includes(one.impact))
    .map(one => [one.id, one.nodes.map(node => node.html.slice(0, 200))])"""


@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "ar", "ko"])
def test_axe_finds_nothing_serious(browser: Any, address: str, lang: str, theme: str, size: str) -> None:
    script = Path(os.environ.get("DRAGOMAN_AXE", "/nonexistent"))
    if not script.is_file():
        pytest.skip("DRAGOMAN_AXE does not name axe.min.js: npm pack axe-core")
    options = {"viewport": PHONE} if size == "phone" else {}
    with opened(browser, address, f"?lang={lang}", color_scheme=theme, bypass_csp=True, **options) as seen:
        page = seen.page
        page.wait_for_selector(".starter", timeout=10_000)
        page.evaluate(script.read_text("utf-8"))

        def assert_sound(state: str) -> None:
            assert (state, page.evaluate(VIOLATIONS)) == (state, [])

        assert_sound("empty")
        seen.ask(QUESTION)
        page.evaluate("document.querySelectorAll('#panel details').forEach(one => one.open = true)")
        page.click("#filters")
        page.locator(".cite").first.click()
        assert_sound("answered, with its sources and the filter open")


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
    '#log :is(img, iframe, video, object, input, style, script, link, meta, .said svg),'
    + '#sources :is(img, iframe, video, object, input, style, script, link, meta, svg)'
)].map(one => one.outerHTML)"""
LINKS = "[...document.querySelectorAll('#log a, #sources a')].map(one => one.getAttribute('href'))"


def assert_inert(seen: Seen, hits: list[str]) -> None:
    page = seen.page
    time.sleep(1)
    assert page.evaluate(INERT) == []
    assert [href for href in page.evaluate(LINKS) if not href.startswith("article/")] == []
    assert page.evaluate("window.pwned") is None
    assert page.locator("h1").count() == 1
    assert hits == []
    seen.fine()  # a policy that had to stop something would have complained


def test_a_hostile_answer_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    with beacon() as (at, hits):
        answerer = Saying(*hostile(at), verdict=Verdict.PARTLY, pause_s=0.05)
        with serving(page_app(chain_of(tmp_path, answerer))) as address, opened(browser, address) as seen:
            seen.ask("How many cranes?")
            assert "<script>window.pwned=1" in seen.page.inner_text("#log")
            assert "![pixel](" in seen.page.inner_text("#log")
            assert_inert(seen, hits)


def test_a_hostile_article_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    with beacon() as (at, hits):
        lines = [json.dumps({"title": text_, "text": f"Cranes. {text_} Seven."}) for text_ in hostile(at)]
        (tmp_path / "hostile.jsonl").write_text("\n".join(lines), "utf-8")
        chain = with_jsonl(tmp_path)
        with serving(page_app(chain)) as address, opened(browser, address) as seen:
            seen.page.wait_for_selector(".starter", timeout=10_000)
            seen.ask("How many cranes? Seven.")
            seen.page.evaluate("document.querySelectorAll('#panel details').forEach(one => one.open = true)")
            until(lambda: seen.page.locator("#panel .article").count() >= 5)
            assert "window.pwned=1" in seen.page.inner_text("#panel")
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


def until_still(count: Callable[[], int]) -> None:
    """Wait until a count stays the same for half a second."""
    before = -1
    while count() != before:
        before = count()
        time.sleep(0.5)


def until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for something to hold; a browser's own waiting would need eval, which the policy forbids."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
