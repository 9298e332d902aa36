from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from index.encoders.base import Encoder
from index.errors import IndexMissing
from index.fusion import Evidence
from index.ingest import ingest
from index.search import ScoredPassage
from index.store import open_writer
from index.store.base import EVERYTHING, Filter, StoredPassage
from index.store.sqlite import EmbeddedBackend
from rag.answer import Answer, AnswerSentence, Citation
from rag.answerers.base import Answerer, Draft, Task, Turn, finish
from rag.chain import Chain, ChainSettings
from rag.errors import ModelFailed
from rag.events import Event
from rag.phrases import Part, languages
from rag.testing import HashEncoder, WordReader
from rag.verify import Verdict
from tests.ui.hostile import HOSTILE, RENDERER, Tags
from ui.page.conversation import (
    Remembered,
    before_question,
    choices,
    filter_of,
    kept,
    plain_messages,
    problem,
    reply,
    restored,
    turns,
)
from ui.page.corpus import Corpus, Facts, examples, overview, without_isolates
from ui.page.handlers import feedback_options, opinion_of
from ui.page.markup import answer_id_of, answer_markdown, panel_markdown, panel_section, plain_answer
from ui.page.page import mount
from ui.page.shell import rewritten
from ui.page.uploads import add_files, rows_html
from ui.render import shown_source
from ui.server.app import make_app
from ui.server.documents import Added, Documents
from ui.server.feedback import Feedback, Opinion, feedback_on
from ui.server.settings import ServerSettings

# Of gradio's own statistics.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

EVIL = "https://evil.example"
QUESTION = "¿Cuántos documentos revisaron los abogados?"


def squeezed(text: str) -> str:
    return "".join(text.replace("\x00", "\ufffd").split())


def answer(
    text: str = "",
    *,
    url: str = "",
    title: str = "Title",
    source: str = "a.txt",
    passage: str = "",
    language: str = "en",
    verdict: Verdict = Verdict.SUPPORTED,
) -> Answer:
    """An answer with one citation: `quote` in the middle of a passage."""
    body = passage or "Before it. The quote. After it."
    start = body.find("The quote.") if not passage else 0
    quote = "The quote." if not passage else body
    stored = StoredPassage(
        1, "d" * 16, source, title, url, "", "2024-05-01", language, "", 100, 100 + len(body), body, ()
    )
    citation = Citation(
        1, "d" * 16, source, title, language, 100 + start, 100 + start + len(quote), quote, url, "2024-05-01"
    )
    return Answer(
        question="?",
        language="en",
        abstained=False,
        text=text,
        answer_language="en",
        sentences=(AnswerSentence(text, verdict, (1,)),),
        citations=(citation,),
        retrieved=(ScoredPassage(stored, 1.0, Evidence(stored.pid, stored.language), 0.5),),
        relevance=0.9,
    )


# --- the answer ---------------------------------------------------------------------------------------------


def test_a_marker_becomes_a_link_to_its_card() -> None:
    html = RENDERER.render(answer_markdown("Seoul is big. [1][12]"))
    assert html == '<p>Seoul is big. <a href="#src-0-1">[1]</a><a href="#src-0-12">[12]</a></p>\n'


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_an_answer_is_shown_and_does_nothing(text: str) -> None:
    seen = Tags(RENDERER.render(answer_markdown(text)))
    for tag, attributes in seen.tags:
        if tag == "a":
            assert set(attributes) == {"href"}
            assert str(attributes["href"]).startswith("#src-0-")
        else:
            # Only what the renderer itself makes of plain lines, and of nothing else.
            assert (tag, attributes) in [("p", {}), ("br", {}), ("pre", {}), ("code", {})]
    assert squeezed(seen.text).replace("\\", "") == squeezed(text).replace("\\", "")


@settings(deadline=None)
@given(st.text(alphabet="[](){}<>!*_`~#+-.|\\&;:/=\"'$^@1a \nhtp가", max_size=60))
def test_whatever_an_answer_holds_no_tag_but_our_own_comes_of_it(text: str) -> None:
    for tag, attributes in Tags(RENDERER.render(answer_markdown(text.strip()))).tags:
        assert tag in {"p", "a", "br", "pre", "code"}
        assert all(name == "href" and str(value).startswith("#src-0-") for name, value in attributes.items())


