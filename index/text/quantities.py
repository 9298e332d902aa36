"""Numbers, multiples and dates in the notations of many languages, as one value each.

１２, 12, 十二 and 12.0 are 12; 130億, 130억, 13 billion and 13 Milliarden are 13000000000; 12 March 2024,
2024年3月12日 and ngày 12 tháng 3 năm 2024 are 2024-03-12.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from itertools import pairwise, zip_longest
from typing import Any

import regex

from index.text.script import ascii_digits, compatible

_SUPERSCRIPT = regex.compile(r"[⁰¹²³⁴-⁹]+")  # an exponent or a note; NFKC would make 10² a 102
# Possessive and bounded, so that a text of nothing but digits costs no more than another.
_NUMBER = r"(?:\d{1,3}(?:[ \u00a0\u202f]\d{3}){1,8}+(?!\d)(?:[.,\u066b]\d++)?|\d++(?:[.,\u066b\u066c'’]\d++)*+)"
_MAX_CHARS = 30  # of a number; what is longer is data
_MAX_VALUE = Decimal(10) ** 24
_HAN_DIGITS = {
    char: i
    for i, pair in enumerate("〇零 一壹 二贰貳两兩 三叁參 四肆 五伍 六陆陸 七柒 八捌 九玖".split())
    for char in pair
}
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1_000, "仟": 1_000, "천": 1_000, "백": 100, "십": 10}
_MYRIADS = {
    "万": 10**4, "萬": 10**4, "만": 10**4, "亿": 10**8, "億": 10**8, "억": 10**8, "兆": 10**12, "조": 10**12
}  # fmt: skip
_DIGITS, _UNITS = "".join(_HAN_DIGITS), "".join([*_SMALL, *_MYRIADS])
_HAS_UNIT = re.compile(f"[{_UNITS}]")
_HAN_NUMBER = re.compile(f"[{_DIGITS}{''.join(char for char in _UNITS if char < '가')}]{{2,}}")
_VAGUE = frozenset("数數几幾何")
_EAST_ASIAN = regex.compile(rf"(?<![\d.,]){_NUMBER}\s?[{_UNITS}]+(?:\s?{_NUMBER}\s?[{_UNITS}]+|\s?\d+(?![\d.,]))*")
_EAST_ASIAN_PART = regex.compile(rf"(?P<number>{_NUMBER})|(?P<unit>[{_UNITS}])")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as a text has it at [start, end), and its value in plain digits; a percentage says so."""

    start: int
    end: int
    value: str
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Date:
    """A date as a text has it at [start, end), in ISO 8601: `YYYY-MM-DD`, `YYYY-MM`, `--MM-DD`, or `--MM`."""

    start: int
    end: int
    value: str


def plain(text: str) -> str:
    """`text` in NFKC with the digits of every script as ASCII ones; superscripts are no digits."""
    if text.isascii():
        return text
    return ascii_digits(compatible(_SUPERSCRIPT.sub(" ", text)))


def quantities(text: str, language: str = "") -> list[Quantity]:
    """The numbers of `text` (as `plain` gives it), in order, each with what multiplies it.

    `language` decides what languages disagree about: a billion is 10^9 unless it says otherwise.
    """
    found: dict[int, Quantity] = {}
    taken = bytearray(len(text))

    def add(start: int, end: int, value: str) -> None:
        if not _take(taken, start, end):
            return
        percent = end < len(text) and text[end] in _BEFORE_PERCENT and _PERCENT.match(text, end) is not None
        found[start] = Quantity(start, end, value, percent)

    for match in _EAST_ASIAN.finditer(text) if _HAS_UNIT.search(text) else ():
        value = _east_asian(match.group()) if len(match.group()) <= _MAX_CHARS else None
        if value is not None:
            add(match.start(), match.end(), _written(value))
    for numeral in () if text.isascii() else _HAN_NUMBER.finditer(text):
        # 數百萬 and 幾十 are no number, but "some millions" and "a few tens".
        number = None if text[numeral.start() - 1 : numeral.start()] in _VAGUE else han_number(numeral.group())
        if number is not None:
            add(numeral.start(), numeral.end(), str(number))
    for match in _at_digits(_scaled(language), text):
        if len(match.group("number")) > _MAX_CHARS:
            continue
        number_value = ungrouped(match.group("number"))
        scale = match.group("scale") or match.group("letter")
        if scale and number_value.count(".") <= 1:
            value = Decimal(number_value) * _scale(scale.casefold(), language)
            add(match.start("number"), match.end(), _written(value))
        else:
            add(match.start("number"), match.end("number"), _without_zeros(number_value))
    return [found[start] for start in sorted(found)]


