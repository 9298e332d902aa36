"""Passages: verbatim, whole sentences, never too long, never across a heading, with one sentence of overlap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from index.documents import Article, Block, BlockKind, Document, Metadata, Passage, Span
from index.encoders.base import Encoder
from index.read.clean import clean
from index.settings import IndexSettings
from index.text.passages import chunk
from tests.conftest import linear_time


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def chars(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def clusters(texts: Sequence[str]) -> list[int]:
    """One token a grapheme cluster, and one more for every newline: a joint costs something."""
    return [len(regex.findall(r"\X", text)) + 3 * text.count("\n") for text in texts]


def document(text: str, *headings: str, language: str = "") -> Document:
    """A document of `text`, in which each of `headings` stands once and in this order."""
    spans, position = [], 0
    for heading in headings:
        position = text.index(heading, position)
        spans.append(Span(position, position + len(heading)))
    return Document("/a", "a", text, Metadata(language=language), tuple(spans))


def sentence(n_words: int, name: str) -> str:
    return " ".join([name, *["word"] * (n_words - 1)]) + "."


def names(passages: list[Passage]) -> list[list[str]]:
    """The first word of each sentence of each passage."""
    return [
        [passage.text[a - passage.start : b - passage.start].split()[0].rstrip(".") for a, b in passage.sentences]
        for passage in passages
    ]


def check(doc: Document, passages: list[Passage], max_tokens: int, count: object) -> None:
    """What holds of the passages of every document."""
    assert [passage.ordinal for passage in passages] == list(range(len(passages)))
    covered: set[int] = set()
    for passage in passages:
        assert passage.text == doc.text[passage.start : passage.end]
        assert passage.text == passage.text.strip() != ""
        assert passage.sentences[0].start == passage.start
        assert passage.sentences[-1].end == passage.end
        assert all(a < b for a, b in passage.sentences)
        assert all(one.end <= other.start for one, other in pairwise(passage.sentences))
        covered.update(i for a, b in passage.sentences for i in range(a, b))
        if len(passage.text) > 1:
            assert count([passage.text])[0] <= max_tokens  # type: ignore[operator]
        for heading in doc.headings:
            if passage.start < heading.start < passage.end:
                before = set(range(passage.start, heading.start))
                in_headings = {i for a, b in doc.headings for i in range(a, b)}
                assert all(i in in_headings or doc.text[i].isspace() for i in before)
    assert all(doc.text[i].isspace() for i in set(range(len(doc.text))) - covered)
    for one, other in pairwise(passages):
        assert one.start < other.start
        assert one.end < other.end


SMALL = IndexSettings(target_tokens=10, max_tokens=15)


# --- grouping, with sums by hand --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        # 4 + 4 = 8, a third would be 12 > 10; each next one repeats the last sentence.
        ([4, 4, 4, 4], [["S0", "S1"], ["S1", "S2"], ["S2", "S3"]]),
        # 9 + 9 > 10: nothing to repeat, since the repeated one and the next would not fit.
        ([9, 9, 9], [["S0"], ["S1"], ["S2"]]),
        # 5 + 5 = 10 fits exactly; then 5 + 6 = 11 does not, so no overlap.
        ([5, 5, 6, 4], [["S0", "S1"], ["S2", "S3"]]),
        # One sentence may go over the target up to the maximum, and stands alone.
        ([3, 14, 3], [["S0"], ["S1"], ["S2"]]),
        # A tail of less than 10 // 4 = 2 new words joins the passage before: 9 + 1 + ... = 11 <= 15.
        ([5, 5, 1], [["S0", "S1", "S2"]]),
        # The same tail does not where the whole would be over 15.
        ([15, 1], [["S0"], ["S1"]]),
        ([10], [["S0"]]),
        ([1, 1, 1], [["S0", "S1", "S2"]]),
        ([], []),
    ],
)
def test_sentences_are_grouped_up_to_the_target(sizes: list[int], expected: list[list[str]]) -> None:
    doc = document(" ".join(sentence(n, f"S{i}") for i, n in enumerate(sizes)))
    passages = chunk(doc, words, SMALL)
    assert names(passages) == expected
    check(doc, passages, 15, words)


def test_what_stands_between_sentences_counts_against_the_maximum() -> None:
    # Twelve lines of one character: 12 tokens as sentences, but 12 + 11 * 4 = 56 with the newlines.
    doc = document("\n".join("abcdefghijkl"))
    passages = chunk(doc, clusters, IndexSettings(target_tokens=15, max_tokens=15, overlap_sentences=0))
    # Halved until it fits: 6 lines are 6 + 5 * 4 = 26, 3 lines 3 + 2 * 4 = 11.
    assert [passage.text for passage in passages] == ["a\nb\nc", "d\ne\nf", "g\nh\ni", "j\nk\nl"]
    check(doc, passages, 15, clusters)


def test_the_overlap_is_the_number_of_sentences_asked_for() -> None:
    doc = document(" ".join(sentence(3, f"S{i}") for i in range(6)))
    for overlap, expected in ((0, ["S0 S1 S2", "S3 S4 S5"]), (2, ["S0 S1 S2", "S1 S2 S3", "S2 S3 S4", "S3 S4 S5"])):
        passages = chunk(doc, words, IndexSettings(target_tokens=10, max_tokens=15, overlap_sentences=overlap))
        assert [" ".join(own) for own in names(passages)] == expected


# --- headings ---------------------------------------------------------------------------------------------


def test_a_passage_never_crosses_a_heading_and_knows_its_section() -> None:
    text = "Intro one. Intro two.\n\nWho? Where!\n\nOne. Two.\n\nSecond\n\nThree.\n\nThird"
    doc = document(text, "Who? Where!", "Second", "Third")
    passages = chunk(doc, words, SMALL)
    assert [(passage.section, passage.text) for passage in passages] == [
        ("", "Intro one. Intro two."),
        ("Who? Where!", "Who? Where!\n\nOne. Two."),
        ("Second", "Second\n\nThree."),
        ("Third", "Third"),
    ]
    # A heading is one sentence, whatever its punctuation.
    assert [doc.text[a:b] for a, b in passages[1].sentences] == ["Who? Where!", "One.", "Two."]
    check(doc, passages, 15, words)


# --- sentences that are too long --------------------------------------------------------------------------


def pieces(text: str, max_tokens: int, count: object = chars) -> list[str]:
    doc = document(text)
    passages = chunk(doc, count, IndexSettings(target_tokens=max_tokens, max_tokens=max_tokens, overlap_sentences=0))  # type: ignore[arg-type]
    check(doc, passages, max_tokens, count)
    return [text[a:b] for passage in passages for a, b in passage.sentences]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 40 characters in 2 shares of 20; looked at: the last quarter of the share, characters 15 to 20.
        ("aaaa aaaa aaaa aa; bbbb, b cccc cccc ccc", ["aaaa aaaa aaaa aa;", "bbbb, b cccc cccc ccc"]),
        ("aaaa aaaa aaa, aa, b bbbbb cccc cccc ccc", ["aaaa aaaa aaa, aa,", "b bbbbb cccc cccc ccc"]),
        ("aaaa aaaa aaaa aa bbbbbb b cccc cccc ccc", ["aaaa aaaa aaaa aa", "bbbbbb b cccc cccc ccc"]),
        (
            "가가가가가가가가가가가가가가가가，나나나나나나나나나나나나나나나나나나나나나나나",
            ["가" * 16 + "，", "나" * 23],
        ),
        ("x" * 40, ["x" * 20, "x" * 20]),
    ],
    ids=["semicolon", "comma", "space", "wide-comma", "nothing"],
)
def test_an_oversize_sentence_is_split_at_the_best_place_near_its_middle(text: str, expected: list[str]) -> None:
    assert len(text) == 40
    assert pieces(text, 24) == expected


CLUSTERS = {
    "family": "👩\u200d👩\u200d👧\u200d👦",
    "skin": "👍🏽",
    "flag": "🇰🇷",
    "accents": "x\u0302\u0323",
    "keycap": "1\ufe0f\u20e3",
    "thai": "น้ำ",
    "hindi": "क्षि",
    "jamo": "\u1112\u1161\u11ab\u11a8",
}


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
@pytest.mark.parametrize(("max_tokens", "n_before"), [(8, 0), (11, 1), (30, 0), (150, 1), (150, 6)])
def test_no_split_falls_inside_a_grapheme_cluster(cluster: str, max_tokens: int, n_before: int) -> None:
    text = "x " * n_before + cluster * 300
    whole = regex.findall(r"\X", text)
    found = pieces(text, max_tokens)
    assert "".join(found) == text
    assert [part for piece in found for part in regex.findall(r"\X", piece)] == whole


# --- any document -----------------------------------------------------------------------------------------

CHARS = list('.。!？…;,、 \n"“”「」•—aZ가漢ก\u0301\u200d\u3000🙂🇰🇷\u00ad')
SIGNS = st.sampled_from([*CHARS, "\n\n", "U.S. ", "word ", "문장이다. ", "句子。", "longerword", "- item\n"])
ANY_TEXT = st.lists(SIGNS | st.text(max_size=4), max_size=80).map("".join)
BLOCKS = st.lists(st.builds(Block, ANY_TEXT, st.sampled_from(BlockKind)), max_size=6)
SIZES = st.tuples(st.integers(4, 40), st.integers(0, 30), st.integers(0, 3)).map(
    lambda n: IndexSettings(target_tokens=n[0], max_tokens=n[0] + n[1], overlap_sentences=n[2])
)


@settings(max_examples=300, deadline=None)
@given(BLOCKS, SIZES, st.sampled_from([words, chars, None]))
def test_the_passages_of_any_document_are_verbatim_complete_and_small_enough(
    encoder: Encoder, blocks: list[Block], sizes: IndexSettings, count: object
) -> None:
    count = count or encoder.count_tokens
    doc = clean(Article(tuple(blocks)), "/a", "a")
    check(doc, chunk(doc, count, sizes), sizes.max_tokens, count)  # type: ignore[arg-type]


KOREAN = "서울시는 지난해 여름 하천 주변의 산책로를 다시 설계했다. 시민의 의견을 듣고 가로등의 위치를 바꾸었다. "
TAIWANESE = "市政府昨天宣布，位於河濱的舊倉庫將改建為公共圖書館。設計團隊表示會保留原有的紅磚牆。"
ENGLISH = (
    "The harbour was closed for eleven days after the storm of March. Fishermen mended their nets in the old hall. "
)
FRENCH = (
    "Le port est resté fermé pendant onze jours après la tempête. Les pêcheurs ont réparé leurs filets dans la halle. "
)


# --- language ---------------------------------------------------------------------------------------------


def languages(text: str, language: str) -> list[str]:
    # A heading of its own, without letters, makes each paragraph a passage.
    parts = {f"§{i}": part for i, part in enumerate(text.split("\n\n"))}
    doc = document("\n\n".join(f"{title}\n\n{part}" for title, part in parts.items()), *parts, language=language)
    return [passage.language for passage in chunk(doc, words, IndexSettings(target_tokens=200, max_tokens=300))]


def test_a_passage_has_its_own_language_in_a_document_of_several() -> None:
    text = "\n\n".join(part.strip() for part in (ENGLISH * 2, KOREAN * 2, FRENCH * 2, TAIWANESE, ENGLISH))
    assert languages(text, "en") == ["en", "ko", "fr", "zh-Hant", "en"]
    assert languages(text, "en-GB") == ["en-GB", "ko", "fr", "zh-Hant", "en-GB"]
    assert languages(text, "ko") == ["en", "ko", "fr", "zh-Hant", "en"]
    assert languages(f"{ENGLISH.strip()}\n\n{KOREAN.strip()}", "") == ["en", "ko"]
    # A short passage or one of numbers has the language of its document.
    assert languages("Gift.\n\n12 345, 67.\n\nOpenAI GPT-4.", "de") == ["de", "de", "de"]


# --- time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit", ["x", "word ", "Hello there. ", "a, ", "👩\u200d", "\u0301", "가", "🇰", ". ", "a\n", "e\u0301"], ids=ascii
)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    text = ("a" + unit * (400_000 // len(unit))).strip()
    with linear_time():
        passages = chunk(document(text), chars, IndexSettings(target_tokens=300, max_tokens=400))
    assert passages[-1].end == len(text)
