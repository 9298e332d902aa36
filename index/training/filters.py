"""Which pairs are worth training on, and why the others are not."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import regex

from index.text.hanzi import fold_traditional
from index.text.language import script_of
from index.text.script import count_scripts
from index.training.sources import SOURCES, Kind, Pair

_MAX_CHARS = 500
_MIN_LETTERS = 0.5  # of the characters; less is code, tables, links
_MAX_LENGTH_RATIO = 2.5
_FREE_CHARS = 12  # added to both lengths: short texts vary more
_MIN_OWN_SCRIPT = 0.3  # of the letters
_MAX_REPEATS = 12  # pairs that share one translation: boilerplate, or a gloss that says nothing
_TELLING_CHARS = 60  # shorter texts do not show their language
_SPACE = regex.compile(r"\s+")
_LETTER = regex.compile(r"[\p{L}\p{M}]")

# Letters a language takes for a text that English says in one; medians of the sentence pairs.
_LENGTH = {"zh": 0.35, "ja": 0.5, "ko": 0.52, "th": 0.95, "he": 0.8, "ar": 0.88, "fa": 0.95}

DetectLanguage = Callable[[str], str]


def normal(text: str) -> str:
    """`text` as training sees it: NFC, single spaces, Traditional characters as Simplified ones."""
    return fold_traditional(_SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip())


def fault(pair: Pair, language: str, detect: DetectLanguage) -> str:
    """Why the pair of normal texts is not used; empty where it is."""
    english, other = pair.english, pair.other
    kind = SOURCES[pair.source].kind
    if not english or not other:
        return "empty"
    if max(len(english), len(other)) > _MAX_CHARS:
        return "long"
    if english.casefold() == other.casefold():
        return "same text"
    letters = len(_LETTER.findall(other))
    if letters < _MIN_LETTERS * len(other.replace(" ", "")) or not _LETTER.search(english):
        return "few letters"
    if not _in_script(other, language):
        return "other script"
    if kind in (Kind.SENTENCES, Kind.INTERFACE):
        ratio = (letters / _LENGTH.get(language, 1.05) + _FREE_CHARS) / (len(english) * 0.82 + _FREE_CHARS)
        if abs(math.log(ratio)) > math.log(_MAX_LENGTH_RATIO):
            return "lengths"
    if kind is Kind.SENTENCES and len(other) >= _TELLING_CHARS and script_of(language) == "Latin":
        found = detect(other)
        if found and found.split("-")[0] != language:
            return "other language"
    return ""


def sound_pairs(pairs: Iterable[Pair], language: str, detect: DetectLanguage, dropped: Counter[str]) -> Iterator[Pair]:
    """The pairs to train on, texts made normal, each once; `dropped` counts the others by fault."""
    seen: set[tuple[str, str]] = set()
    repeats: Counter[str] = Counter()
    for raw in pairs:
        pair = Pair(raw.source, normal(raw.english), normal(raw.other))
        why = fault(pair, language, detect)
        if not why and (pair.english, pair.other) in seen:
            why = "double"
        if not why and repeats[pair.other] >= _MAX_REPEATS:
            why = "boilerplate"
        if why:
            dropped[why] += 1
            continue
        seen.add((pair.english, pair.other))
        repeats[pair.other] += 1
        yield pair


def _in_script(text: str, language: str) -> bool:
    counts = count_scripts(text)
    total = sum(counts.values())
    script = script_of(language)
    own = ("Hiragana", "Katakana", "Han") if script == "kana" else (script,)
    return bool(total) and sum(counts.get(name, 0) for name in own) >= _MIN_OWN_SCRIPT * total