def _take(taken: bytearray, start: int, end: int) -> bool:
    """Mark [start, end) as taken; False where some of it is."""
    if taken.find(1, start, end) >= 0:
        return False
    taken[start:end] = b"\x01" * (end - start)
    return True


def _at_digits(pattern: regex.Pattern[str], text: str) -> Iterator[regex.Match[str]]:
    """The matches of a pattern that begins with a digit, and behind none: only digits are looked at."""
    end = 0
    for digits in _SHOWN.finditer(text):
        match = pattern.match(text, digits.start()) if digits.start() >= end else None
        if match:
            end = match.end()
            yield match


_SHOWN = regex.compile(r"\d+")


def _written(value: Decimal) -> str:
    return _without_zeros(f"{value:f}")


def _without_zeros(number: str) -> str:
    """`number` without zeros at the end of its decimals: 12.00 is 12; a date or a version stays as it is."""
    return number.rstrip("0").rstrip(".") if number.count(".") == 1 else number


_PERCENT = regex.compile(
    r"\s?(?:%|٪|percent|per cent|prozent|pour ?cent|por ciento|por cento|per cento|procent|процент|퍼센트|パーセント|"
    r"प्रतिशत|phần trăm|persen)",
    regex.IGNORECASE,
)
_BEFORE_PERCENT = " \u00a0\u202f%٪퍼パ"


_NO_DIGIT = regex.compile(r"\D")


def ungrouped(number: str) -> str:
    """`5,100` and `5.100` as 5100, `3,5` and `3.5` as 3.5: three digits behind a mark are a group."""
    marks, parts = _NO_DIGIT.findall(number), _NO_DIGIT.split(number)
    if not marks:
        return number.lstrip("0") or "0"
    of_two_kinds = len(marks) > 1 and marks[-1] not in marks[:-1]  # 1.234,5
    alone = len(marks) == 1 and (marks == ["\u066b"] or not _grouped(parts))
    decimals = f".{parts.pop()}" if of_two_kinds or alone else ""
    if len(parts) > 1 and not _grouped(parts):
        return ".".join(part.lstrip("0") or "0" for part in parts) + decimals  # a date, a version
    return ("".join(parts).lstrip("0") or "0") + decimals


def _grouped(parts: Sequence[str]) -> bool:
    """Whether digits between marks are groups of a number: by thousands, or as in 12,34,567."""
    if not (1 <= len(parts[0]) <= 3) or parts[0].startswith("0") or len(parts[-1]) != 3:
        return False
    middle = {len(part) for part in parts[1:-1]}
    return middle <= {3} or (middle == {2} and len(parts[0]) <= 2)


def han_number(numeral: str) -> int | None:
    """What a number in Han characters says: 二〇二四, 十二, 三百零五, 一億二千萬; None where it says none.

    None too for 三四 (three or four) and the like, which are no number.
    """
    if len(numeral) > _MAX_CHARS:
        return None
    if all(char in _HAN_DIGITS for char in numeral):
        # Digit by digit: years and the like. Two or three in a row are mostly something else.
        return int("".join(str(_HAN_DIGITS[char]) for char in numeral)) if len(numeral) >= 4 else None
    items: list[Decimal | str] = []
    for char in numeral:
        if char in _HAN_DIGITS:
            if items and isinstance(items[-1], Decimal) and items[-1]:
                return None
            if items and isinstance(items[-1], Decimal):
                items.pop()
            items.append(Decimal(_HAN_DIGITS[char]))
        else:
            items.append(char)
    value = _summed(items)
    return int(value) or None if value is not None else None