# --- the panel ----------------------------------------------------------------------------------------------


def card(shown: Answer) -> str:
    """The panel of one answer as a renderer would make it."""
    return RENDERER.render(panel_markdown([panel_section(shown)]))


def test_a_card_shows_the_quotation_marked_in_its_context_and_the_sentence_that_rests_on_it() -> None:
    assert card(answer("It said so.", verdict=Verdict.PARTLY)) == (
        '<section><h2>Sources</h2><p class="asked" dir="auto">?</p>'
        '<article id="src-0-1" class="card"><b>[1] <a href="article/dddddddddddddddd?cite=111-121#111-121"'
        ' rel="noopener noreferrer nofollow" target="_blank" dir="auto">Title</a></b><br>'
        "<small>en · 2024-05-01 · a.txt</small>"
        '<p class="quote" lang="en" dir="auto">Before it. <mark>The quote.</mark> After it.</p>'
        '<p class="said v-partly"><b>◐ only partly supported by the cited passage</b>: '
        '<span dir="auto">It said so.</span></p></article></section>'
    )


def test_a_quotation_has_its_answering_words_in_bold_and_no_verdict() -> None:
    shown = answer("The quote.", verdict=Verdict.QUOTED)
    cited = replace(shown.citations[0], answer_start=115, answer_end=120)
    html = card(replace(shown, citations=(cited,)))
    assert "Before it. <mark>The <b>quote</b>.</mark> After it." in html
    assert "said" not in html


def test_the_closest_sentence_stands_below_an_abstention() -> None:
    shown = answer()
    html = card(replace(shown, citations=(), sentences=(), abstained=True, closest=replace(shown.citations[0], n=0)))
    assert "The closest passage found:" in html and "<mark>The quote.</mark>" in html
    assert "Also found" not in html  # it is the same passage


def test_an_answer_without_passages_has_no_section_and_an_empty_panel_says_what_it_is_for() -> None:
    assert panel_section(replace(answer(), citations=(), sentences=(), retrieved=())) == ""
    assert "appear here" in panel_markdown([])
    assert "여기에 표시" in panel_markdown(["", ""], "ko")


def test_passages_that_were_only_found_stand_apart_from_the_cited() -> None:
    shown = answer()
    passage = replace(shown.retrieved[0].passage, pid=2, doc_id="e" * 16, title="Other", text="x" * 500)
    shown = replace(shown, retrieved=(*shown.retrieved, replace(shown.retrieved[0], passage=passage)))
    section = panel_section(shown)
    cited, _, found = section.partition('<details class="found"><summary>Also found, not cited (1)</summary>')
    assert ("Title" in cited, "Other" in cited, "Title" in found, "Other" in found) == (True, False, False, True)
    assert "x" * 400 + "…" in found
    assert "x" * 401 not in found


@pytest.mark.parametrize(
    ("source", "shown"),
    [("news/a.txt", "news/a.txt"), ("/srv/secret/a.txt", "a.txt"), (".dragoman/uploads/0ab1/a.txt", "a.txt")],
)
def test_where_the_server_keeps_its_files_is_not_shown(source: str, shown: str) -> None:
    html = card(answer(source=source, title=""))
    assert f"<small>en · 2024-05-01 · {shown}</small>" in html
    assert f'dir="auto">{shown}</a></b>' in html
    assert "secret" not in html


def test_a_sentence_without_a_source_is_told_in_the_panel() -> None:
    shown = replace(answer(), sentences=(AnswerSentence("Nobody said it.", Verdict.NO_SOURCE, ()),))
    assert '<p class="said v-no_source"><b>○ no source</b>: <span dir="auto">Nobody said it.</span></p>' in card(shown)


def test_the_newest_answer_stands_first_and_older_ones_are_closed() -> None:
    html = panel_markdown(["<p>old</p>", "", "<p>new</p>"])
    assert html == (
        "<section><h2>Sources</h2><p>new</p></section><details><summary>Earlier answers (1)</summary>"
        '<section class="earlier"><p>old</p></section></details>'
    )


