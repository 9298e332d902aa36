"""Terms of the lexical leg: words where a script has them, character n-grams where it has not.

NFKC and case folding; Traditional Chinese folded to Simplified; digits of every script as ASCII ones.
Han and Hangul runs to bigrams, Thai, Lao, Khmer and Burmese runs to trigrams, Katakana runs whole,
Hiragana (particles and endings) left out. What is indexed and looked for are these, and with them the
beginnings of words, so that an inflected form finds its relatives, and numbers in another notation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import regex

from index.hanzi import fold_traditional

_UNSPACED = r"\p{Han}々〇\p{Hangul}\p{Katakana}ー\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_HAS_UNSPACED = regex.compile(rf"[{_UNSPACED}]")
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_RUN = regex.compile(
    r"(?P<two>[\p{Han}々〇]+|\p{Hangul}+)|(?P<whole>[\p{Katakana}ー]+)|[\p{Hiragana}ー]+"
    r"|(?P<three>(?:[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)+)"
    rf"|(?P<word>(?:(?![{_UNSPACED}])[\p{{L}}\p{{N}}\p{{M}}])+)"
)
_FOREIGN_DIGIT = regex.compile(r"(?![0-9])\p{Nd}")
_MAX_TERM = 64  # characters; longer runs of "letters" are encoded data


def terms(text: str) -> list[str]:
    """The terms of `text`, in order, repeats kept."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if _FOREIGN_DIGIT.search(folded):
        folded = _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.decimal(match.group())), folded)
    if not _HAS_UNSPACED.search(folded):
        return [word[:_MAX_TERM] for word in _WORD.findall(folded)]
    found: list[str] = []
    for match in _RUN.finditer(fold_traditional(folded)):
        kind, run = match.lastgroup, match.group()
        if kind in {"two", "three"}:
            size = 2 if kind == "two" else 3
            # Fewer characters than the gram: the run itself is the term.
            found += [run[i : i + size] for i in range(max(1, len(run) - size + 1))]
        elif kind is not None:
            found.append(run[:_MAX_TERM])
    return found


BEGINNING = "‿"  # before the beginning of a word: never part of a term itself
_N_BEGINNING = 4  # letters; of 4, 5 and 6 the best in twelve languages, docs/decisions/0010
_INFLECTED = regex.compile(
    r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Armenian}\p{Georgian}]"
)


def with_relatives(found: Sequence[str]) -> list[str]:
    """`found`, terms of a text in order, and after them the beginnings of its words, marked as such."""
    beginnings = (f"{BEGINNING}{term[:_N_BEGINNING]}" for term in found if _inflects(term))
    return [*found, *beginnings]


def number_terms(text: str) -> list[str]:
    """The numbers of `text` that are written in groups or in Han numerals, as plain digits: 1,200 and 十二."""
    folded = unicodedata.normalize("NFKC", text)
    grouped = (_MARK.sub("", match.group()) for match in _GROUPED.finditer(folded))
    spelled = (han_number(match.group()) for match in _HAN_NUMBER.finditer(folded))
    return [*grouped, *(str(number) for number in spelled if number is not None)]


def indexed_terms(text: str) -> list[str]:
    """All that a passage is found by: its terms in order, then the beginnings of its words, then its numbers."""
    return [*with_relatives(terms(text)), *number_terms(text)]


def _inflects(term: str) -> bool:
    return len(term) >= _N_BEGINNING and _INFLECTED.match(term) is not None


_GROUPED = regex.compile(r"(?<![\d.,٬])\d{1,3}(?:[,٬]\d{3})+(?![\d٬]|,\d)")
_MARK = regex.compile(r"[,٬]")
_HAN_DIGITS = {
    char: i
    for i, pair in enumerate("〇零 一壹 二贰貳两兩 三叁參 四肆 五伍 六陆陸 七柒 八捌 九玖".split())
    for char in pair
}
_HAN_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1_000, "仟": 1_000}
_HAN_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "兆": 10**12}
_HAN_NUMBER = regex.compile(f"[{''.join([*_HAN_DIGITS, *_HAN_UNITS, *_HAN_MYRIADS])}]{{2,}}")


def han_number(numeral: str) -> int | None:
    """What a number in Han characters says: 二〇二四, 十二, 三百零五, 一億二千萬; None where it says none.

    None too for 三四 (three or four) and the like, which are no number.
    """
    if all(char in _HAN_DIGITS for char in numeral):
        # Digit by digit: years and the like. Two or three in a row are mostly something else.
        return int("".join(str(_HAN_DIGITS[char]) for char in numeral)) if len(numeral) >= 4 else None
    total = section = 0
    digit: int | None = None
    for char in numeral:
        if char in _HAN_DIGITS:
            if digit:
                return None
            digit = _HAN_DIGITS[char]
        elif char in _HAN_UNITS:
            section += (1 if digit is None else digit) * _HAN_UNITS[char]
            digit = None
        else:
            before = section + (digit or 0)
            # 一億二千萬 adds up; 三萬億 multiplies.
            total = total + before * _HAN_MYRIADS[char] if before else total * _HAN_MYRIADS[char]
            section, digit = 0, None
    return total + section + (digit or 0) or None
