"""What is made word by word, or only where it can be, is what the whole text would give."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from index.names import name_forms, phonetic_terms
from index.text.quantities import dates, number_values
from index.text.script import compatible
from index.text.terms import indexed_terms, terms, with_relatives
from tests.conftest import characters

UNSPACED = r"\p{Han}々〇\p{Hangul}\p{Katakana}ー\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
pieces = st.text(
    st.sampled_from("aZéßİΣω漢汉、。，（）()がパー한국ไ٣ _-.'’1２½Ⅷﬁ\u0301\u0300\u3000\u00a0\n\t "), max_size=30
)


def test_no_character_of_a_script_without_spaces_is_taken_for_a_letter_of_a_word() -> None:
    unspaced = regex.compile(f"[{UNSPACED}]")
    wrong = []
    for char in characters():
        folded = unicodedata.normalize("NFKC", char).casefold()
        if regex.search(r"\p{Nd}", folded):  # written as a digit of ours
            continue
        if unspaced.search(folded) and any(len(term) > 3 and term.startswith("abc") for term in terms(f"abc{char}d")):
            wrong.append(char)
    assert wrong == []


def test_no_character_makes_a_small_word_a_name_by_compatibility() -> None:
    capitals = [char for char in characters() if regex.match(r"\p{Lu}", unicodedata.normalize("NFKC", char))]
    assert len(capitals) > 1_000
    # ϒ, ℳ and the like have no small form of their own, and are capitals all the same.
    cased = regex.compile(r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Armenian}]")
    begin = [char for char in capitals if cased.match(unicodedata.normalize("NFKC", char)) and char.isalpha()]
    lost = [char for char in begin if not name_forms(f"{char}ltmanltman", "de")]
    assert lost == [char for char in begin if not unicodedata.normalize("NFKC", char).isalpha()]  # Ŀ is L·


@settings(max_examples=300, deadline=None)
@given(pieces, pieces)
def test_white_space_joins_nothing(one: str, other: str) -> None:
    both = f"{one} {other}"
    assert terms(both) == terms(one) + terms(other)
    assert indexed_terms(both) == [*with_relatives(terms(both)), *number_values(both)]
    assert name_forms(both, "") == list(dict.fromkeys(name_forms(one, "") + name_forms(other, "")))
    assert phonetic_terms(both, "") == list(dict.fromkeys(phonetic_terms(one, "") + phonetic_terms(other, "")))


@settings(max_examples=300, deadline=None)
@given(pieces)
def test_wide_signs_are_narrowed_as_nfkc_does(text: str) -> None:
    assert compatible(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12 March 2024", "2024-03-12"),
        ("March 12, 2024", "2024-03-12"),
        ("2024. március 12.", "2024-03-12"),
        ("12 de marzo de 2024", "2024-03-12"),
        ("3 كانون الثاني 2024", "2024-01-03"),
        ("ngày 12 tháng 3 năm 2024", "2024-03-12"),
        ("2024년 3월 12일", "2024-03-12"),
    ],
)
@pytest.mark.parametrize("filler", ["word " * 40, "語" * 200 + " ", "a " * 7, ""], ids=len)
def test_a_date_is_found_wherever_it_stands(text: str, value: str, filler: str) -> None:
    (date,) = dates(f"{filler}{text} {filler}")
    assert (date.value, date.start) == (value, len(filler))
