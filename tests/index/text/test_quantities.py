"""Numbers, multiples and dates of many languages as one value each; every value by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.text.quantities import dates, han_number, number_values, plain, quantities, ungrouped
from tests.conftest import linear_time


def values(text: str, language: str = "") -> list[str]:
    return [quantity.value for quantity in quantities(plain(text), language)]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        # 13 * 10^9, in the words of many languages.
        ("130億美元", "zh", ["13000000000"]),
        ("一百三十億", "zh", ["13000000000"]),
        ("130억 달러", "ko", ["13000000000"]),
        ("$13 billion, $13bn and $13B", "en", ["13000000000"] * 3),
        ("13 Milliarden Euro, 13 Mrd. Euro", "de", ["13000000000"] * 2),
        ("13 milliards de dollars", "fr", ["13000000000"]),
        ("13 mil millones de dólares", "es", ["13000000000"]),
        ("13 mil milhões de euros", "pt", ["13000000000"]),
        ("13 млрд долларов, 13 миллиардов", "ru", ["13000000000"] * 2),
        ("13 milyar dolar", "tr", ["13000000000"]),
        ("13 tỷ đô la", "vi", ["13000000000"]),
        ("13 miliar dolar", "id", ["13000000000"]),
        ("١٣ مليار دولار", "ar", ["13000000000"]),
        ("۱۳ میلیارد دلار", "fa", ["13000000000"]),
        ("13 מיליארד דולר", "he", ["13000000000"]),
        ("13 अरब डॉलर", "hi", ["13000000000"]),
        ("1,300 करोड़ रुपये", "hi", ["13000000000"]),
        ("13 พันล้านดอลลาร์", "th", ["13000000000"]),
        ("13 δισεκατομμύρια ευρώ", "el", ["13000000000"]),
        # Others.
        ("5,100만 달러", "ko", ["51000000"]),
        ("1억 2천만 명", "ko", ["120000000"]),
        ("1億2000万人", "ja", ["120000000"]),
        ("1.2兆円", "ja", ["1200000000000"]),
        ("5 लाख लोग", "hi", ["500000"]),
        ("3,5 млн", "ru", ["3500000"]),
        ("3 m long and 5 k", "en", ["3", "5"]),  # metres; a letter multiplies money only
        # A billion is not one everywhere.
        ("13 Billionen", "de", ["13000000000000"]),
        ("13 billions", "fr", ["13000000000000"]),
        # No multiples.
        ("12 minutes, 13 brothers, 7 binary", "en", ["12", "13", "7"]),
        ("三四個人", "zh", []),
        ("一九九八年", "zh", ["1998"]),
        ("1.2.3 and 24.01.2022", "en", ["1.2.3", "24.1.2022"]),
        ("", "", []),
    ],
)
def test_a_quantity_has_one_value_in_every_language(text: str, language: str, expected: list[str]) -> None:
    assert values(text, language) == expected


def test_a_quantity_tells_where_it_stands_and_whether_it_is_a_share() -> None:
    text = plain("Of 1,200 people 70% (७०) paid 13 billion")
    found = quantities(text, "en")
    assert [text[q.start : q.end] for q in found] == ["1,200", "70", "70", "13 billion"]
    assert [q.percent for q in found] == [False, True, False, False]
    assert all(
        q.percent for text in ("70 %", "70 percent", "70 Prozent", "70퍼센트", "70 процентов") for q in quantities(text)
    )


@settings(deadline=None)
@given(st.integers(0, 10**12))
def test_grouped_numbers_are_the_number(number: int) -> None:
    for grouped in (f"{number:,}", f"{number:,}".replace(",", "."), f"{number:,}".replace(",", "\u202f")):
        assert values(grouped) == [str(number)]
    assert ungrouped(f"{number:,}") == str(number)


@pytest.mark.parametrize(
    ("numeral", "number"),
    [
        ("十二", 12), ("二十", 20), ("二十三", 23), ("三百零五", 305), ("一千二百", 1_200), ("两千", 2_000),
        ("兩萬", 20_000), ("一億二千萬", 120_000_000), ("三萬億", 3 * 10**12), ("一九九八", 1998),
        ("二〇二四", 2024), ("千", 1_000),
        ("三四", None), ("一一", None), ("三四十", None), ("萬億", None), ("壹佰", 100),
    ],
)  # fmt: skip
def test_a_number_in_han_characters_is_read(numeral: str, number: int | None) -> None:
    assert han_number(numeral) == number


@pytest.mark.parametrize(
    "text",
    """12 March 2024 | March 12, 2024 | 12th of March 2024 | 12. März 2024 | 12 de marzo de 2024 | 12 mars 2024 |
    2024年3月12日 | 2024년 3월 12일 | 二〇二四年三月十二日 | ２０２４年３月１２日 | ngày 12 tháng 3 năm 2024 |
    2024-03-12 | 2024. március 12. | 12 марта 2024 г. | 12 มีนาคม พ.ศ. 2567 |
    12 มีนาคม 2024 | ١٢ مارس ٢٠٢٤ | 12 آذار 2024 | 12 मार्च 2024 | 12 Mart 2024 |
    12 Μαρτίου 2024 | 12 מרץ 2024 | 12 marca 2024 | 12 maaliskuuta 2024""".split(" |"),
)
def test_a_date_has_one_value_in_every_language(text: str) -> None:
    assert [found.value for found in dates(plain(text))] == ["2024-03-12"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("March 2024", ["2024-03"]),
        ("le 1er mai", ["--05-01"]),
        ("3月12日", ["--03-12"]),
        ("十二月三日", ["--12-03"]),
        ("From 5 May 2020 to June 7, 2021", ["2020-05-05", "2021-06-07"]),
        ("5 كانون الثاني 2020", ["2020-01-05"]),
        ("in may he, 12 people march", []),
        ("2024/13/12, 2024-00-12, 32 May", []),
        ("", []),
    ],
)
def test_dates_without_all_parts_and_what_is_none(text: str, expected: list[str]) -> None:
    assert [found.value for found in dates(plain(text))] == expected


def test_what_the_digits_show_is_no_value_besides() -> None:
    assert list(number_values("In 2024 13 people, 1,200 birds, 13 billion stars on 3 May 2020.")) == [
        "1200", "13000000000", "2020-05-03"
    ]  # fmt: skip


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_without_error_and_spans_are_its_own(text: str) -> None:
    normal = plain(text)
    for found in (*quantities(normal), *dates(normal)):
        assert 0 <= found.start < found.end <= len(normal)


@pytest.mark.parametrize(
    "text",
    [
        "一" + "兆" * 400,
        "一" * 5_000,
        "1" * 100_000,
        "1," * 50_000,
        "1 111" * 20_000,
        "1 million " * 20_000,
        "1月" * 50_000,
    ],
)
def test_a_text_of_nothing_but_numbers_is_no_error_and_soon_done(text: str) -> None:
    with linear_time():
        values = list(number_values(text))
    assert all(len(value) <= 64 for value in values)