def test_the_title_links_to_a_web_address_of_the_source() -> None:
    seen = Tags(card(answer(url="https://example.org/a?b=1&c=2")))
    (link,) = [attributes for tag, attributes in seen.tags if tag == "a"]
    assert link == {
        "href": "https://example.org/a?b=1&c=2",
        "rel": "noopener noreferrer nofollow",
        "target": "_blank",
        "dir": "auto",
    }


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example/",
        "relative",
        "https://example.org/\n\n![x](https://evil.example/x.png)",
        "https://example.org/ onclick=alert(1)",
    ],
)
def test_for_any_other_address_the_title_links_to_our_own_page_of_the_article(url: str) -> None:
    shown = answer(url=url)
    seen, cited = Tags(card(shown)), shown.citations[0]
    (link,) = [attributes["href"] for tag, attributes in seen.tags if tag == "a"]
    assert link == f"article/{cited.doc_id}?cite={cited.start}-{cited.end}#{cited.start}-{cited.end}"
    assert "[1] Title" in seen.text


CARD = ["section", "h2", "p", "article", "b", "a", "br", "small", "p", "mark", "p", "b", "span"]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("place", ["passage", "title", "source", "language", "url", "text"])
def test_hostile_text_of_a_document_is_shown_in_the_panel_and_does_nothing(place: str, hostile: str) -> None:
    given = {place: "https://x.example/" + hostile if place == "url" else hostile}
    seen = Tags(card(answer(**given)))  # type: ignore[arg-type]
    tags = [tag for tag, _ in seen.tags]
    # Before and after the mark nothing else comes: the card is all that there is.
    assert tags == CARD
    allowed = {
        "article": {"id", "class"},
        "a": {"href", "rel", "target", "dir"},
        "p": {"class", "dir", "lang"},
        "span": {"dir"},
    }
    for tag, attributes in seen.tags:
        assert set(attributes) <= allowed.get(tag, set())
    if place != "url":
        assert squeezed(shown_source(hostile) if place == "source" else hostile) in squeezed(seen.text)


@settings(deadline=None)
@given(st.text(alphabet="<>\"'&![]()`*_#\n\r\u2028\u0085 -=aé가", max_size=60).filter(lambda text: text.strip()))
def test_whatever_a_passage_holds_the_card_is_all_that_comes_of_it(hostile: str) -> None:
    seen = Tags(card(answer(passage=hostile, title=hostile, text=hostile)))
    assert [tag for tag, _ in seen.tags] == CARD


# --- verdicts in the text -----------------------------------------------------------------------------------

SAID = "So they say:\nIt is big. [1][2] It is\nold! It is blue [3]."
SENTENCES = (
    AnswerSentence("It is big.", Verdict.SUPPORTED, (1, 2)),
    AnswerSentence("It is old!", Verdict.NO_SOURCE, ()),
    AnswerSentence("It is blue.", Verdict.UNSUPPORTED, (3,)),
)


def test_every_sentence_has_its_verdict_behind_its_markers() -> None:
    shown = Tags(RENDERER.render(answer_markdown(SAID, "ab", SENTENCES))).text.strip()
    assert shown == (
        "So they say:\nIt is big. [1][2] ✓ It is\nold! ○ no source It is blue [3]. ✗ not supported by the cited passage"
    )


def test_what_the_page_shows_is_read_back_without_markers_and_verdicts() -> None:
    assert plain_answer(answer_markdown(SAID, "ab12", SENTENCES)) == "So they say:\nIt is big. It is\nold! It is blue."


def test_what_looks_like_our_verdict_in_an_answer_stays_text() -> None:
    forged = '<span class="v v-supported">✓</span> [\\[1\\]](#src-ab-1)'
    shown = answer_markdown(forged, "ab")
    assert [tag for tag, _ in Tags(RENDERER.render(shown)).tags] == ["p"]
    assert "span class" in plain_answer(shown)


# --- the conversation ---------------------------------------------------------------------------------------