def _east_asian(text: str) -> Decimal | None:
    """The value of digits and units: 1億2000万, 5,100만, 3만 5천, 1.5億; None where a number has two points."""
    items: list[Decimal | str] = []
    for match in _EAST_ASIAN_PART.finditer(text):
        if match.group("unit"):
            items.append(match.group("unit"))
        else:
            number = ungrouped(match.group("number"))
            if number.count(".") > 1:
                return None
            items.append(Decimal(number))
    return _summed(items)


def _summed(items: Sequence[Decimal | str]) -> Decimal | None:
    """Numbers and units in order, added up by myriads: 一億二千萬 adds up; 三萬億 multiplies. None beyond 10^24."""
    total = section = Decimal(0)
    number: Decimal | None = None
    for item in items:
        if isinstance(item, Decimal):
            number = item
        elif item in _SMALL:
            section += (1 if number is None else number) * _SMALL[item]
            number = None
        else:
            before = section + (number or 0)
            total = total + before * _MYRIADS[item] if before else total * _MYRIADS[item]
            section, number = Decimal(0), None
            if total > _MAX_VALUE:
                return None
    return total + section + (number or 0)


@functools.cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("index.text") / "quantities.toml").read_text("utf-8"))


@functools.cache
def _scales() -> dict[str, Decimal]:
    table = _table()["scales"]
    return {word.casefold(): Decimal(power) for power, words in table.items() for word in words.split("|")}


_LETTERS = {"k": Decimal(10**3), "m": Decimal(10**6), "b": Decimal(10**9), "bn": Decimal(10**9), "tn": Decimal(10**12)}


def _scale(word: str, language: str) -> Decimal:
    own = _table()["scales_of"].get(language.split("-")[0], {})
    if word in own:
        return Decimal(own[word])
    return _scales().get(" ".join(word.split())) or _LETTERS[word]


@functools.cache
def _scaled(language: str) -> regex.Pattern[str]:
    """A number and, if there is one, the word or (behind a sum of money) the letter that multiplies it."""
    words = sorted({*_scales(), *_table()["scales_of"].get(language.split("-")[0], {})}, key=lambda word: -len(word))
    joined = "|".join(regex.escape(word, special_only=True).replace(r"\ ", " ") for word in words)
    money = r"(?<=[$€£¥₩]\s?)"
    return regex.compile(
        rf"(?<![\p{{Latin}}\p{{Cyrillic}}\p{{Greek}}\d.,])(?:{money}(?P<number>{_NUMBER})\s?(?P<letter>k|m|bn?|tn)\b"
        rf"|(?P<number>{_NUMBER})(?:[\s\u00a0-]?(?P<scale>{joined})(?!(?!\p{{Thai}})[\p{{L}}\p{{M}}]))?)",
        regex.IGNORECASE,
    )


@functools.cache
def _months() -> dict[str, int]:
    table = _table()["months"]
    return {name.lower(): int(number) for number, names in table.items() for name in names.split("|")}


