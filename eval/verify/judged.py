"""Answers whose sentences people have judged against the passages that they rest on (MEMERAG)."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from eval.errors import SetMissing


@dataclass(frozen=True, slots=True)
class JudgedSentence:
    """A sentence of an answer, the passages it rests on, and whether people held it to be borne out."""

    language: str
    text: str
    passages: tuple[str, ...]
    supported: bool


def judged_sentences(folder: Path) -> list[JudgedSentence]:
    """MEMERAG (Blandón et al. 2025): sentences that were judged supported or not, others left out.

    Raises:
        SetMissing: There is no such file.
    """
    paths = sorted(folder.glob("*.jsonl.gz"))
    if not paths:
        raise SetMissing(f"{folder} has no *.jsonl.gz; expected: MEMERAG; to mend: give its folder")
    found = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                passages = tuple(item["text"] for item in row["context"])
                for sentence in row["answer"]:
                    label = sentence["factuality"]
                    if label in ("Supported", "Not Supported"):
                        language = path.name.split(".")[0]
                        found.append(JudgedSentence(language, sentence["sentence"], passages, label == "Supported"))
    return found