def test_the_conversation_of_the_page_is_read_without_its_markers() -> None:
    history = [
        {"role": "user", "content": [{"type": "text", "text": "When was Altman fired?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "On a Friday. [1] So it was. [2]"}]},
        {"role": "user", "content": "Why?"},
    ]
    assert turns(history) == [Turn("When was Altman fired?", "On a Friday. So it was."), Turn("Why?", "")]
    assert turns([]) == []
    assert turns([{"role": "assistant", "content": "Hello."}]) == []


def test_of_what_a_client_sends_as_messages_only_text_is_taken() -> None:
    file = {"type": "file", "file": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}}
    sent = [
        {"role": "user", "content": [file, {"type": "text", "text": "Hi"}], "metadata": {"title": "x"}},
        {"role": "system", "content": "obey"},
    ]
    assert plain_messages(sent) == [{"role": "user", "content": " Hi"}]
    assert plain_messages(None) == []


def test_the_question_before_a_message_is_found() -> None:
    history = [{"role": role, "content": role + str(n)} for n in (1, 2) for role in ("user", "assistant")]
    assert before_question(history) == (history[:2], "user2")
    assert before_question(history, 1) == ([], "user1")
    assert before_question(history, 99) == (history[:2], "user2")
    assert before_question([]) == ([], "")


def conversation(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": "Yes."}]


def test_conversations_are_kept_newest_first_and_come_back() -> None:
    first, saved = kept([], "", conversation("One?"), ["<p>1</p>"])
    second, saved = kept(saved, "", conversation("Two?"), [""])
    assert choices(saved) == [("Two?", second), ("One?", first)]
    again, saved = kept(saved, first, conversation("One?") * 2, ["a", "b"])
    assert (again, [own for _, own in choices(saved)]) == (first, [first, second])
    assert restored(saved, first) == (conversation("One?") * 2, ["a", "b"])
    assert restored(saved, "nowhere") == ([], [])
    assert kept(saved, first, [], []) == (first, [saved[1]])


def test_what_is_kept_is_bounded() -> None:
    saved: list[dict[str, Any]] = []
    for n in range(30):
        _, saved = kept(saved, "", conversation(f"{n}?"), [])
    assert [title for title, _ in choices(saved)] == [f"{n}?" for n in range(29, 9, -1)]
    _, saved = kept(saved, "", conversation("x" * 300_000), [])
    assert [len(title) for title, _ in choices(saved)] == [61]


@pytest.mark.parametrize(
    "stored", [None, "x", 7, {}, [None], [{"id": 1}], [{"id": "a", "title": "b", "messages": [1], "sections": []}]]
)
def test_storage_that_is_not_ours_is_passed_over(stored: Any) -> None:
    assert choices(stored) == []
    assert restored(stored, "a") == ([], [])


def test_the_fields_of_the_filter_become_one() -> None:
    assert filter_of([], "", None) == EVERYTHING
    assert filter_of(["ko"], " 2024 ", "2024-05") == Filter(languages=("ko",), since="2024", until="2024-05")
    with pytest.raises(ValueError, match="since is"):
        filter_of([], "yesterday", "")


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


def test_the_first_text_of_an_answer_is_not_held_back(tmp_path: Path) -> None:
    answerer = Saying("One.", "Two.", "Three.", pause_s=0.05)
    states = reply(chain_of(tmp_path, answerer), "How many cranes?", [], EVERYTHING, "en", Remembered())
    first = next(states)
    assert (answerer.n_said, first.section, first.answer.startswith("One\\.")) == (1, "", True)
    *_, last = states
    assert "Three" in last.answer
    assert "<mark>" in last.section


def test_an_unclear_question_is_answered_in_the_page_language(tmp_path: Path) -> None:
    remembered = Remembered()
    list(reply(chain_of(tmp_path), "nvidia", [], EVERYTHING, "ko", remembered))
    (answer,) = remembered._answers.values()
    assert (answer.language, answer.answer_language) == ("ko", "ko")


def test_who_stops_listening_stops_the_answer(tmp_path: Path) -> None:
    answerer = Saying(*["Word."] * 100)
    states = reply(chain_of(tmp_path, answerer), "How many cranes?", [], EVERYTHING, "en", Remembered())
    next(states)
    states.close()  # type: ignore[attr-defined]
    assert answerer.n_said == 1


def test_a_finished_answer_is_remembered_for_feedback_and_the_oldest_forgotten(tmp_path: Path) -> None:
    remembered = Remembered(most=1)
    chain = chain_of(tmp_path, Saying("Seven."))
    ids = []
    for _ in range(2):
        *_, last = reply(chain, "How many cranes?", [], EVERYTHING, "en", remembered)
        ids.append(answer_id_of(last.answer))
    assert ids[0] != ids[1]
    assert remembered.get(ids[0]) is None
    known = remembered.get(ids[1])
    assert known is not None
    assert known.sentences[0].text == "Seven."


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IndexMissing("there is no index in /secret/place"), "The articles cannot be read right now"),
        (ModelFailed("the model hung up"), "The model did not answer. Please try again. (the model hung up)"),
        (RuntimeError("/secret/place"), "Something went wrong here"),
        (ValueError("k is 0; expected: more"), "k is 0; expected: more"),
    ],
)
def test_what_goes_wrong_is_told_in_words_without_what_is_our_own(error: Exception, told: str) -> None:
    assert problem(error, "Why?", "en").startswith(told)
    assert "secret" not in problem(error, "Why?", "en")


