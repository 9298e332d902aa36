from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from index.backends.base import StoredPassage
from index.search import ScoredPassage
from rag.answer import Answer, AnswerSentence, Citation
from rag.answerers.base import Turn
from rag.verify import Verdict
from ui.chat.page import answer_markdown, inert, panel_markdown, turns

# Raw HTML passes and links are found: the most that a renderer would make of the text.
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</article></mark><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "![pixel](https://evil.example/x.png)",
    "![ref][1]\n\n[1]: https://evil.example/x.png",
    "[click](https://evil.example/)",
    "[1](javascript:alert(1))",
    "[1]: https://evil.example/",
    "<https://evil.example/>",
    "https://evil.example/ www.evil.example mailto:a@b.example",
    "<a href='https://evil.example/'>x</a>",
    "<style>body{display:none}</style>",
    "<!-- comment",
    "<![CDATA[x]]>",
    "<?php x ?>",
    "# heading\n## other\n===\n---\n***",
    "**bold** _em_ `code` ~~gone~~ | a | b |",
    "```\ncode\n```",
    "~~~\ncode\n~~~",
    "> quote\n- item\n+ item\n* item\n1. one\n2) two",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "&lt;script&gt; &#60;img&#62; &amp; &copy;",
    "\\<script\\> \\[1](x) \\",
    "line\\\nbreak  \nspaces",
    "$$\\href{javascript:alert(1)}{x}$$ \\(x\\) $x$",
    "\x00 \u202e right to left \u200d",
    "    indented code",
    "\tindented code",
]


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", {}))

    def handle_decl(self, decl: str) -> None:
        self.tags.append(("declaration", {}))

    def handle_pi(self, data: str) -> None:
        self.tags.append(("instruction", {}))

    def unknown_decl(self, data: str) -> None:
        self.tags.append(("declaration", {}))


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
        sentences=(AnswerSentence(text, Verdict.SUPPORTED, (1,)),),
        citations=(citation,),
        retrieved=(ScoredPassage(stored, 1.0, 0.5, 0, 1, 0.5, 1, 0.0, False),),
        relevance=0.9,
    )


# --- the answer ---------------------------------------------------------------------------------------------


def test_a_marker_becomes_a_link_to_its_card() -> None:
    html = RENDERER.render(answer_markdown("Seoul is big. [1][12]"))
    assert html == '<p>Seoul is big. <a href="#source-1">[1]</a><a href="#source-12">[12]</a></p>\n'


def test_every_line_of_an_answer_is_a_paragraph() -> None:
    assert RENDERER.render(answer_markdown("One:\ntwo [1]\nthree")).count("<p>") == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_an_answer_is_shown_and_does_nothing(text: str) -> None:
    seen = Tags(RENDERER.render(answer_markdown(text)))
    for tag, attributes in seen.tags:
        if tag == "a":
            assert set(attributes) == {"href"}
            assert str(attributes["href"]).startswith("#source-")
        else:
            # Only what the renderer itself makes of plain lines, and of nothing else.
            assert (tag, attributes) in [("p", {}), ("br", {}), ("pre", {}), ("code", {})]
    assert squeezed(seen.text).replace("\\", "") == squeezed(text).replace("\\", "")


@pytest.mark.parametrize("text", [text for text in HOSTILE if not text.startswith((" ", "\t"))])
def test_the_text_shown_is_the_text_written(text: str) -> None:
    assert squeezed(Tags(RENDERER.render(answer_markdown(text))).text) == squeezed(text)


@settings(deadline=None)
@given(st.text(alphabet="[](){}<>!*_`~#+-.|\\&;:/=\"'$^@1a \nhtp가", max_size=60))
def test_whatever_an_answer_holds_no_tag_but_our_own_comes_of_it(text: str) -> None:
    for tag, attributes in Tags(RENDERER.render(answer_markdown(text.strip()))).tags:
        assert tag in {"p", "a", "br", "pre", "code"}
        assert all(name == "href" and str(value).startswith("#source-") for name, value in attributes.items())


