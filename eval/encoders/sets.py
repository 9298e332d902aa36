"""The evaluation sets an encoder is measured on, read from their published files."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from eval.errors import SetMissing
from index.text.sentences import split_sentences


@dataclass(frozen=True, slots=True)
class PassageSet:
    """Questions of several languages about the same passages in several languages.

    `passages[language][i]` are the sentences of passage i, `questions[language][j]` asks for
    passage `gold[language][j]`.
    """

    name: str
    passages: dict[str, list[list[str]]]
    questions: dict[str, list[str]]
    gold: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Bitext:
    """The same sentences in several languages."""

    name: str
    sentences: dict[str, list[str]]


def xquad(folder: Path) -> PassageSet:
    """XQuAD (Artetxe et al. 2020): `xquad.LANG.json` in the shape of SQuAD, parallel over languages.

    Raises:
        SetMissing: There is no such file.
    """
    passages: dict[str, list[list[str]]] = {}
    questions: dict[str, list[str]] = {}
    gold: dict[str, list[int]] = {}
    for path in _files(folder, "xquad.*.json"):
        language = path.name.split(".")[1]
        paragraphs = [p for article in json.loads(path.read_text("utf-8"))["data"] for p in article["paragraphs"]]
        passages[language] = [sentences_of(paragraph["context"], language) for paragraph in paragraphs]
        asked = [(item["question"], i) for i, paragraph in enumerate(paragraphs) for item in paragraph["qas"]]
        questions[language] = [question for question, _ in asked]
        gold[language] = [i for _, i in asked]
    return PassageSet("XQuAD", passages, questions, gold)


def belebele(folder: Path, codes: dict[str, str]) -> PassageSet:
    """Belebele (Bandarkar et al. 2024): `CODE.jsonl` by FLORES code; questions of each language about Korean passages.

    Questions in a language of `codes` whose file is not there are left out.

    Raises:
        SetMissing: There is no Korean file.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for language, code in codes.items():
        path = folder / f"{code}.jsonl"
        if path.is_file():
            rows[language] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if "ko" not in rows:
        raise SetMissing(f"{folder} has no {codes['ko']}.jsonl; expected: Belebele in Korean; to mend: give its folder")
    texts = list(dict.fromkeys(row["flores_passage"] for row in rows["ko"]))
    place = {(row["link"], row["question_number"]): texts.index(row["flores_passage"]) for row in rows["ko"]}
    return PassageSet(
        "Belebele",
        {"ko": [sentences_of(text, "ko") for text in texts]},
        {language: [row["question"] for row in own] for language, own in rows.items()},
        {language: [place[row["link"], row["question_number"]] for row in own] for language, own in rows.items()},
    )


def flores(folder: Path) -> Bitext:
    """FLORES-101 devtest (Goyal et al. 2022): `LANG.tsv.gz` with English and LANG in two columns.

    Some files lack a line or two: kept are the sentences that every language has, in the order of the English ones.

    Raises:
        SetMissing: There is no such file.
    """
    by_english: dict[str, dict[str, str]] = {}
    for path in _files(folder, "*.tsv.gz"):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = [line.rstrip("\r\n").split("\t") for line in file]
            by_english[path.name.removesuffix(".tsv.gz")] = dict(rows)
    first, *others = by_english.values()
    common = [english for english in first if all(english in other for other in others)]
    translations = {language: [own[english] for english in common] for language, own in by_english.items()}
    return Bitext("FLORES-101 devtest", {"en": common, **translations})


def sentences_of(text: str, language: str) -> list[str]:
    """The sentences of `text`; the text itself where there is none to find."""
    return [text[start:end] for start, end in split_sentences(text, language)] or [text]


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise SetMissing(f"{folder} has no {pattern}; to mend: give the folder that holds the set")
    return found