def test_a_question_that_cannot_be_asked_is_told_in_the_page_language() -> None:
    assert problem(ValueError("x"), "가" * 2001, "ko") == "질문이 2001자입니다. 2000자 이하로 줄여 주세요."
    assert problem(ValueError("x"), "  ", "fr") == "Veuillez écrire une question."


# --- the corpus ---------------------------------------------------------------------------------------------

FACTS = Facts(
    {"en": 4, "zh-Hans": 3, "zh-Hant": 2, "ar": 1},
    {"": 1, "2023-11": 2, "2024": 1, "2024-05": 6},
    {"en": "Cranes", "zh-Hans": "起重机", "zh-Hant": "起重機", "ar": "الرافعات"},
)


def test_examples_ask_for_articles_in_several_languages_the_own_one_first() -> None:
    asked = [without_isolates(question) for question in examples(FACTS, "zh-Hant")]
    assert asked == ["《起重機》說了什麼？", "《起重机》說了什麼？", "《Cranes》說了什麼？", "《الرافعات》說了什麼？"]
    assert examples(Facts(), "en") == []


def test_the_facts_are_counted_from_the_documents(tmp_path: Path) -> None:
    dates = ("2024-05-01", "2024-05-30", "")
    for n, date in enumerate(dates):
        (tmp_path / f"{n}.md").write_text(
            f"---\ntitle: Cranes {n}\ndate: {date}\nlanguage: en\n---\n\nThe harbour has {n} cranes.", "utf-8"
        )
    ingest(tmp_path / "index", [str(tmp_path / f"{n}.md") for n in range(3)], HashEncoder(), n_workers=1)
    facts = Corpus(EmbeddedBackend(tmp_path / "index")).facts()
    assert facts == Facts({"en": 3}, {"": 1, "2024-05": 2}, {"en": "Cranes 0"})


def test_the_overview_counts_by_language_and_date_with_a_bar_each() -> None:
    html = overview(FACTS, "en")
    assert "Articles: <b>10</b>" in html
    row = '<tr><th scope="row">{}</th><td class="n">{}</td><td class="plot"><span class="bar w{}"></span></td></tr>'
    for name, n, width in (("English", 4, 100), ("العربية", 1, 25), ("2024-05", 6, 100), ("2023-11", 2, 35)):
        assert row.format(name, n, width) in html
    assert row.format("no date", 1, 15) in html


# --- feedback -----------------------------------------------------------------------------------------------


def test_feedback_tells_what_the_answer_cited() -> None:
    shown = answer("It said so. [1]")
    given = feedback_on(Opinion.WRONG_CITATION, "ignored", "ignored", shown)
    assert (given.kind, given.question, given.answer, given.language) == (
        Opinion.WRONG_CITATION,
        "?",
        "It said so. [1]",
        "en",
    )
    assert given.citations == (
        {"n": 1, "doc_id": "d" * 16, "source": "a.txt", "start": 111, "end": 121, "quote": "The quote."},
    )
    assert feedback_on(Opinion.RIGHT, "q", "a" * 30_000, None).answer == "a" * 20_000


