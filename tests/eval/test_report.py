"""A run's report: its numbers are the summary's, its text is only text, and it needs nothing from outside."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import html as lxml_html

from eval.gold import Evidence, GoldItem
from eval.report import as_html, as_table
from eval.report.figures import figure, funnel
from eval.report.render import for_html as shown
from eval.report.render import web
from eval.runs.compare import Comparison, Difference, QuestionChange
from eval.runs.folder import FinishedRun
from eval.runs.rows import Outcome, Row
from eval.runs.summary import summarise

DOCUMENT = "港口有七台起重機。 " * 60 + "塔樓掛著一口金鐘，重 2 噸。" + " 每天中午敲響一次。" * 60
GOLD = "塔樓掛著一口金鐘"
AT = DOCUMENT.index(GOLD)
PLACE = ("d1", AT, AT + len(GOLD))
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "</style><img src=x onerror=alert(3)>",
    '" onmouseover="alert(4)',
    "' autofocus onfocus='alert(5)",
    "]]><svg onload=alert(6)>",
    "<!-- -->--!>",
    "${title} {{7*7}} {0} $script %s",
    "&lt;b&gt; &amp;amp;",
    "javascript:alert(7)",
    "\u202egnirts desrever\u202c \u2066x\u2069",
    "nul\x00 esc\x1b[31m c1\x9b31m del\x7f",
    "lone \ud800 surrogate",
    "- # > 1. `code` | pipe @team #12 GH-12 https://evil.example www.evil.example *b* ~~s~~ [x](y) ![i](u)",
]


def gold(
    id: str = "bell",
    question: str = "What hangs in the tower?",
    lang: str = "en",
    *,
    answerable: bool = True,
    **values: Any,
) -> GoldItem:
    own = {"answers": ("金鐘", "a golden bell"), "evidence": (Evidence("tower.txt", GOLD),)} if answerable else {}
    return GoldItem(id, question, lang, answerable, **{"answers": (), "evidence": (), "tags": (), **own, **values})


TOWER = {"doc_id": "d1", "source": "/articles/tower.txt", "title": "塔樓", "language": "zh-Hant"}


def passage(start: int = 0, end: int = len(DOCUMENT), holds: Sequence[int] = (0,), **values: Any) -> dict[str, Any]:
    own = {"start": start, "end": end, "text": DOCUMENT[start:end], "score": 0.5, "relevance": 0.875}
    return {**TOWER, **own, "holds": list(holds), **values}


def said(text: str = "A golden bell hangs there. [1]", *, abstained: bool = False, **values: Any) -> dict[str, Any]:
    quote = {"n": 1, "start": AT, "end": AT + 4, "quote": DOCUMENT[AT : AT + 4], "url": "https://example.org/tower"}
    sentence = {"text": "A golden bell hangs there.", "supported": True, "verdict": "supported", "citations": [1]}
    return {
        "abstained": abstained,
        "reason": "not_found" if abstained else "",
        "answer": "The articles do not answer this." if abstained else text,
        "answer_language": "en",
        "sentences": [] if abstained else [sentence],
        "citations": [] if abstained else [{**TOWER, **quote}],
        "warnings": [],
        "usage": {"input_tokens": 0, "output_tokens": 0, "n_calls": 0},
        **values,
    }


def row(item: GoldItem, outcome: Outcome, values: Mapping[str, float], **fields: Any) -> Row:
    own: dict[str, Any] = {
        "document_language": "zh-Hant" if item.answerable else "",
        "places": ((PLACE,),) if item.answerable else (),
        "passages": (passage(),),
        "answer": said(abstained=outcome in (Outcome.REFUSED, Outcome.ABSTAINED)),
        "relevance": 0.9,
        "timings_ms": {"first_event": 1.0, "first_text": 80.0, "total": 100.0, "retrieval": 60.0},
        **fields,
    }
    return Row(item=item, outcome=outcome, values=values, **own)


def ranked(recall: float, contains: float, cited: float, *, abstained: bool = False) -> dict[str, float]:
    return {
        **{f"recall@{k}": recall for k in (1, 5, 10)},
        "ndcg@10": recall,
        "answer.contains": contains,
        "citation.recall": cited,
        "abstention.right": float(not abstained),
    }


def ask(id: str, lang: str, outcome: Outcome, values: Mapping[str, float], question: str = "?", **fields: Any) -> Row:
    return row(gold(id, question, lang, tags=fields.pop("tags", ())), outcome, values, **fields)


FAILED = {"problem": "TimeoutError: no answer <b>", "answer": {}, "timings_ms": {}}
CUP, BOAT = (gold(id, f"Who owns the {id}?", answerable=False) for id in ("cup", "boat"))
ROWS = [
    ask("right", "ko", Outcome.RIGHT, ranked(1, 1, 1), "탑에는 무엇이 걸려 있나요?", tags=("tower",)),
    ask("wrong", "ko", Outcome.WRONG, ranked(1, 0, 1), "What is the golden bell?"),
    ask("unused", "ar", Outcome.NOT_USED, ranked(1, 0, 0), "ماذا يوجد في البرج؟"),
    ask("refused", "ja", Outcome.REFUSED, ranked(1, 0, 0, abstained=True), "塔には何がありますか。"),
    ask("unfound", "zh-Hant", Outcome.NOT_RETRIEVED, ranked(0, 0, 0), "塔樓裡有什麼？", tags=("塔", "tower")),
    ask("broken", "en", Outcome.FAILED, ranked(0, 0, 0, abstained=True), **FAILED),
    row(CUP, Outcome.ABSTAINED, {"abstention.right": 1.0}, relevance=0.1),
    row(BOAT, Outcome.ANSWERED, {"abstention.right": 0.0}, relevance=0.6),
]


def finished(rows: Sequence[Row] = ROWS, name: str = "2026-11-25-tower", **about: Any) -> FinishedRun:
    shape = {"gold": "tower.jsonl", "gold_sha256": "0" * 64, "encoder": "embedded", "k": 10, "search": {"dense": 0.7}}
    own = {"shape": shape, "versions": {"python": "3.11.2"}, "started": "2026-11-25T21:26:50+00:00", **about}
    return FinishedRun(Path("/runs") / name, own, rows, summarise(rows))


def compared(**values: Any) -> Comparison:
    found = (
        Difference("support.unsupported", 6, 0.3, 0.1, -0.2, 0.2, 0.001, 0.0004, True, 3, 0),
        Difference("ndcg@10", 6, 0.7, 0.5, -0.2, -0.2, 0.01, 0.03, True, 0, 4),
        Difference("recall@5", 6, 0.5, 0.6667, 0.1667, 0.1667, 0.2, 0.4, False, 2, 1),
        Difference("answer.contains", 6, 0.4, 0.4, 0.0, 0.0, 1.0, 1.0, False, 0, 0),
    )
    changed = (QuestionChange("unfound", "塔樓裡有什麼？", "right", "not retrieved", -0.5),)
    own: dict[str, Any] = {
        "before": "2026-11-20-tower",
        "after": "2026-11-25-tower",
        "n": 8,
        "only_before": ("gone",),
        "only_after": (),
        "settings": {"k": (5, 10)},
        "differences": found,
        "questions": changed,
    }
    return Comparison(**(own | values))


def tree(page: str) -> Any:
    # The bytes, as a browser reads them: what cannot be written as UTF-8 must not be in the page.
    return lxml_html.document_fromstring(page.encode("utf-8"), parser=lxml_html.HTMLParser(encoding="utf-8"))


def text_of(element: Any) -> str:
    return " ".join(element.text_content().split())


@pytest.fixture(scope="module")
def page() -> str:
    return as_html(finished(), compared())


@pytest.fixture(scope="module")
def parsed(page: str) -> Any:
    return tree(page)


# The page: numbers


def test_a_tile_shows_the_value_the_interval_and_the_n_of_the_summary(parsed: Any) -> None:
    summary = finished().summary
    tiles = {tile.get("data-measure"): tile.getparent() for tile in parsed.xpath("//p[@data-measure]")}
    assert {"recall@5", "ndcg@10", "answer.contains", "citation.recall", "abstention.f1"} <= set(tiles)
    for measure, tile in tiles.items():
        found = figure(summary, measure)
        assert found is not None and found.interval is not None
        (sure,) = tile.find_class("sure")
        low, high = summary["intervals"][measure]
        assert text_of(tile.find_class("value")[0]) == f"{found.value:.3f}"
        assert text_of(sure) == f"95 % interval {low:.2f}–{high:.2f}, n = {found.n}"
    # recall@5 by hand: 1 + 1 + 1 + 1 + 0, and 0 of the failed one, over 6.
    assert text_of(tiles["recall@5"].find_class("value")[0]) == "0.667"


def rows_of(parsed: Any, caption: str) -> list[list[str]]:
    (found,) = [table for table in parsed.iter("table") if text_of(table.find("caption")).startswith(caption)]
    return [[text_of(one) for one in line.iterchildren()] for line in found.iter("tr")]


def test_the_funnel_counts_every_question_once(parsed: Any) -> None:
    steps = [(step.n, [(str(outcome), n) for outcome, n in step.lost]) for step in funnel(ROWS, answerable=True)]
    assert steps == [
        (6, []), (4, [("failed", 1), ("not retrieved", 1)]), (3, [("refused", 1)]), (2, [("not used", 1)]),
        (1, [("used, but wrong", 1)]),
    ]  # fmt: skip
    assert [(step.n, len(step.lost)) for step in funnel(ROWS, answerable=False)] == [(2, 0), (1, 1)]
    shown_steps = rows_of(parsed, "Questions that have an answer")
    assert [line[1:3] + line[4:] for line in shown_steps[1:]] == [
        ["6", "100 %", "–"], ["4", "67 %", "1 failed, 1 not retrieved"], ["3", "50 %", "1 refused"],
        ["2", "33 %", "1 not used"], ["1", "17 %", "1 used, but wrong"],
    ]  # fmt: skip


def test_a_run_of_retrieval_only_ends_its_funnel_at_what_was_found() -> None:
    rows = [
        replace(ROWS[0], outcome=Outcome.RETRIEVED, answer={}),
        replace(ROWS[4], answer={}),
        replace(ROWS[6], outcome=Outcome.UNJUDGED, answer={}),
    ]
    assert [step.n for step in funnel(rows, answerable=True)] == [2, 1]
    assert funnel(rows, answerable=False) == []
    parsed = tree(as_html(finished(rows)))
    assert not parsed.xpath("//section[@id='abstention']")
    assert text_of(parsed.xpath("//article")[0]).startswith("✗ not retrieved unfound")


def test_a_comparison_shows_what_is_more_than_chance_first(parsed: Any) -> None:
    table = rows_of(parsed, "Measures")
    assert [line[0] for line in table[1:]] == [
        "Sentences not supported support.unsupported", "Order of the passages ndcg@10",
        "Evidence in the first 5 recall@5", "Answer as expected answer.contains",
    ]  # fmt: skip
    # Less is better of unsupported sentences.
    assert table[1][1:] == ["0.300", "0.100", "▲ better -0.200", "yes", "under 0.001", "3 / 0", "6"]
    assert table[2][1:] == ["0.700", "0.500", "▼ worse -0.200", "yes", "0.030", "0 / 4", "6"]
    assert table[4][3] == "= same +0.000"
    assert rows_of(parsed, "Settings that differ")[1] == ["k", "5", "10"]
    changed = rows_of(parsed, "Questions that changed (1)")
    assert changed[1] == ["unfound", "塔樓裡有什麼？", "right", "not retrieved", "▼ worse -0.500"]
    place = parsed.xpath("//section[@id='differences']//a")[0].get("href").removeprefix("#")
    assert "unfound" in text_of(parsed.get_element_by_id(place).find(".//summary"))


# The page: questions


def test_the_worst_questions_come_first_with_exactly_the_gold_span_highlighted(parsed: Any) -> None:
    order = ["broken", "boat", "unfound", "refused", "unused", "wrong", "cup", "right"]
    assert [text_of(article.find(".//code")) for article in parsed.xpath("//article")] == order
    (text,) = parsed.xpath("//article[.//code='right']//p[@class='text']")
    assert (text.text_content(), [mark.text_content() for mark in text.iter("mark")]) == (DOCUMENT, [GOLD])
    (asked,) = parsed.xpath("//article[.//code='unused']//bdi[contains(@class, 'asked')]")
    assert (asked.get("lang"), asked.get("dir")) == ("ar", "auto")


@pytest.mark.parametrize(
    ("start", "end", "holds", "marked"),
    [
        (0, AT + 3, [0], ["塔樓掛"]),
        (AT + 3, AT + 20, [0], ["著一口金鐘"]),
        (0, AT, [], []),
    ],
)
def test_evidence_over_the_edge_of_a_passage_is_marked_as_far_as_it_goes(
    start: int, end: int, holds: list[int], marked: list[str]
) -> None:
    one = replace(ROWS[0], passages=(passage(start, end, holds=holds),))
    parsed = tree(as_html(finished([one])))
    assert [mark.text_content() for mark in parsed.iter("mark")] == marked
    assert f"characters {start}–{end}, score 0.500, relevance 0.88" in text_of(parsed.find_class("about")[0])


def test_an_answer_has_its_markers_as_links_and_its_verdicts_in_words(parsed: Any) -> None:
    (article,) = parsed.xpath("//article[.//code='right']")
    (text,) = article.find_class("answer")
    assert text_of(text) == "A golden bell hangs there. [1]"
    assert text.find(".//a").get("href") == f"#{article.get('id')}c1"
    assert text_of(article.find_class("sentences")[0]) == "✓ supported A golden bell hangs there. [1]"
    cited = parsed.get_element_by_id(f"{article.get('id')}c1")
    assert "✓ expected evidence" in text_of(cited)
    assert cited.find("blockquote").text == DOCUMENT[AT : AT + 4]
    assert cited.find("blockquote").get("lang") == "zh-Hant"
    assert f"characters {AT}–{AT + 4}" in text_of(cited)


def test_a_refusal_says_why_and_a_failure_what_went_wrong(parsed: Any) -> None:
    assert "no passage is relevant to the question" in text_of(parsed.xpath("//article[.//code='cup']")[0])
    assert "What went wrong: TimeoutError: no answer <b>" in text_of(parsed.xpath("//article[.//code='broken']")[0])


# The page: what it is made of


def test_the_page_names_its_parts_for_those_who_do_not_see_it(parsed: Any) -> None:
    assert parsed.get("lang") == "en"
    assert [len(parsed.findall(f".//{name}")) for name in ("main", "header", "nav", "footer", "h1")] == [1] * 5
    ids = parsed.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert all(target in ids for links in parsed.xpath("//@aria-labelledby") for target in links.split())
    assert all(link.get("href")[1:] in ids for link in parsed.xpath("//nav//a | //a[@class='skip']"))
    assert all(head.get("scope") in ("col", "row") for head in parsed.iter("th"))
    assert all(len(table.findall("caption")) == 1 for table in parsed.iter("table"))
    assert parsed.xpath("//form[@role='search'][@hidden]//output[@aria-live='polite']")
    assert all(field.getparent().tag == "label" for field in parsed.xpath("//form//select | //form//input"))
    plots = parsed.xpath("//svg[not(@aria-hidden)]")
    assert len(plots) == 1 and all(plot.find("title") is not None for plot in plots)


def test_the_policy_allows_the_own_style_and_script_and_nothing_else(page: str) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for name in ("style", "script"):
        (inside,) = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in policy


def test_the_page_refers_to_nothing_outside(page: str, parsed: Any) -> None:
    outside = [link for link in parsed.xpath("//@href") if not link.startswith("#")]
    assert set(outside) == {"https://example.org/tower"}  # the address of a cited document, which only a click opens
    assert all(
        link.get("rel") == "noopener noreferrer nofollow" for link in parsed.xpath("//a[starts-with(@href, 'http')]")
    )
    assert not parsed.xpath("//@src | //@srcset | //link | //iframe | //object | //embed | //img | //base | //@action")
    assert not parsed.xpath("//@style | //@*[starts-with(name(), 'on')]")
    assert re.findall(r"url\(|@import|xlink|fetch\(|XMLHttpRequest|sendBeacon|WebSocket|importScripts", page) == []


def test_a_run_without_questions_has_a_page() -> None:
    assert "0 questions" in as_html(finished([]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fragment", "wanted"),
    [
        ("#pair=ko-%3Ezh-Hant&outcome=right", ["right"]),
        ("#find=GOLD%C3%88N+b%C3%A9ll", ["boat", "unfound", "unused", "wrong", "right"]),  # accents and case
        ("#find=%D8%A7%D9%84%D8%A8%D9%8F%D8%B1%D8%AC", ["unused"]),  # with a vowel point that the question lacks
    ],
)
def test_the_filter_of_a_link_chooses_the_questions(
    page: str, tmp_path: Path, fragment: str, wanted: list[str]
) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no chromium")
    (tmp_path / "page.html").write_text(page, "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command = [browser, *flags, f"file://{tmp_path}/page.html{fragment}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    parsed = tree(done.stdout.decode("utf-8"))
    seen = [article.find(".//code").text for article in parsed.xpath("//article[not(@hidden)]")]
    assert seen == wanted
    assert text_of(parsed.get_element_by_id("shown")) == f"{len(wanted)} of 8 questions shown"


# Hostile text


def poisoned(text: str) -> tuple[FinishedRun, Comparison]:
    """A run in which every text is `text`."""
    item = GoldItem(text, text, text, True, (text,), (Evidence(text, text),), (text,))
    answer = said(text + " [1]", answer_language=text, reason=text, warnings=[text])
    everywhere = dict.fromkeys(("source", "title", "language", "quote", "url"), text)
    answer["citations"] = [{**answer["citations"][0], **everywhere}]
    answer["sentences"] = [{"text": text, "verdict": text, "citations": [1]}]
    found = passage(end=len(text), **dict.fromkeys(("text", "source", "title", "language", "url"), text))
    fields = {"document_language": text, "places": ((("d1", 1, 4),),), "passages": (found,), "problem": text}
    one = row(item, Outcome.FAILED, {"recall@5": 0.5}, answer=answer, **fields)
    about = {"shape": {text: text, "gold": text}, "versions": {text: text}, "started": text}
    run = FinishedRun(Path(f"/runs/{text.replace('/', '').replace(chr(0), '')}"), about, [one], summarise([one]))
    changes = (QuestionChange(text, text, text, text, -1.0),)
    return run, compared(before=text, after=text, settings={text: (text, [text])}, questions=changes)


@functools.cache
def plain_page() -> Any:
    return tree(as_html(*poisoned("plain")))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    page = as_html(*poisoned(text))
    parsed = tree(page)
    plain = plain_page()
    # The same elements with the same attributes as of a run of plain words, but for `lang`, which only tags get,
    # and sentences, whose own language is that of no article then.
    assert elements(parsed) == elements(plain)
    assert not parsed.xpath("//@*[starts-with(name(), 'on')]")
    assert len(parsed.xpath("//script")) == 1
    wanted = " ".join(shown(text).split())
    (asked,) = parsed.xpath("//bdi[contains(@class, 'asked')]")
    assert text_of(asked) == wanted
    assert parsed.xpath("//article/@data-language")[0] == shown(text)
    assert not [link for link in parsed.xpath("//@href") if not link.startswith("#")]
    driving = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
    assert re.findall(driving, page) == []


def elements(parsed: Any) -> list[tuple[str, list[str]]]:
    """Every element and the names of its attributes, in order; what depends on a language is left out."""
    return [
        (str(one.tag), sorted(set(one.attrib) - {"lang", "rel"}))
        for one in parsed.iter()
        if one.tag not in ("span", "a", "small", "mark") and one.get("class") != "interval"
    ]


def test_only_addresses_of_the_web_are_links_and_what_turns_text_around_is_named() -> None:
    assert web("https://example.org/a?b=c&d") == "https://example.org/a?b=c&d"
    others = (
        "JavaScript:alert(1)",
        "java\nscript:x",
        "https://exa\tmple.org",
        "data:text/html,x",
        "//x.org",
        "http://[",
    )
    assert [web(address) for address in others] == [""] * len(others)
    assert shown("a\u202eb\u2066c\u200fd\x1b[0m\r\ne\ud800") == "a⟨U+202E⟩b⟨U+2066⟩cd⟨U+001B⟩[0m\ne⟨U+D800⟩"
    assert shown("نعم\u200cها 👩‍🚀 กี่") == "نعم\u200cها 👩‍🚀 กี่"  # joiners are part of words


# Terminal


def test_the_table_shows_intervals_counts_and_what_else_was_measured() -> None:
    summary = summarise(ROWS)
    lines = as_table(summary).split("\n")
    assert lines[0].split() == ["n", "recall@1", "recall@5", "recall@10", "ndcg@10", "answer", "cited"]
    assert lines[1].split() == ["all", "6", "0.667", "0.667", "0.667", "0.667", "0.167", "0.333"]
    low, high = summary["intervals"]["recall@5"]
    assert lines[2].split()[4] == f"{low:.2f}–{high:.2f}"
    text = "\n".join(lines)
    for line in (
        r"ko +2 +1\.000", r"ko->zh-Hant +2 +1\.000", r"abstention\.f1 +0\.500  0\.00–1\.00$", r"failed +1 of 8$",
        "outcomes +failed 1, answered without an answer 1, not retrieved 1, refused 1",
    ):  # fmt: skip
        assert re.search(f"^{line}", text, re.MULTILINE), line
    assert "  broken: TimeoutError: no answer <b>" in lines
