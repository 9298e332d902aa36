"""Published sets as documents and questions, ready to be indexed."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.errors import SetMissing

# SQuAD-shaped sets of one language: name, file below the data folder, language.
OWN_LANGUAGE = (
    ("DRCD", "drcd/DRCD_dev.json", "zh-Hant"),
    ("CMRC 2018", "cmrc2018/cmrc2018_trial.json", "zh-Hans"),
    ("JSQuAD", "jsquad/valid-v1.3.json", "ja"),
)
_HEADING = " [SEP] "  # between an article's title and its text in JSQuAD


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the documents that answer it."""

    text: str
    language: str
    gold: frozenset[str]


@dataclass(slots=True)
class Collection:
    """Documents by id, (language, text) each, and questions about them."""

    documents: dict[str, tuple[str, str]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Judged:
    """A question with the passages that were judged for it, and whether one of them answers."""

    text: str
    language: str
    passages: tuple[str, ...]
    answerable: bool


def squad(path: Path, language: str, prefix: str = "") -> Collection:
    """A file in the shape of SQuAD: one document a context.

    Raises:
        SetMissing: There is no such file.
    """
    if not path.is_file():
        raise SetMissing(f"there is no {path}; expected: a file in the shape of SQuAD; to mend: give its folder")
    found = Collection()
    data = json.loads(path.read_text("utf-8"))
    ids: dict[str, str] = {}
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            context = str(paragraph["context"]).rpartition(_HEADING)[2]
            name = ids.setdefault(context, f"{prefix}{len(ids)}")
            found.documents[name] = (language, context)
            for item in paragraph["qas"]:
                if not item.get("is_impossible"):
                    found.questions.append(Question(item["question"], language, frozenset({name})))
    return found


def xquad(folder: Path) -> dict[str, Collection]:
    """XQuAD by language; document and question i are the same in each. Documents are named `LANGUAGE/i`.

    Raises:
        SetMissing: There is no such file.
    """
    paths = sorted(folder.glob("xquad.*.json"))
    if not paths:
        raise SetMissing(f"{folder} has no xquad.*.json; expected: XQuAD; to mend: give its folder")
    names = {path: path.name.split(".")[1] for path in paths}
    return {name: squad(path, name, f"{name}/") for path, name in names.items()}


def belebele_passages(folder: Path, language: str = "ko", code: str = "kor_Hang") -> Collection:
    """The passages of Belebele in a language, without questions.

    Raises:
        SetMissing: There is no such file.
    """
    path = folder / f"{code}.jsonl"
    if not path.is_file():
        raise SetMissing(f"there is no {path}; expected: Belebele; to mend: give its folder")
    texts = dict.fromkeys(json.loads(line)["flores_passage"] for line in path.read_text("utf-8").splitlines())
    return Collection({f"belebele-{language}/{i}": (language, text) for i, text in enumerate(texts)})


def nomiracl(folder: Path) -> dict[str, list[Judged]]:
    """NoMIRACL (Thakur et al. 2024) by language, in the order of its files.

    Raises:
        SetMissing: There is no such file.
    """
    found: dict[str, list[Judged]] = {}
    for kind in ("relevant", "non_relevant"):
        for path in sorted((folder / kind).glob("*.jsonl.xz")):
            language = path.name.split(".")[0]
            for row in _rows(path):
                passages = tuple(row["passages"])
                found.setdefault(language, []).append(Judged(row["query"], language, passages, kind == "relevant"))
    if not found:
        raise SetMissing(f"{folder} has no relevant/*.jsonl.xz; expected: NoMIRACL; to mend: give its folder")
    # Telling the kinds apart needs both.
    return {name: rows for name, rows in found.items() if len({row.answerable for row in rows}) == 2}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
