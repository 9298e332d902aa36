from __future__ import annotations

import sqlite3
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        ("電", "电"),
        ("東京、大阪", "东京 大阪"),  # no pair across punctuation
        ("人々と〇〇", "人々 〇〇"),
        ("𠮷野家", "𠮷野 野家"),  # outside the first plane
        # Hangul: pairs too, also where it came decomposed.
        ("한국어를 배우다", "한국 국어 어를 배우 우다"),
        (unicodedata.normalize("NFD", "한국어"), "한국 국어"),
        ("가", "가"),
        # Katakana runs whole, with the long mark; half-width ones are widened; Hiragana is left out.
        ("コンピューターを使う", "コンピューター 使"),
        ("ﾊﾟｿｺﾝ", "パソコン"),
        ("らーめんとラーメン", "ラーメン"),
        ("これはです", ""),
        # Thai, Khmer, Burmese, Lao: triples of code points, marks counted.
        ("ภาษาไทย", "ภาษ าษา ษาไ าไท ไทย"),
        ("ไทย", "ไทย"),
        ("ไป", "ไป"),
        ("ខ្មែរ", "ខ្ម ្មែ មែរ"),
        ("ဗမာစာ", "ဗမာ မာစ ာစာ"),
        # Scripts with spaces: words, folded; marks stay.
        ("Straße ΟΔΥΣΣΕΥΣ Привет", "strasse οδυσσευσ привет"),
        ("cafe\u0301 naïve", "café naïve"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("مُحَمَّد، كتاب", "مُحَمَّد كتاب"),
        ("don't C++ #tag a_b", "don t c tag a b"),
        # Digits are letters of words; full-width ones are narrowed.
        ("F-16, covid19 3.5", "f 16 covid19 3 5"),
        ("２０２３年ＡＢＣ", "2023 年 abc"),
        ("①㋿", "1 令和"),
        # Scripts meet inside a word.
        ("OpenAI가 GPT-4를", "openai 가 gpt 4 를"),
        ("日本語とEnglishの混在", "日本 本语 english 混在"),
        ("iPhone发布会", "iphone 发布 布会"),
        # Nothing to find.
        ("", ""),
        (" …!?—👍 ", ""),
    ],
)
def test_the_terms_are(text: str, expected: str) -> None:
    assert " ".join(terms(text)) == unicodedata.normalize("NFKC", expected)


def stored_vocabulary(rows: list[str]) -> set[str]:
    """What the store's full-text index makes of terms joined by spaces."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create(connection)
    connection.executemany("INSERT INTO terms (body, title) VALUES (?, '')", [(row,) for row in rows])
    connection.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, terms, row)")
    found = {term for (term,) in connection.execute("SELECT term FROM temp.vocabulary")}
    connection.close()
    return found


def test_the_store_keeps_every_term_of_real_articles_as_it_is() -> None:
    rows = [terms(path.read_text("utf-8")) for path in sorted(SAMPLES.glob("*.md"))]
    assert stored_vocabulary([" ".join(row) for row in rows]) == set().union(*rows)


def test_the_store_keeps_terms_with_any_assigned_character_as_they_are() -> None:
    rows = [terms(f"a{char}b {char}{char}") for char in characters()]
    assert stored_vocabulary([" ".join(row) for row in rows]) == set().union(*rows)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_term_is_made_of_letters_marks_and_digits_only(text: str) -> None:
    # No quote, star, parenthesis or space: nothing of a full-text query's own syntax.
    for term in terms(text):
        assert term
        assert all(unicodedata.category(char)[0] in "LMN" or unicodedata.category(char) == "Cn" for char in term)


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


def test_digits_of_every_script_are_one() -> None:
    assert terms("عام ٢٠٢٠") == ["عام", "2020"]
    assert terms("वर्ष २०११ ปี ๒๕๖๗ １２") == [*terms("वर्ष"), "2011", "ปี", "2567", "12"]


def test_the_beginnings_of_words_are_marked_and_follow_the_terms() -> None:
    found = with_relatives(terms("The telescopes see 2021 망원경 望遠鏡"))
    assert found[:3] == ["the", "telescopes", "see"]
    assert [term for term in found if term.startswith(BEGINNING)] == ["‿tele"]
    assert with_relatives(["кошками", "кошка", "кот", "משקפיים"])[4:] == ["‿кошк", "‿кошк", "‿משקפ"]


def test_an_inflected_form_finds_its_relatives_in_the_store() -> None:
    rows = [" ".join(indexed_terms(text)) for text in ("Он видел кошку.", "Он видел собак.", "十八個")]
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create(connection)
    connection.executemany("INSERT INTO terms (body, title) VALUES (?, '')", [(row,) for row in rows])

    def found(question: str) -> list[int]:
        expression = " OR ".join(f'"{term}"' for term in indexed_terms(question))
        return [row for (row,) in connection.execute("SELECT rowid FROM terms WHERE terms MATCH ?", (expression,))]

    assert found("кошками") == [1]
    assert found("18") == [3]
    assert found("кот") == []
    connection.close()
