"""Which script a character belongs to, for many characters at once."""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import regex
from numpy.typing import NDArray

# (first, last, script) of the letters that tell languages apart; Unicode 15 blocks.
_RANGES: tuple[tuple[int, int, str], ...] = (
    (0x41, 0x5A, "Latin"), (0x61, 0x7A, "Latin"), (0xAA, 0xAA, "Latin"), (0xBA, 0xBA, "Latin"),
    (0xC0, 0xD6, "Latin"), (0xD8, 0xF6, "Latin"), (0xF8, 0x2AF, "Latin"),
    (0x370, 0x373, "Greek"), (0x376, 0x377, "Greek"), (0x37B, 0x37D, "Greek"), (0x386, 0x3FF, "Greek"),
    (0x400, 0x52F, "Cyrillic"), (0x531, 0x58A, "Armenian"), (0x591, 0x5F4, "Hebrew"),
    (0x620, 0x65F, "Arabic"), (0x66E, 0x6D3, "Arabic"), (0x6D5, 0x6EF, "Arabic"), (0x6FA, 0x6FF, "Arabic"),
    (0x750, 0x77F, "Arabic"), (0x8A0, 0x8FF, "Arabic"),
    (0x900, 0x963, "Devanagari"), (0x970, 0x97F, "Devanagari"),
    (0x980, 0x9FF, "Bengali"), (0xA00, 0xA7F, "Gurmukhi"), (0xA80, 0xAFF, "Gujarati"),
    (0xB00, 0xB7F, "Oriya"), (0xB80, 0xBFF, "Tamil"), (0xC00, 0xC7F, "Telugu"), (0xC80, 0xCFF, "Kannada"),
    (0xD00, 0xD7F, "Malayalam"), (0xD80, 0xDFF, "Sinhala"), (0xE00, 0xE7F, "Thai"), (0xE80, 0xEFF, "Lao"),
    (0xF00, 0xFFF, "Tibetan"), (0x1000, 0x109F, "Myanmar"), (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"), (0x1200, 0x139F, "Ethiopic"), (0x1780, 0x17FF, "Khmer"),
    (0x1C80, 0x1C8F, "Cyrillic"), (0x1C90, 0x1CBF, "Georgian"), (0x1E00, 0x1EFF, "Latin"),
    (0x1F00, 0x1FFF, "Greek"), (0x2DE0, 0x2DFF, "Cyrillic"), (0x3005, 0x3007, "Han"),
    (0x3041, 0x309F, "Hiragana"), (0x30A1, 0x30FA, "Katakana"), (0x30FC, 0x30FF, "Katakana"),
    (0x3105, 0x312F, "Bopomofo"), (0x3130, 0x318F, "Hangul"), (0x31F0, 0x31FF, "Katakana"),
    (0x3400, 0x4DBF, "Han"), (0x4E00, 0x9FFF, "Han"), (0xA640, 0xA69F, "Cyrillic"), (0xA722, 0xA7FF, "Latin"),
    (0xA960, 0xA97F, "Hangul"), (0xAC00, 0xD7FF, "Hangul"), (0xF900, 0xFAFF, "Han"),
    (0xFB1D, 0xFB4F, "Hebrew"), (0xFB50, 0xFDFF, "Arabic"), (0xFE70, 0xFEFC, "Arabic"),
    (0xFF21, 0xFF3A, "Latin"), (0xFF41, 0xFF5A, "Latin"), (0xFF66, 0xFF9F, "Katakana"),
    (0xFFA0, 0xFFDC, "Hangul"), (0x20000, 0x323AF, "Han"),
)  # fmt: skip

CASED = r"\p{Latin}\p{Cyrillic}\p{Greek}\p{Armenian}"  # scripts with capitals
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"  # scripts without spaces
SCRIPTS: tuple[str, ...] = ("Common", *sorted({script for _, _, script in _RANGES}))


_ASCII_NOT_LATIN = bytes(code for code in range(128) if not chr(code).isalpha())


@functools.cache
def _table() -> NDArray[np.uint8]:
    """Number of the script of each code point."""
    table = np.zeros(0x110000, dtype=np.uint8)
    # In this order: the end of one range may be the start of the next.
    for first, last, script in _RANGES:
        table[first : last + 1] = SCRIPTS.index(script)
    return table


def count_scripts(text: str) -> dict[str, int]:
    """How many letters of each script `text` has.

    What scripts share (European digits, punctuation, accents, symbols) is not counted; the vowel
    signs and digits that only one script has count as its own.
    """
    if text.isascii():
        n_latin = len(text.encode("ascii").translate(None, _ASCII_NOT_LATIN))
        return {"Latin": n_latin} if n_latin else {}
    code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    counts = np.bincount(_table()[code_points], minlength=len(SCRIPTS))
    return {SCRIPTS[i]: int(counts[i]) for i in np.flatnonzero(counts) if i}


@functools.lru_cache(maxsize=1 << 14)
def char_script(char: str) -> str:
    """Script of a letter; empty of another character."""
    return next(iter(count_scripts(char)), "")


# What Chinese and Japanese write all the time and NFKC changes: of one such sign all of a text is looked through.
_WIDE = tuple(zip("，：；！？（）\u3000％～", ",:;!?() %~", strict=True))


def ascii_digits(text: str) -> str:
    """`text` with the digits of every script as ASCII ones."""
    return _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.decimal(match.group(), match.group())), text)


_FOREIGN_DIGIT = regex.compile(r"(?![0-9])\p{Nd}")


def compatible(text: str) -> str:
    """`text` in NFKC."""
    if unicodedata.is_normalized("NFKC", text):
        return text
    for wide, narrow in _WIDE:
        text = text.replace(wide, narrow)
    return unicodedata.normalize("NFKC", text)