# Each with signs of which it holds one at least.
_FIGURES = tuple(
    (signs, regex.compile(pattern))
    for signs, pattern in (
        ("年년", r"(?<!\d)(?P<year>\d{4})\s?[年년]\s?(?P<month>\d{1,2})\s?[月월](?:\s?(?P<day>\d{1,2})\s?[日일号號])?"),
        ("月월", r"(?<!\d)(?P<month>\d{1,2})\s?[月월](?:\s?(?P<day>\d{1,2})\s?[日일号號])?"),
        ("-/.", r"(?<![\d-])(?P<year>\d{4})[-/.](?P<month>\d{2})[-/.](?P<day>\d{2})(?![\d-])"),
        (
            ("háng",),
            r"(?:[Nn]gày\s)?(?:(?P<day>\d{1,2})\s)?[Tt]háng\s(?P<month>\d{1,2})"
            r"(?:[, ]+(?:năm\s)?(?P<year>\d{4}))?(?!\d)",
        ),
    )
)
_WORD = regex.compile(r"[\p{L}\p{M}]+(?:\.[\p{L}\p{M}]+)*")
_ERA = r"(?:พ\.ศ\.\s?|ค\.ศ\.\s?)?"
_DAY_BEFORE = regex.compile(
    r"(?<!\d)(?P<day>[0-3]?\d)(?:\.|st|nd|rd|th|er|º|ª|-го)?\s(?:(?:of|de|di)\s)?$", regex.IGNORECASE
)
_YEAR_BEFORE = regex.compile(r"(?<!\d)(?P<year>\d{4})\.?\s$")
_DAY_BEHIND = regex.compile(r"\.?\s(?P<day>[0-3]?\d)(?:st|nd|rd|th)?(?!\d)(?:,?\s(?P<year>\d{4})(?!\d))?")
_YEAR_BEHIND = regex.compile(rf"\.?,?\s(?:(?:de|del|of)\s)?{_ERA}(?P<year>\d{{4}})(?!\d)", regex.IGNORECASE)
_OF_TWO_WORDS = frozenset({"كانون", "تشرين"})  # كانون الثاني
_AROUND = 24  # characters that the rest of a date takes


def dates(text: str) -> list[Date]:
    """The dates of `text` (as `plain` gives it), in order."""
    if not _HAS_FIGURE.search(text):
        return []
    found: list[Date] = []
    taken = bytearray(len(text))
    numerals = _han_dates_in_digits(text) if _HAS_MARK.search(text) else text
    patterns = [pattern for signs, pattern in _FIGURES if any(sign in numerals for sign in signs)]
    parts = [(*match.span(), match.groupdict()) for pattern in patterns for match in pattern.finditer(numerals)]
    for start, end, known in (*parts, *_named_dates(numerals)):
        value = _date(known)
        if value and _take(taken, start, end):
            found.append(Date(start, end, value))
    return sorted(found, key=lambda date: date.start)


_HAS_FIGURE = regex.compile(r"\d|[年月]")
_HAS_MARK = re.compile("[年月日号號]")


def _named_dates(text: str) -> Iterator[tuple[int, int, dict[str, str | None]]]:
    """Dates around the name of a month: 12 March 2024, March 12, 2024. március 12., 12 de marzo de 2024."""
    months, lowered = _months(), text.lower()
    if len(lowered) != len(text):  # a capital of two signs: offsets would not be the text's
        lowered = text
    for word in _words_near_digits(lowered):
        name, end = word.group(), word.end()
        if name in _OF_TWO_WORDS and (follows := _WORD.match(lowered, end + 1)):
            name, end = f"{name} {follows.group()}", follows.end()
        if name not in months:
            continue
        before, behind = text[max(0, word.start() - _AROUND) : word.start()], text[end : end + _AROUND]
        day, year = _DAY_BEFORE.search(before), _YEAR_BEFORE.search(before)
        later_day, later_year = _DAY_BEHIND.match(behind), _YEAR_BEHIND.match(behind)
        first = day or year
        last = later_year if day else later_day if year else (later_day or later_year)
        known = {"name": name, **(last.groupdict() if last else {}), **(first.groupdict() if first else {})}
        if first or last:
            start = word.start() - (len(before) - first.start() if first else 0)
            yield start, end + (last.end() if last else 0), known


