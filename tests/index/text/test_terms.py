from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from index.store.sqlite.schema import create
from index.text.quantities import number_values
from index.text.terms import BEGINNING, indexed_terms, terms, with_relatives
from tests.conftest import characters

SAMPLES = Path(__file__).parent.parent.parent.parent / "ui" / "samples" / "articles"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Han: pairs of neighbours, Traditional written as Simplified; the Japanese 語 and 東 are such characters too.
        ("臺灣的電腦", "台湾 湾的 的电 电脑"),
        ("台湾的电脑", "台湾 湾的 的电 电脑"),
        ("人々と〇〇", "人々 〇〇"),
        ("𠮷野家", "𠮷野 野家"),  # outside the first plane
        # Hangul: pairs too, also where it came decomposed.
        ("한국어를 배우다", "한국 국어 어를 배우 우다"),
        (unicodedata.normalize("NFD", "한국어"), "한국 국어"),
        ("가", "가"),
        # Katakana runs whole, with the long mark; half-width ones are widened; Hiragana is left out.
        ("コンピューターを使う", "コンピューター 使"),
        ("ﾊﾟｿｺﾝ", "パソコン"),
        ("これはです", ""),
        # Thai, Khmer, Burmese, Lao: triples of code points, marks counted.
        ("ภาษาไทย", "ภาษ าษา ษาไ าไท ไทย"),
        ("ไทย", "ไทย"),
        ("ខ្មែរ", "ខ្ម ្មែ មែរ"),
        # Scripts with spaces: words, folded; marks stay.
        ("Straße ΟΔΥΣΣΕΥΣ Привет", "strasse οδυσσευσ привет"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("مُحَمَّد، كتاب", "مُحَمَّد كتاب"),
        ("don't C++ #tag a_b", "don t c tag a b"),
        # Digits are letters of words; full-width ones are narrowed.
        ("F-16, covid19 3.5", "f 16 covid19 3 5"),
        ("２０２３年ＡＢＣ", "2023 年 abc"),
        ("عام ٢٠٢٠ २०११ ๒๕๖๗ １２", "عام 2020 2011 2567 12"),
        # Scripts meet inside a word.
        ("OpenAI가 GPT-4를", "openai 가 gpt 4 를"),
        ("日本語とEnglishの混在", "日本 本语 english 混在"),
        # Nothing to find.
        ("", ""),
        (" …!?—👍 ", ""),
    ],
)
def test_the_terms_are(text: str, expected: str) -> None:
    assert " ".join(terms(text)) == unicodedata.normalize("NFKC", expected)


@pytest.fixture
def store() -> Iterator[sqlite3.Connection]:
    """The store's full-text index, empty."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create(connection)
        yield connection


def put(store: sqlite3.Connection, rows: Iterable[list[str]]) -> None:
    store.executemany("INSERT INTO terms (body, title) VALUES (?, '')", [(" ".join(row),) for row in rows])


def test_the_store_keeps_terms_of_real_articles_and_of_any_character_as_they_are(store: sqlite3.Connection) -> None:
    rows = [terms(path.read_text("utf-8")) for path in sorted(SAMPLES.glob("*.md"))]
    rows += [terms(f"a{char}b {char}{char}") for char in characters()]
    put(store, rows)
    store.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, terms, row)")
    assert {term for (term,) in store.execute("SELECT term FROM temp.vocabulary")} == set().union(*rows)


def test_an_inflected_form_finds_its_relatives_in_the_store(store: sqlite3.Connection) -> None:
    put(store, map(indexed_terms, ("Он видел кошку.", "Он видел собак.", "十八個")))
    for question, expected in (("кошками", [1]), ("18", [3]), ("кот", [])):
        match = " OR ".join(f'"{term}"' for term in indexed_terms(question))
        found = store.execute("SELECT rowid FROM terms WHERE terms MATCH ?", (match,))
        assert [row for (row,) in found] == expected


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("望遠鏡有十八塊鏡子，造價一百億美元。", ["18", "10000000000"]),
        ("It cost 1,200,000 and 3,5 more, 1,2345 or 12,34.", ["1200000", "3.5", "1.2345", "12.34"]),
        ("١٬٢٠٠", ["1200"]),
        ("一 万", []),
        ("１，２００", ["1200"]),
    ],
)
def test_numbers_are_found_in_other_notations(text: str, numbers: list[str]) -> None:
    assert number_values("".join(str(unicodedata.decimal(c, c)) for c in text)) == numbers


def test_the_beginnings_of_words_are_marked_and_follow_the_terms() -> None:
    found = with_relatives(terms("The telescopes see 2021 망원경 望遠鏡"))
    assert found[:3] == ["the", "telescopes", "see"]
    assert [term for term in found if term.startswith(BEGINNING)] == ["‿tele"]
    assert with_relatives(["кошками", "кошка", "кот", "משקפיים"])[4:] == ["‿кошк", "‿кошк", "‿משקפ"]