def test_inert_text_renders_as_itself() -> None:
    assert RENDERER.renderInline(inert("*a* [b](c) <d> & `e`")) == "*a* [b](c) &lt;d&gt; &amp; `e`"


# --- the panel ----------------------------------------------------------------------------------------------


def test_a_card_shows_the_quotation_marked_in_its_context() -> None:
    html = RENDERER.render(panel_markdown(answer()))
    assert html == (
        "<h3>Sources</h3>\n"
        '<article id="source-1" lang="en" dir="auto"><b>[1] Title</b><br><small>en · 2024-05-01 · a.txt</small><br>'
        "Before it. <mark>The quote.</mark> After it.</article>"
    )


def test_an_answer_without_citations_has_no_panel() -> None:
    from dataclasses import replace

    assert panel_markdown(replace(answer(), citations=())) == ""


def test_the_title_links_to_a_web_address_of_the_source() -> None:
    seen = Tags(RENDERER.render(panel_markdown(answer(url='https://example.org/a?b=1&c="2"'))))
    (link,) = [attributes for tag, attributes in seen.tags if tag == "a"]
    assert link == {
        "href": 'https://example.org/a?b=1&c="2"',
        "rel": "noopener noreferrer nofollow",
        "target": "_blank",
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
def test_any_other_address_becomes_no_link(url: str) -> None:
    seen = Tags(RENDERER.render(panel_markdown(answer(url=url))))
    assert "a" not in [tag for tag, _ in seen.tags]
    assert "[1] Title" in seen.text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["passage", "title", "source", "language", "url"])
def test_hostile_text_of_a_document_is_shown_in_the_panel_and_does_nothing(place: str, text: str) -> None:
    given = {place: "https://x.example/" + text if place == "url" else text}
    seen = Tags(RENDERER.render(panel_markdown(answer(**given))))  # type: ignore[arg-type]
    tags = [tag for tag, _ in seen.tags]
    link = ["a"] if place == "url" and len(text.split()) == 1 and text == text.strip() else []
    # Before and after the mark nothing else comes: the card is all that there is.
    assert tags == ["h3", "article", "b", *link, "br", "small", "br", "mark"]
    for tag, attributes in seen.tags:
        allowed = {"article": {"id", "lang", "dir"}, "a": {"href", "rel", "target"}}.get(tag, set())
        assert set(attributes) == allowed
    if place != "url":
        assert squeezed(text) in squeezed(seen.text)


@settings(deadline=None)
@given(st.text(alphabet="<>\"'&![]()`*_#\n\r\u2028\u0085 -=aé가", max_size=60).filter(lambda text: text.strip()))
def test_whatever_a_passage_holds_the_card_is_all_that_comes_of_it(text: str) -> None:
    seen = Tags(RENDERER.render(panel_markdown(answer(passage=text, title=text))))
    assert [tag for tag, _ in seen.tags] == ["h3", "article", "b", "br", "small", "br", "mark"]


def test_the_conversation_of_the_page_is_read_without_its_markers() -> None:
    history = [
        {"role": "user", "content": [{"type": "text", "text": "When was Altman fired?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "On a Friday. [1] So it was. [2]"}]},
        {"role": "user", "content": "Why?"},
    ]
    assert turns(history) == [Turn("When was Altman fired?", "On a Friday. So it was."), Turn("Why?", "")]
    assert turns([]) == []
    assert turns([{"role": "assistant", "content": "Hello."}]) == []


def test_what_the_page_has_shown_is_read_back_plain() -> None:
    said = "Sam Altman (CEO) left. [1] It was 2023. [2]"
    shown = f"{answer_markdown(said)}\n\n⚠ {inert('1 of 2 sentences are not supported')}"
    history = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": shown}]
    assert turns(history) == [Turn("Who?", "Sam Altman (CEO) left. It was 2023.")]