def _words_near_digits(text: str) -> Iterator[regex.Match[str]]:
    """The words of `text` that may be part of a date; others too, but not many."""
    done = 0
    for digits in _SHOWN.finditer(text):
        # To the next white space, so that no word is cut.
        start = max(done, text.rfind(" ", done, max(0, digits.start() - 2 * _AROUND)))
        space = _SPACE.search(text, digits.end() + _AROUND // 2)
        done = space.start() if space else len(text)
        if start < done:
            yield from _WORD.finditer(text, start, done)


_SPACE = re.compile(" ")


def _date(parts: dict[str, str | None]) -> str:
    """ISO 8601, with what is there; empty where that is no date."""
    month = int(parts.get("month") or 0) or _months().get(parts.get("name") or "", 0)
    day = int(parts.get("day") or 0)
    year = int(parts.get("year") or 0)
    if year > _FIRST_BUDDHIST:
        year -= 543
    if not 1 <= month <= 12 or day > _DAYS[month - 1]:
        return ""
    return (f"{year:04d}" if year else "-") + f"-{month:02d}" + (f"-{day:02d}" if day else "")


_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIRST_BUDDHIST = 2400  # years above are of the Thai calendar
_HAN_DATE = regex.compile(f"[{_DIGITS}十]{{1,4}}(?=[年月日号號])")


def _han_dates_in_digits(text: str) -> str:
    """`text`, of the same length where it matters: 二〇二四年三月十二日 with digits, padded by spaces in front."""

    def digits(match: regex.Match[str]) -> str:
        numeral = match.group()
        value = _HAN_DIGITS[numeral] if len(numeral) == 1 and numeral in _HAN_DIGITS else han_number(numeral)
        if numeral == "十":
            value = 10
        return numeral if value is None or len(str(value)) > len(numeral) else str(value).rjust(len(numeral))

    return _HAN_DATE.sub(digits, text)


def number_values(text: str) -> list[str]:
    """The values of numbers and dates of `text` that its digits do not show: of 1,200, 十二, 13 billion, 3 May 2024."""
    normal = plain(text)
    if not _HAS_NUMBER.search(normal):
        return []
    shown = set(_SHOWN.findall(normal))
    numbers = [quantity.value for quantity in quantities(normal) if quantity.value not in shown]
    return numbers + [date.value for date in dates(normal)]


_HAS_NUMBER = regex.compile(f"\\d|[{_DIGITS}{_UNITS}年月]")


_IN_WORDS = (*range(21), *range(30, 100, 10), 100, 1_000)  # in the order of the table
_HAN_ALONE = regex.compile(f"[{_DIGITS}十百千]")


def spelled(text: str, language: str) -> set[str]:
    """Values of the small numbers that `text` has in words: three, drei, 三, 세.

    With what multiplies them (four million), and months by their names alone, `--MM`. Words that are also articles
    count as 1, so this says what a text may mean, not what it states.
    """
    primary = language.split("-")[0]
    found = {str(_HAN_DIGITS.get(char) or _SMALL.get(char, 0)) for char in _HAN_ALONE.findall(text)}
    words = _words(primary)
    if primary in ("th", "ko", "ja", "zh"):
        return found | {value for word, value in words.items() if word in text}
    spoken = _WORD.findall(text.lower())
    lowered = f" {' '.join(spoken)} "
    found |= {value for word, value in words.items() if f" {word} " in lowered}
    found |= {str(_roman(numeral)) for numeral in _ROMAN.findall(text)}
    found |= {f"--{month:02d}" for word in spoken if (month := _months().get(word, 0))}
    for number, word in pairwise(spoken):
        if number in words and word in _scales():
            found.add(_written(Decimal(words[number]) * _scale(word, language)))
    return found


_ROMAN = regex.compile(r"(?<!\p{L})[IVXL]+(?!\p{L})")


def _roman(numeral: str) -> int:
    """XIX is 19: a smaller sign before a greater one is taken off."""
    values = [{"I": 1, "V": 5, "X": 10, "L": 50}[sign] for sign in numeral]
    return sum(-value if value < later else value for value, later in zip_longest(values, values[1:], fillvalue=0))


@functools.cache
def _words(language: str) -> dict[str, str]:
    table = _table()
    names = table["words"].get(language, "").split("|")
    found = {word.lower().replace("-", " "): str(value) for word, value in zip(names, _IN_WORDS, strict=False) if word}
    others = (tuple(entry.rsplit(" ", 1)) for entry in table["other_words"].get(language, "").split("|") if entry)
    return found | dict(others)