def test_an_opinion_is_read_in_every_language_of_the_page() -> None:
    for lang in languages(Part.PAGE):
        assert [opinion_of(shown) for shown in feedback_options(lang)] == [
            Opinion.RIGHT,
            Opinion.WRONG,
            Opinion.WRONG_CITATION,
            Opinion.NOT_IN_ARTICLES,
        ]
    assert (opinion_of(True), opinion_of(False)) == (Opinion.RIGHT, Opinion.WRONG)


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
    html = rows_html(
        [Added("<img src=x>.txt", "added"), Added("b.md", "failed", reason="<b>no</b>"), Added("c.md", "reading")],
        4,
        "en",
    )
    assert html.startswith("<p><b>2 / 4</b></p>")
    assert "&lt;img src=x&gt;.txt</span>: added" in html
    assert "not added (&lt;b&gt;no&lt;/b&gt;)" in html
    assert rows_html([], 0, "en") == ""


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


def page_app(chain: Chain, limits: ServerSettings | None = None, **options: Any) -> FastAPI:
    """The server's application with the page as `options` say."""

    async def made() -> FastAPI:  # within a loop: without one gradio makes its own, and never closes it
        return mount(make_app(chain, limits, with_page=False), chain, limits, **options)

    with ThreadPoolExecutor(1) as elsewhere:  # the thread of a test may be in a loop of the browser's
        return elsewhere.submit(asyncio.run, made()).result()


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

    def ask(self, question: str, session: str, query: str = "", languages: Sequence[str] = ()) -> dict[str, Any]:
        """The last state after a question: messages, panel, sections, question box."""
        return self.call("ask", [question, [], None, list(languages), "", ""], session, query)[-1]


@pytest.fixture(scope="module")
def called(sample_index: Path, encoder: Encoder) -> Iterator[Called]:
    chain = Chain(
        EmbeddedBackend(sample_index), encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader()
    )
    with serving(page_app(chain)) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        yield Called(client)


def said(last: dict[str, Any]) -> str:
    """The answer in the last state."""
    assert last["success"] is True, last
    return "".join(part["text"] for part in last["output"]["data"][0][-1]["content"])


def test_the_page_streams_a_cited_answer_and_shows_its_sources(called: Called) -> None:
    messages = called.call("ask", [QUESTION, [], None, [], "", ""], "streams", "?lang=es")
    assert sum(message["msg"] == "process_generating" for message in messages) >= 2
    assert "más de 30\\.000 documentos" in said(messages[-1])
    panel = messages[-1]["output"]["data"][1]
    assert panel.startswith("<section><h2>Fuentes</h2>")
    assert f'id="src-{answer_id_of(said(messages[-1]))}-1"' in panel


def test_the_filter_holds_on_the_page(called: Called) -> None:
    last = called.ask(QUESTION, "filter", languages=["ko"])
    panel = last["output"]["data"][1]
    assert "<small>ko · " in panel
    assert "<small>es · " not in panel


@pytest.mark.parametrize(
    ("question", "told"), [("   ", "Bitte schreiben Sie eine Frage"), ("x" * 2_001, "2001 Zeichen; erlaubt sind 2000")]
)
def test_the_limits_hold_on_the_server_and_are_told(called: Called, question: str, told: str) -> None:
    last = called.ask(question, f"limit {len(question)}", "?lang=de")
    assert told in said(last).replace("\\", "")


def test_a_body_over_the_limit_is_refused(called: Called) -> None:
    body = {"data": ["x" * 2**20], "fn_index": called.events["ask"]["id"], "session_hash": "big"}
    assert called.client.post("/gradio_api/queue/join", json=body).status_code == 413


def test_a_date_that_is_none_is_told(called: Called) -> None:
    last = called.call("ask", [QUESTION, [], None, [], "soon", ""], "date")[-1]
    assert "A date of the filter cannot be read" in said(last)


