"""Reading text, Markdown, HTML and JSON lines, and finding the files to read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from index.documents import Article, Block, BlockKind, Metadata
from index.errors import ReadError, TooLarge
from index.read import clean, discover, read_path
from index.read.html import read_html
from index.read.text import metadata_from, read_markdown, web_url
from index.settings import Limits

HEADING, PARAGRAPH, ITEM = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.ITEM


def read(path: Path, limits: Limits | None = None) -> list[Article | ReadError]:
    return list(read_path(path, limits or Limits()))


def texts(article: Article) -> list[str]:
    return [block.text for block in article.blocks]


def kinds(article: Article) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in article.blocks]


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"   \n\t \r\n", b"\n" * 5000], ids=["empty", "blank", "newlines"])
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.pdf", "a.docx"])
def test_a_file_without_text_is_an_error_that_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match="an empty file"):
        read(tmp_path / name)


def test_a_file_over_the_limit_is_too_large_and_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(TooLarge, match="65 MiB in one file; expected: at most 64 MiB"):
        read(tmp_path / "a.txt")


# --- Markdown ---------------------------------------------------------------------------------------------

MARKDOWN = """\
---
title: "Die Brücke"
author: [Ada Weiß, Ben Öz]
date: 2024-03-05
lang: de_AT
url: https://example.org/bruecke
---
# Die *Brücke*

