"""Scripts by character, against Unicode's own table as the `regex` library carries it."""

from __future__ import annotations

import pytest
import regex

from index.text.script import count_scripts


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", {}),
        ("Hello, мир! 世界 123", {"Latin": 5, "Cyrillic": 3, "Han": 2}),
        ("한국어 ㅋㅋ ᄒ", {"Hangul": 6}),
        ("ひらがなカタカナｶﾅー々", {"Hiragana": 4, "Katakana": 7, "Han": 1}),
        ("ＡＢＣ ａｂｃ", {"Latin": 6}),
        ("قلم ٣٤ ،؟", {"Arabic": 3}),
        ("٪ № € ① 🙂 \u200d \ufeff \u0301", {}),
        ("ㄅㄆ", {"Bopomofo": 2}),
        ("\ud800a", {"Latin": 1}),
    ],
)
def test_letters_are_counted_by_script(text: str, counts: dict[str, int]) -> None:
    assert count_scripts(text) == counts


# Blocks of the letters that are written today.
BLOCKS = {
    "Latin": [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)],
    "Greek": [(0x386, 0x3E1), (0x1F00, 0x1FFF)],
    "Cyrillic": [(0x400, 0x52F)],
    "Armenian": [(0x531, 0x587)],
    "Hebrew": [(0x5D0, 0x5EA)],
    "Arabic": [(0x620, 0x63F), (0x641, 0x64A), (0x671, 0x6D3), (0x750, 0x77F), (0xFB50, 0xFBB1), (0xFE70, 0xFEFC)],
    "Devanagari": [(0x904, 0x961)],
    "Bengali": [(0x985, 0x9B9)],
    "Gurmukhi": [(0xA05, 0xA39)],
    "Gujarati": [(0xA85, 0xAB9)],
    "Oriya": [(0xB05, 0xB39)],
    "Tamil": [(0xB85, 0xBB9)],
    "Telugu": [(0xC05, 0xC39)],
    "Kannada": [(0xC85, 0xCB9)],
    "Malayalam": [(0xD05, 0xD3A)],
    "Sinhala": [(0xD85, 0xDC6)],
    "Thai": [(0xE01, 0xE30), (0xE40, 0xE46)],
    "Lao": [(0xE81, 0xEB0)],
    "Tibetan": [(0xF40, 0xF6C)],
    "Myanmar": [(0x1000, 0x102A)],
    "Georgian": [(0x10A0, 0x10FA), (0x10FC, 0x10FF)],
    "Ethiopic": [(0x1200, 0x135A)],
    "Khmer": [(0x1780, 0x17B3)],
    "Hiragana": [(0x3041, 0x3096)],
    "Katakana": [(0x30A1, 0x30FA), (0xFF71, 0xFF9D)],
    "Han": [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFA6D), (0x20000, 0x2A6DF), (0x30000, 0x3134A)],
    "Hangul": [(0x1100, 0x11FF), (0x3131, 0x318E), (0xAC00, 0xD7A3)],
}


@pytest.mark.parametrize("script", BLOCKS)
def test_every_letter_in_use_has_the_script_that_unicode_gives_it(script: str) -> None:
    letters = [chr(code) for first, last in BLOCKS[script] for code in range(first, last + 1)]
    letters = [letter for letter in letters if regex.fullmatch(r"\p{L}", letter)]
    of_this_script = regex.compile(rf"\p{{Script={script}}}")
    assert len(letters) > 25
    wrong = [
        letter for letter in letters if bool(of_this_script.match(letter)) != (count_scripts(letter) == {script: 1})
    ]
    assert wrong == []
