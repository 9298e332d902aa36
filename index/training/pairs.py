"""Translation pairs: where they come from, how much a source counts, and which pairs are worth training on."""

from __future__ import annotations

import lzma
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import regex

from index.errors import ReadError
from index.text.hanzi import fold_traditional
from index.text.language import script_of
from index.text.script import count_scripts


class Kind(StrEnum):
    """What a source's pairs are; sampling gives each kind its share (`batches.KIND_SHARES`)."""

    SENTENCES = "sentences"
    INTERFACE = "interface"
    DICTIONARY = "dictionary"
    NAMES = "names"


class Source(NamedTuple):
    """A source's kind, and the weight of one of its pairs against others of that kind."""

    kind: Kind
    weight: float


_S, _I, _D, _N = Kind.SENTENCES, Kind.INTERFACE, Kind.DICTIONARY, Kind.NAMES

# Every source whose licence fits shipped weights. General text counts more than technical text, which
# abounds, and human translation more than machine translation.
SOURCES = {
    "ud-pud": Source(_S, 3), "tico19": Source(_S, 3), "korean-news": Source(_S, 3), "mlqe-pe": Source(_S, 3),
    "indian-wiki": Source(_S, 2), "debian-news": Source(_S, 2), "opendatahandbook": Source(_S, 2),
    "opensource-guide": Source(_S, 1.5), "tatoeba": Source(_S, 1.5), "bitcoin-org": Source(_S, 1.5),
    "tatoeba-anki": Source(_S, 1), "tanaka-small-enja": Source(_S, 0.8), "privacyguides": Source(_S, 1),
    "contributor-covenant": Source(_S, 1), "cncf-glossary": Source(_S, 0.8), "carpentries": Source(_S, 0.8),
    "ms-for-beginners": Source(_S, 0.6), "ai-courses": Source(_S, 0.5), "huggingface-course": Source(_S, 0.5),
    "tldr-pages": Source(_S, 0.5), "electron-docs": Source(_S, 0.4), "rust-book": Source(_S, 0.4),
    "comprehensive-rust": Source(_S, 0.4), "react-docs": Source(_S, 0.35), "vue-docs": Source(_S, 0.35),
    "fastapi-docs": Source(_S, 0.35), "opentelemetry-docs": Source(_S, 0.35), "python-docs": Source(_S, 0.35),
    "tensorflow-docs": Source(_S, 0.35), "tw-law": Source(_S, 0.35),
    "mozilla-l10n": Source(_I, 1), "app-strings": Source(_I, 1.5), "android-apps": Source(_I, 0.7),
    "jupyterlab": Source(_I, 0.5), "godot-editor": Source(_I, 0.4),
    "wiktionary-en": Source(_D, 1), "wiktionary-en-2015": Source(_D, 1), "jmdict": Source(_D, 1),
    "eurovoc": Source(_D, 1), "tico19-terms": Source(_D, 2), "cc-cedict": Source(_D, 0.8),
    "osm-id-presets": Source(_D, 0.7), "cldr": Source(_D, 0.7), "omw": Source(_D, 0.5),
    "wikidata-titles": Source(_N, 1), "wikidata-person-names": Source(_N, 0.5),
}  # fmt: skip


class Pair(NamedTuple):
    """An English text and its translation."""

    source: str
    english: str
    other: str


def languages_in(folder: Path) -> list[str]:
    """The languages that `folder` has a file of, sorted.

    Raises:
        ReadError: It has none.
    """
    found = sorted(path.name.removesuffix(".tsv.xz") for path in folder.glob("*.tsv.xz"))
    if not found:
        raise ReadError(
            f"no translation pairs in {folder}",
            "files LANG.tsv.xz with the columns source, English, other",
            "give the folder that holds them with --data",
        )
    return found


def read_pairs(folder: Path, language: str) -> Iterator[Pair]:
    """The pairs of `language` from sources in `SOURCES`; others are left out."""
    with lzma.open(folder / f"{language}.tsv.xz", "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            if len(cells) == 3 and cells[0] in SOURCES:
                yield Pair(*cells)


_MAX_CHARS = 500
_MIN_LETTERS = 0.5  # of the characters; less is code, tables, links
_MAX_LENGTH_RATIO = 2.5
_FREE_CHARS = 12  # added to both lengths: short texts vary more
_MIN_OWN_SCRIPT = 0.3  # of the letters
_MAX_REPEATS = 12  # pairs that share one translation: boilerplate, or an empty gloss
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