Ein Absatz mit ![Bild](b.png) und [Verweis](https://example.org), `code` und **fett** &amp; mehr.

![nur ein Bild](c.png)

- eins
  - zwei
    1. drei
- vier

> Ein Zitat
> über zwei Zeilen

| Ort | Jahr |
|-----|------|
| Graz | 1999 |

```python
x = 1

y = 2
```
"""


def test_markdown_loses_its_markup_and_keeps_its_words_in_order_and_its_metadata() -> None:
    article = read_markdown(MARKDOWN.encode())
    assert article.metadata == Metadata(
        "Die Brücke", "https://example.org/bruecke", "Ada Weiß, Ben Öz", "2024-03-05", "de-AT"
    )
    assert kinds(article) == [
        ("heading", "Die Brücke"),
        ("paragraph", "Ein Absatz mit und Verweis, code und fett & mehr."),
        ("item", "eins"),
        ("item", "zwei"),
        ("item", "drei"),
        ("item", "vier"),
        ("paragraph", "Ein Zitat über zwei Zeilen"),
        ("item", "Ort | Jahr"),
        ("item", "Graz | 1999"),
        ("paragraph", "x = 1\n\ny = 2"),
    ]


@pytest.mark.parametrize(
    "front",
    ["title: [unclosed", "- a\n- b", "just words", "title: !!python/object/apply:os.system ['true']", "[" * 5000],
    ids=["broken", "list", "scalar", "python-tag", "deep"],
)
def test_front_matter_that_is_none_stays_in_the_text(front: str) -> None:
    article = read_markdown(f"---\n{front}\n---\nText hier.\n".encode())
    assert article.blocks[-1] == Block("Text hier.")
    assert article.metadata.author == ""


def test_a_field_that_is_no_yaml_costs_neither_itself_nor_another() -> None:
    article = read_markdown(
        b"---\ntitle: Foo: bar baz\nno field\ntags:\n- a\n- b\nauthor: [Ada\nlang: de\n---\nText hier.\n"
    )
    assert article.metadata == Metadata("Foo: bar baz", author="[Ada", language="de", tags=("a", "b"))
    assert (texts(article), article.notes) == (["Text hier."], ("line 3 is no field of front matter: no field",))


def test_front_matter_that_multiplies_itself_is_harmless() -> None:
    # A list of nine aliases of a list of nine aliases ...: 9 ** 9 names when printed.
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9)]
    one_field = f"title: {{{', '.join(level.replace(': &', '_: &') for level in levels)}, name: *l8}}"
    article = read_markdown("\n".join(["---", *levels, one_field, "author: *l8", "---", "Text hier."]).encode())
    assert article.metadata == Metadata(title="", author="*l8")


def test_the_first_heading_is_the_title_where_front_matter_names_none() -> None:
    assert read_markdown("# 제목\n\n본문이다.\n".encode()).metadata.title == "제목"
    assert read_markdown("본문이다.\n\n# 제목\n".encode()).metadata.title == ""


def test_wrapped_lines_are_joined_with_a_space_only_where_the_script_has_spaces() -> None:
    article = read_markdown("one\ntwo\n\n한 줄\n두 줄\n\n漢字の\n文章。\n\nหนึ่ง\nสอง\n".encode())
    assert texts(article) == ["one two", "한 줄 두 줄", "漢字の文章。", "หนึ่งสอง"]


def test_html_in_markdown_leaves_its_text_and_never_its_scripts() -> None:
    article = read_markdown(
        b"Use the `<script>` tag with care.\n\n<div>\nA <b>bold</b> claim &lt;1&gt;\n</div>\n\n"
        b"<script>\nalert('a')\n\nalert('b')\n</script>\n\n<!-- hidden > here\n\nand here -->\n\n"
        b"Before <script>alert('c')</script> after.\n\n<style>p { color: red }</style>\n\nEnd.\n"
    )
    assert texts(article) == ["Use the <script> tag with care.", "A bold claim <1>", "Before after.", "End."]


# --- metadata ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "language", "expected"),
    [
        ("2024-03-05T23:59:59+09:00", "en", "2024-03-05"),
        ("2024年3月5日", "zh", "2024-03-05"),
        ("2024년 3월 5일", "ko", "2024-03-05"),
        ("02/03/2024", "fr", "2024-03-02"),
        ("02/03/2024", "en-US", "2024-02-03"),
        ("5 марта 2024 г.", "ru", "2024-03-05"),
        ("March 5, 2024", "en", "2024-03-05"),
        ("March 2024", "en", ""),
        ("2024-02-30", "en", ""),
        ("2024-13-45T99:99:99Z", "en", ""),
        ("[1, 2]", "en", ""),
    ],
)
def test_a_date_is_read_as_the_language_of_the_article_writes_it(date: str, language: str, expected: str) -> None:
    article = read_markdown(f"---\ntitle: 1\nlang: {language}\ndate: {date}\n---\n42\n".encode())
    document = clean(article, "a", "a")
    assert (document.metadata.title, document.metadata.date, document.text) == ("1", expected, "42")
    assert [entry.rule for entry in document.removed] == ([] if expected else ["date that cannot be read"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://example.org/a?b=1", "https://example.org/a?b=1"),
        ("javascript:alert(1)", ""),
        ("data:text/html,<b>", ""),
        ("file:///etc/passwd", ""),
        ('https://example.org/"onclick="x', ""),
        ("https://me:secret@example.org/a", ""),
        ("https://example.org/a b", ""),
        ("", ""),
    ],
)
def test_only_a_web_address_becomes_a_link(value: str, expected: str) -> None:
    assert web_url(value) == expected


def test_metadata_goes_by_its_usual_names() -> None:
    authors = [{"name": "김하나"}, "이둘"]
    found = metadata_from({"headline": "제목", "authors": authors, "link": "https://e.org", "language": "ko_KR"})
    assert found == Metadata("제목", "https://e.org", "김하나, 이둘", "", "ko-KR")


# --- HTML -------------------------------------------------------------------------------------------------

FIRST = (
    "The harbour of Vik was closed for eleven days after the storm of 3 March. Fishermen mended their nets in the old "
    "hall, and the school taught navigation instead of arithmetic."
)
SECOND = (
    "Two cranes are to be raised again before the summer, says the harbour master. Until then large ships will unload "
    "in Nes, and lorries will bring the goods over the mountain."
)
PAGE = f"""<!doctype html>
<html lang="en-GB"><head><meta charset="utf-8"><title>Harbour closed | The Daily Vik</title>
<meta name="author" content="Kari Nordmann">
<meta property="article:published_time" content="2024-03-05T08:00:00+01:00">
<meta property="og:title" content="Harbour closed">
<link rel="canonical" href="https://example.org/news/harbour">
<script>alert("boo")</script><style>p {{ color: red }}</style></head>
<body onload="evil()">
<nav><ul><li><a href="/">Home</a></li><li><a href="/s">Sports</a></li><li><a href="/w">Weather</a></li></ul></nav>
<header><a href="/login">Log in</a></header>
<article><h1>Harbour closed</h1><p>{FIRST}</p>
<h2>What is next</h2><p>{SECOND}</p>
<ul><li>Nets mended<ul><li>small ones</li><li>large ones</li></ul></li><li>Boats painted</li></ul>
<table><tr><th>Boat</th><th>Length</th></tr><tr><td>Freya</td><td>12 m</td></tr></table>
<p>Line one of the poem<br>Line two of the poem</p>
<script>var track = "pixel";</script><noscript>Enable scripts</noscript>
<p onclick="evil()">The <b>mayor</b> thanked <a href="https://example.org/helpers">all helpers</a> in a letter
&amp; a speech on Sunday.</p></article>
<aside>Related articles: <a href="/a">Sheep</a> <a href="/b">Goats</a></aside>
<footer>© 2024 The Daily Vik. All rights reserved. <a href="/cookies">Cookie settings</a></footer>
</body></html>"""


def test_a_page_gives_its_article_and_nothing_around_it() -> None:
    assert kinds(read_html(PAGE.encode())) == [
        ("heading", "Harbour closed"),
        ("paragraph", FIRST),
        ("heading", "What is next"),
        ("paragraph", SECOND),
        ("item", "Nets mended"),
        ("item", "small ones"),
        ("item", "large ones"),
        ("item", "Boats painted"),
        ("item", "Boat | Length"),
        ("item", "Freya | 12 m"),
        ("paragraph", "Line one of the poem\nLine two of the poem"),
        ("paragraph", "The mayor thanked all helpers in a letter & a speech on Sunday."),
    ]


def test_a_page_gives_its_metadata() -> None:
    assert read_html(PAGE.encode(), url="https://example.org/fetched?session=1").metadata == Metadata(
        "Harbour closed", "https://example.org/news/harbour", "Kari Nordmann", "2024-03-05", "en-GB"
    )
    page = PAGE.replace("https://example.org/news/harbour", "javascript:alert(1)")
    assert not read_html(page.encode()).metadata.url.startswith("javascript")


@pytest.mark.parametrize(
    "page",
    [
        "<html><body></body></html>",
        "<html><body><script>var a = 'text text text';</script></body></html>",
        "<",
        "<div>" * 20_000,
    ],
    ids=["empty", "script", "bracket", "deep"],
)
def test_a_page_without_an_article_is_an_error_that_says_so(page: str) -> None:
    with pytest.raises(ReadError, match="a page without main content"):
        read_html(page.encode())


JAPANESE_FIRST = (
    "長野県の小さな町で、廃校になった小学校が新しい図書館として生まれ変わった。教室の黒板や木の机はそのまま残されており、"
    "訪れた人は昔の雰囲気を楽しむことができる。"
)
JAPANESE_SECOND = (
    "開館から半年で、利用者は延べ一万二千人を超えたという。来年の春には、カフェとギャラリーも開かれる"
    "予定だと、町の担当者は話している。"
)


@pytest.mark.parametrize(
    ("codec", "head"),
    [
        ("shift_jis", '<meta charset="Shift_JIS">'),
        ("euc_jp", "<meta charset=euc-jp>"),
        ("iso2022_jp", '<meta charset="iso-2022-jp">'),
        ("shift_jis", '<meta charset="utf-8">'),
        ("utf-8", '<meta charset="Shift_JIS">'),
        ("utf-8", ""),
    ],
)
@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="Shift_JIS"?>'])
def test_a_japanese_page_is_read_in_its_real_encoding(codec: str, head: str, declaration: str) -> None:
    page = (
        f'{declaration}<html lang="ja"><head>{head}<title>図書館の話</title></head>'
        f"<body><article><h1>図書館の話</h1><p>{JAPANESE_FIRST}</p><p>{JAPANESE_SECOND}</p></article></body></html>"
    )
    article = read_html(page.encode(codec))
    assert texts(article)[-2:] == [JAPANESE_FIRST, JAPANESE_SECOND]
    assert (article.metadata.title, article.metadata.language) == ("図書館の話", "ja")


# --- JSON lines -------------------------------------------------------------------------------------------


def jsonl(path: Path, *lines: object) -> Path:
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines) + b"\n")
    return path


def test_each_line_is_an_article_with_its_id_and_metadata(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"id": "kr-1", "title": "제목", "text": "첫 문단.\n\n둘째 문단.", "lang": "ko", "date": "2024-01-02"},
        {"_id": 7, "content": "Zweiter", "author": "Ada"},
        {"body": "Third", "url": "https://example.org/3"},
    )
    assert read(path) == [
        Article((Block("첫 문단."), Block("둘째 문단.")), Metadata("제목", "", "", "2024-01-02", "ko"), "kr-1"),
        Article((Block("Zweiter"),), Metadata(author="Ada"), "7"),
        Article((Block("Third"),), Metadata(url="https://example.org/3"), "3"),
    ]


def test_a_broken_line_leaves_the_others_alone(tmp_path: Path) -> None:
    broken = {
        2: b'{"text": "no end',
        3: b"[1, 2]",
        4: b'{"title": "no text"}',
        5: b'{"text": "\xb0\xa1"}',
        6: b'"text"',
        7: b"[" * 100_000,
        12: b'{"text": "' + b"x" * 200_000 + b'"}',
        8: b'{"text": 5}',
        9: b'{"text": "x", "n": ' + b"9" * 5000 + b"}",
        10: b"\x00\x01\x02",
        11: b"nonsense",
    }
    lines = [broken.get(number) or {"text": f"article {number}"} for number in range(1, 14)]
    found = read(jsonl(tmp_path / "a.jsonl", *lines), Limits(max_file_bytes=150_000))
    assert [type(item).__name__ for item in found] == ["Article"] + ["ReadError"] * 11 + ["Article"]
    for number, item in enumerate(found, start=1):
        if isinstance(item, Article):
            assert (item.part, texts(item)) == (str(number), [f"article {number}"])
        else:
            assert str(item).startswith(f"line {number}")


def test_a_repeated_id_is_an_error_and_the_first_one_stays(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *({"id": x, "text": f"{x}{i}"} for i, x in enumerate("abab")), {"text": "end"})
    found = read(path)
    assert [item.part for item in found if isinstance(item, Article)] == ["a", "b", "5"]
    assert [texts(item) for item in found if isinstance(item, Article)] == [["a0"], ["b1"], ["end"]]
    assert [str(item).split(";")[0] for item in found if isinstance(item, ReadError)] == [
        "line 3 repeats the id 'a'",
        "line 4 repeats the id 'b'",
    ]


# --- finding files ----------------------------------------------------------------------------------------


def found(source: Path | str) -> list[str]:
    items = list(discover(str(source)))
    assert all(item.error is None for item in items)
    return [str(item.path) for item in items]


def error_of(source: Path | str) -> str:
    (item,) = discover(str(source))
    return str(item.error)


def test_a_folder_gives_its_known_files_in_a_stable_order(tmp_path: Path) -> None:
    names = ["z.txt", "b/2.html", "b/10.md", "a/x/deep.jsonl", "a/y.PDF", "c.docx", "가.txt", "B.md"]
    skipped = ["a/skip.png", "skip", "b/skip.py", "b/notes.txt~", ".git/a.md", ".hidden.txt", "b/.y/z.txt"]
    for name in [*names, *skipped]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    # Each folder: its own files by code point, then its folders.
    expected = ["B.md", "c.docx", "z.txt", "가.txt", "a/y.PDF", "a/x/deep.jsonl", "b/10.md", "b/2.html"]
    assert found(tmp_path) == [str(tmp_path / name) for name in expected]


def test_links_in_a_folder_lead_neither_out_of_it_nor_in_a_loop(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("x")
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path.parent / "secret.txt").write_text("Not in the folder.", "utf-8")
    (tmp_path / "out.txt").symlink_to(tmp_path.parent / "secret.txt")
    (tmp_path / "self.txt").symlink_to(tmp_path / "self.txt")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    assert found(tmp_path) == [str(tmp_path / "sub" / "a.txt")]


def test_what_is_not_there_comes_with_its_error(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none").startswith(f"{tmp_path / 'none'} does not exist")
    assert "File name too long" in error_of(tmp_path / ("x" * 5000))
    assert "null" in error_of("a\0b")
    with pytest.raises(ReadError, match="No such file"):
        read(tmp_path / "none")


def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "a.txt").write_text("x")
    assert "is no regular file" in error_of(tmp_path / "pipe.txt")
    assert found(tmp_path) == [str(tmp_path / "a.txt")]
