"""What is stored of an article: boilerplate gone and reported, sentences kept, metadata found or left empty."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.documents import Article, Block, BlockKind, Document, Metadata
from index.read.clean import clean, normalise
from index.read.text import read_text

HEADING, PARAGRAPH, ITEM = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.ITEM


def cleaned(*blocks: str | Block, metadata: Metadata | None = None) -> Document:
    made = tuple(block if isinstance(block, Block) else Block(block) for block in blocks)
    return clean(Article(made, metadata or Metadata()), "/a", "a")


def rules(document: Document) -> list[tuple[str, str]]:
    return [(entry.rule, entry.text) for entry in document.removed]


BODY = (
    "The bridge was closed for two weeks in March.",
    "Engineers found cracks in three of its pillars, and the council asked for a second opinion.",
    "Traffic was led over the old road meanwhile.",
    "Nobody could say what the repair would cost.",
    "The mayor promised a report before the summer.",
)
TEXT = "\n\n".join(BODY)


# --- headers ----------------------------------------------------------------------------------------------


def test_the_header_of_a_forum_gives_author_and_date() -> None:
    document = cleaned("送交者: 老张 2023年11月20日08:37:20 于 [股市财经] 发送悄悄话 |", "这座桥在三月关闭了两个星期。")
    assert document.text == "这座桥在三月关闭了两个星期。"
    assert (document.metadata.author, document.metadata.date) == ("老张", "2023-11-20")
    assert rules(document) == [("forum header", "送交者: 老张 2023年11月20日08:37:20 于 [股市财经] 发送悄悄话 |")]


@pytest.mark.parametrize(
    ("line", "date"),
    [
        ("2024-05-18 22:23:32", "2024-05-18"),
        ("2024.05.18.", ""),
        ("2024年5月18日", "2024-05-18"),
        ("입력: 2024.05.18 10:00", "2024-05-18"),
        ("发布时间：2024-05-18 10:00", "2024-05-18"),
        ("2024-13-45", ""),
        ("입력 2024.06.03 09:12 수정 2024.06.03 10:00 댓글 41", "2024-06-03"),
        ("기사입력 2024-06-03 오전 9:12 | 최종수정 2024-06-04", "2024-06-03"),
        ("2024年06月03日 09:12 来源：新华网 字号：大 中 小", "2024-06-03"),
    ],
)
def test_a_date_line_at_the_start_gives_the_date(line: str, date: str) -> None:
    document = cleaned("A title", line, *BODY)
    assert document.metadata.date == date
    kept = line == "2024.05.18."
    assert document.text == (f"A title\n\n{line}\n\n{TEXT}" if kept else f"A title\n\n{TEXT}")
    assert rules(document) == ([] if kept else [("date line", line)])


@pytest.mark.parametrize(
    ("line", "author"),
    [
        ("저자: 양자위", "양자위"),
        ("作者：李四", "李四"),
        ("By: Kari Nordmann and Ben Öz", "Kari Nordmann and Ben Öz"),
        ("Автор: Иван Петров", "Иван Петров"),
    ],
)
def test_an_author_line_at_the_start_gives_the_author(line: str, author: str) -> None:
    document = cleaned("A title", line, *BODY)
    assert (document.metadata.author, rules(document)) == (author, [("author line", line)])
    assert document.text == f"A title\n\n{TEXT}"


@pytest.mark.parametrize(
    "line",
    [
        "By: the river there was a house, and nobody lived in it.",
        "The report is dated 2024-05-18.",
        "送交者: that is how a post in this forum begins",
        "2024",
        "Author: a word that means one who writes.",
    ],
)
def test_sentences_with_dates_and_authors_are_kept(line: str) -> None:
    document = cleaned("A title", line, *BODY)
    assert document.text == f"A title\n\n{line}\n\n{TEXT}"
    assert document.removed == ()


@pytest.mark.parametrize(
    "line", ["微信", "分享", "수정", "更新 日本の新幹線", "댓글 문화를 바꾸자", "大小", "입력 장치"]
)
def test_a_title_with_words_of_labels_stays(line: str) -> None:
    assert "interface line" not in [rule for rule, _ in rules(cleaned(line, *BODY))]


def test_the_dates_of_a_chronicle_are_kept() -> None:
    entries = [f"2024-01-{day:02}\nDay {day} was as grey as the one before it, and colder." for day in range(1, 8)]
    document = cleaned("The diary", *entries)
    # Only the first is taken for the article's own.
    assert document.text == "The diary\n\n" + "\n\n".join(entries).removeprefix("2024-01-01\n")
    assert rules(document) == [("date line", "2024-01-01")]


# --- lines anywhere ---------------------------------------------------------------------------------------

BOILERPLATE = {
    "image placeholder": "이미지 | [image] | (사진) | 【图片】 | 圖片 | Photo | [ IMG ] | изображение | صورة | ภาพ",
    "decoration": "--- | * * * | ____ | ===== | ◆◇◆ | ···",
    "interface word": "Share | read more » | 수집 | ログイン | Реклама | تعليقات | Cookie settings",
    "bare link": "https://example.org/a?b=1 | [1] https://example.org | (2) http://example.org/x | 3. https://e.org",
    "copyright notice": "© 2024 The Daily Vik | (c) 2024 The Daily Vik. All rights reserved."
    " | Copyright © The Daily Vik | Copyright 2024, The Daily Vik. | 版权所有 日报社"
    " | 무단 전재 및 재배포 금지 | 無断転載禁止",
}


@pytest.mark.parametrize("rule", BOILERPLATE)
def test_a_line_of_boilerplate_goes_wherever_it_stands(rule: str) -> None:
    for line in [*BOILERPLATE[rule].split(" | "), *(["|", "| |"] if rule == "decoration" else [])]:
        for blocks in ((BODY[0], line, *BODY[1:]), (*BODY, line)):
            document = cleaned(*blocks)
            assert (document.text, rules(document)) == (TEXT, [(rule, line)])


@pytest.mark.parametrize(
    "line", ["字号：大 中 小 扫一扫分享到微信", "댓글 41 공유 스크랩 인쇄", "分享到微信 收藏 打印"]
)
def test_a_line_of_labels_under_the_title_goes(line: str) -> None:
    document = cleaned("A title", line, *BODY)
    assert (document.text, rules(document)) == (f"A title\n\n{TEXT}", [("interface line", line)])


@pytest.mark.parametrize(
    "line",
    [
        "이 글은 투자 조언이 아니며 법적 책임을 지지 않습니다.",
        "免責聲明：本文不構成投資建議。",
        "Disclaimer: this article is for informational purposes only and is not investment advice.",
        "Dieser Text ist keine Anlageberatung; es gilt der Haftungsausschluss.",
    ],
)
def test_a_disclaimer_at_the_end_goes(line: str) -> None:
    for blocks in (BODY, BODY[:1]):
        document = cleaned(*blocks, line)
        assert (document.text, rules(document)) == ("\n\n".join(blocks), [("disclaimer", line)])


def test_a_disclaimer_in_the_middle_is_part_of_the_story() -> None:
    line = "The blog said that it was for informational purposes only and gave no investment advice."
    assert cleaned(BODY[0], line, *BODY[1:]).removed == ()


@pytest.mark.parametrize(
    "sentence",
    [
        "Copyright law protects authors for seventy years.",
        "The © sign was first used in 1874.",
        "무단 전재는 법으로 금지되어 있다.",
        "版权所有者可以要求赔偿。",
        "The regulator says that such people must not give investment advice or financial advice.",
        "Share prices fell sharply.",
        "Home is where the heart is",
        "이미지 센서의 가격이 올랐다.",
        "See https://example.org for the report.",
        "https://example.org is the address of the report.",
        "Sources close to the mayor confirmed it.",
        "- 3 °C",
        "C++",
    ],
)
def test_an_ordinary_line_that_has_such_words_is_kept(sentence: str) -> None:
    for place in (0, 2, 5):
        blocks = [*BODY[:place], sentence, *BODY[place:]]
        document = cleaned(*blocks)
        assert (document.text, document.removed) == ("\n\n".join(blocks), ())


# --- links and navigation ---------------------------------------------------------------------------------

LINKS = "[1] https://example.org/a\n[2] https://example.org/b"


@pytest.mark.parametrize("heading", ["참고 링크:", "References", "参考资料：", "Quellen:", "Источники"])
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_list_of_bare_links_goes_with_its_heading(heading: str, gap: str) -> None:
    document = clean(read_text(f"{TEXT}\n\n{heading}{gap}{LINKS}".encode()), "/a", "a")
    assert document.text == TEXT
    links = [("bare link", line) for line in LINKS.split("\n")]
    assert rules(document) == [("heading of links", heading), *links]


def test_a_heading_with_something_else_under_it_stays() -> None:
    document = cleaned(*BODY, f"References\nSmith, J.: Bridges of the North, 1998.\n{LINKS}")
    assert document.text == f"{TEXT}\n\nReferences\nSmith, J.: Bridges of the North, 1998."


def test_repeated_navigation_goes() -> None:
    document = cleaned("Politics", BODY[0], "Politics »", BODY[1], "politics", *BODY[2:])
    assert document.text == TEXT
    assert rules(document) == [("repeated navigation", line) for line in ("Politics", "Politics »", "politics")]


@pytest.mark.parametrize(
    "line",
    ["Interviewer:", "Nobody knew.", "아무도 몰랐다.", "- one more", "3. again", "Warum?", "x" * 41],
)
def test_repeated_labels_sentences_and_items_are_kept(line: str) -> None:
    document = cleaned(line, BODY[0], line, BODY[1], line, BODY[2], line)
    assert document.text == "\n\n".join([line, BODY[0], line, BODY[1], line, BODY[2], line])


# --- title and language -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "title"),
    [
        (("다리 이야기", "다리가 닫혔다."), "다리 이야기"),
        (("What happened to the bridge?", BODY[0]), "What happened to the bridge?"),
        (("The bridge was closed.", BODY[0]), ""),
        (("다리 이야기",), ""),
        (("In short:", BODY[0]), ""),
        (("x" * 121, BODY[0]), ""),
        (("이미지", "다리 이야기", "다리가 닫혔다."), "다리 이야기"),
        ((), ""),
    ],
)
def test_the_title_is_a_first_line_that_is_no_sentence(blocks: tuple[str, ...], title: str) -> None:
    assert cleaned(*blocks).metadata.title == title


TAIWANESE = "市政府宣布，位於河濱的舊倉庫將改建為公共圖書館，並且增加一座花園。"
NORWEGIAN = "Havnen ble stengt i elleve dager etter stormen, og fiskerne reparerte garnene sine i den gamle hallen."


@pytest.mark.parametrize(
    ("text", "declared", "expected"),
    [
        (TAIWANESE, "", "zh-Hant"),
        (TAIWANESE, "zh-CN", "zh-Hant"),
        (TAIWANESE, "en", "zh-Hant"),
        ("人人人人", "zh-TW", "zh-Hant"),
        ("人人人人", "zh", "zh"),
        (TEXT, "", "en"),
        (TEXT, "en-GB", "en-GB"),
        (TEXT, "de", "en"),
        (TEXT, "<script>", "en"),
        (NORWEGIAN, "no", "no"),
        (NORWEGIAN, "", "nb"),
        ("123 456", "ko", "ko"),
    ],
)
def test_the_language_is_what_the_text_reads_as_and_the_declared_tag_only_refines_it(
    text: str, declared: str, expected: str
) -> None:
    assert cleaned(text, metadata=Metadata(language=declared)).metadata.language == expected


# --- the text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d\u2029e\x85f\x0bg\x0ch", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("a\x00b\x07c\x1bd\x7fe\x9ff", "abcdef"),
        ("\ufeffzero\u00adwidth\ufff9", "zerowidth"),
        ("a\ud800b\udfffc", "a\ufffdb\ufffdc"),
        ("a \t\u00a0\n\u3000 b  ", "a\nb"),
        ("  a  b\tc ", "a  b\tc"),
        ("👩\u200d🌾 \u200fمرحبا", "👩\u200d🌾 \u200fمرحبا"),  # joiners and marks of direction mean something
        ("\u1112\u1161\u11ab Gro\u0308\u00dfe プ", "한 Größe プ"),
    ],
)
def test_a_text_has_one_line_end_and_no_controls(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_headings_point_at_their_text_where_cleaning_took_something_away() -> None:
    document = cleaned(
        Block("ZT: Title one |", HEADING),
        "이미지",
        BODY[0],
        Block("Share", HEADING),
        "|",
        Block("One\n|\nTwo", HEADING),
        BODY[1],
    )
    assert document.text == f"Title one\n\n{BODY[0]}\n\nOne\nTwo\n\n{BODY[1]}"
    assert [document.text[a:b] for a, b in document.headings] == ["Title one", "One\nTwo"]


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=60)
MARKS = ["\u0301", "\u1161", "\ud800", "\ufeff", "e\u0301", "\u3099", "\n", " "]
LINES = ["이미지", "|", "Share", "2024-05-18", "。", "References", "https://e.org", "ZT: ", "© 2024"]
PIECES = st.sampled_from([*MARKS, *LINES])
ANY_BLOCK = st.builds(
    Block, ANY_TEXT | st.lists(ANY_TEXT | PIECES, max_size=8).map("".join), st.sampled_from(BlockKind)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY_BLOCK, max_size=8))
def test_any_blocks_give_nfc_text_without_controls_and_headings_within_it(blocks: list[Block]) -> None:
    document = cleaned(*blocks)
    text = document.text
    assert unicodedata.is_normalized("NFC", text)
    assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n"]
    assert text == text.strip()
    assert text.encode().decode() == text

    def letters(text: str) -> str:
        return "".join(sorted(char for char in normalise(text) if not char.isspace() and char not in "|｜•"))

    # No character is lost without a report.
    before = letters("\n".join(block.text for block in blocks))
    assert letters("\n".join([text, *(entry.text for entry in document.removed)])) == before
    last = 0
    for start, end in document.headings:
        assert last <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert start == 0 or text[start - 2 : start] == "\n\n"
        assert end == len(text) or text[end : end + 2] == "\n\n"
        last = end


def test_the_seed_articles_lose_their_boilerplate_and_nothing_else(shared: Path) -> None:
    article = read_text((shared / "seeds" / "004_80781f0cf5fd7b8c.txt").read_bytes())
    document = clean(article, "/a", "a")
    metadata = document.metadata
    assert (metadata.author, metadata.date, metadata.language) == ("양자위", "2024-05-18", "ko")
    assert [text for rule, text in rules(document) if rule == "image placeholder"] == ["이미지"] * 10
    assert [rule for rule, _ in rules(document) if rule != "image placeholder"] == [
        "date line",
        "interface word",
        "author line",
        "heading of links",
        *["bare link"] * 3,
        "disclaimer",
        "interface word",
    ]
    original = "\n".join(block.text for block in article.blocks)
    assert sum(len(text) for _, text in rules(document)) < 0.15 * len(original)
    forum = clean(read_text((shared / "seeds" / "000_64b191127e66512f.txt").read_bytes()), "/b", "b")
    assert forum.metadata == Metadata("讀懂OpenAI“政變”始末", "", "Rondo", "2023-11-20", "zh-Hant")
    assert [rule for rule, _ in rules(forum)] == ["forward mark", "forum header", *["decoration"] * 3, "interface word"]