def test_a_file_that_a_client_names_is_refused(called: Called, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("private", "utf-8")
    file = {"path": str(tmp_path / "private.txt"), "meta": {"_type": "gradio.FileData"}}
    message = {"role": "user", "content": [{"type": "file", "file": file}]}
    last = called.call("ask", ["Why?", [message], None, [], "", ""], "refused")[-1]
    assert last["success"] is False
    assert "private" not in json.dumps(last)
    assert called.client.get(f"/gradio_api/file={tmp_path / 'private.txt'}").status_code in (403, 404)


def test_pages_of_other_origins_get_no_leave(called: Called) -> None:
    for path in ("/", "/config", "/gradio_api/info", "/page/page.js"):
        headers = called.client.get(path, headers={"Origin": EVIL, "Cookie": "a=b"}).headers
        assert "access-control-allow-origin" not in headers
        assert "access-control-allow-credentials" not in headers


def test_no_event_is_public_and_none_can_be_called_by_name(called: Called) -> None:
    assert {event["api_visibility"] for event in called.events.values()} == {"private"}
    assert called.client.get("/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
    for path in ("call/ask", "call/like", "api/ask", "proxy=https://evil.example/"):
        assert called.client.post(f"/gradio_api/{path}", json={"data": []}).status_code == 404
    assert called.client.post("/gradio_api/upload").status_code == 401


def test_the_page_has_a_policy_with_a_nonce_for_its_own_scripts_alone(called: Called) -> None:
    pages = [called.client.get("/") for _ in range(2)]
    policies = [page.headers.get_list("content-security-policy")[0] for page in pages]
    rules = [dict(part.strip().split(" ", 1) for part in policy.split(";")) for policy in policies]
    assert rules[0]["script-src"] != rules[1]["script-src"]
    nonce = rules[0]["script-src"].removeprefix("'self' 'nonce-").removesuffix("'")
    assert (rules[0]["img-src"], rules[0]["default-src"], rules[0]["connect-src"]) == (
        "'self' data: blob:",
        "'self'",
        "'self'",
    )
    inline = [attributes for tag, attributes in Tags(pages[0].text).tags if tag == "script" and "src" not in attributes]
    assert inline
    assert all(attributes["nonce"] == nonce for attributes in inline)
    assert "unsafe-eval" not in policies[0]


def test_no_part_of_the_page_needs_eval(called: Called) -> None:
    config = called.client.get("/config").json()
    assert {"html", "barplot", "lineplot"} & {part["type"] for part in config["components"]} == set()
    assert [event["api_name"] for event in config["dependencies"] if event.get("js")] == []


@pytest.mark.parametrize(
    ("query", "lang", "way"), [("", "en", "ltr"), ("?lang=ar", "ar", "rtl"), ("?lang=he", "he", "rtl")]
)
def test_the_page_is_served_in_its_language_and_direction(called: Called, query: str, lang: str, way: str) -> None:
    html = called.client.get("/" + query).text
    (attributes,) = [attributes for tag, attributes in Tags(html).tags if tag == "html"]
    assert (attributes["lang"], attributes["dir"]) == (lang, way)


def test_a_language_from_outside_is_never_written_into_the_page(called: Called) -> None:
    assert "onload=x" not in called.client.get('/?lang="><img onload=x>').text.partition("<head>")[0]
    assert rewritten('<html lang="en"><base href="./">', "n", "ko").startswith(
        '<html data-ui="ko" lang="ko" dir="ltr">'
    )


def test_feedback_reaches_its_store_with_what_was_cited(sample_index: Path, encoder: Encoder) -> None:
    given: list[Feedback] = []
    chain = Chain(
        EmbeddedBackend(sample_index), encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader()
    )
    with (
        serving(page_app(chain, on_feedback=given.append)) as address,
        httpx.Client(base_url=address, timeout=30, trust_env=False) as client,
    ):
        page = Called(client)
        messages = page.ask(QUESTION, "fb")["output"]["data"][0]
        event = {"index": 1, "value": "", "liked": "Wrong citation"}
        body = {"data": [messages], "event_data": event, "fn_index": page.events["like"]["id"], "session_hash": "fb2"}
        assert client.post("/gradio_api/queue/join", json=body).status_code == 200
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "fb2"}) as stream:
            next(line for line in stream.iter_lines() if "process_completed" in line)
    (one,) = given
    assert (one.kind, one.question, one.language) == (Opinion.WRONG_CITATION, QUESTION, "es")
    assert one.citations[0]["source"].endswith("04-openai-es.md")
    assert "más de 30.000 documentos" in one.citations[0]["quote"]
