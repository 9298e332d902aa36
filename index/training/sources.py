"""Where the training text comes from, what kind it is, and how much it counts."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from index.errors import ReadError


class Kind(StrEnum):
    """What a source's pairs are; sampling gives each kind its share (`batches.KIND_SHARES`)."""

    SENTENCES = "sentences"
    INTERFACE = "interface"
    DICTIONARY = "dictionary"
    NAMES = "names"


@dataclass(frozen=True, slots=True)
class Source:
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
