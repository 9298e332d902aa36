"""Verification suites: are right sentences accepted, and wrong ones caught?"""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import regex

from eval.benchmarks.sets import flores
from eval.benchmarks.suites import Suite
from eval.errors import SetMissing
from eval.measures.abstention import roc_auc
from index.encoders.base import Encoder
from index.store.base import StoredPassage
from rag.verify import Support, Verdict, support

_NUMBER = regex.compile(r"(?<![\p{Latin}\d.,-])\d(?:[\d,.]*\d)?(?![\p{Latin}\d])")
_AUXILIARY = regex.compile(
    r"\b(?:is|was|are|were|has|have|had|will|can|could|would|should|may|might|must|did|does|do)\b(?! not|['’]t)",
    regex.IGNORECASE,
)
# Words with a capital after a small letter: names, in languages that write no common noun so.
_NAME = regex.compile(r"(?<=\p{Ll}[,;]? )\p{Lu}\p{Ll}{3,}\b")
_CASED = frozenset({"en", "es", "fr", "ru", "tr", "vi"})


def run_changed_sentences(suite: Suite, encoder: Encoder, _: Path) -> dict[str, float]:
    """The share of right translations that are accepted, and of changed ones that are not, all pairs together."""
    languages = suite.values["languages"]
    sentences = flores(suite.path(), set(languages))
    pairs = [("en", "en"), *((lang, "en") for lang in languages), *(("en", lang) for lang in languages)]
    accepted: dict[str, list[bool]] = defaultdict(list)
    for claim, source in pairs:
        for i, change, text in _claims(sentences[claim], claim, source, suite.every):
            found = support(text, _passage(sentences[source][i], source), encoder)
            accepted[change].append(found.holds)
    right = accepted.pop("right")
    caught = {f"{change} caught": 1 - fmean(own) for change, own in sorted(accepted.items())}
    return {"n": len(right) + sum(map(len, accepted.values())), "right accepted": fmean(right), **caught}


def _claims(texts: Sequence[str], claim: str, source: str, every: int) -> Iterator[tuple[int, str, str]]:
    """(number of the sentence, what was changed, the claim); the same ones in each run."""
    generator = random.Random(f"{claim} {source}")
    names = sorted({name for text in texts for name in _NAME.findall(text)}) if claim in _CASED else []
    for i in range(0, len(texts), every):
        made = {
            "right": texts[i],
            "number": number_changed(texts[i], generator),
            "name": name_swapped(texts[i], names, generator),
            "negation": negated(texts[i]) if claim == "en" else "",
            "other sentence": texts[(i + len(texts) // 2) % len(texts)],
        }
        yield from ((i, change, text) for change, text in made.items() if text)


def number_changed(text: str, generator: random.Random) -> str:
    """`text` with one digit of one of its numbers changed; empty where it has none."""
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return ""
    place = generator.choice([i for i in range(*generator.choice(numbers).span()) if text[i].isdecimal()])
    digit = generator.choice([digit for digit in "123456789" if digit != text[place]])
    return text[:place] + digit + text[place + 1 :]


def name_swapped(text: str, names: Sequence[str], generator: random.Random) -> str:
    """`text` with one of its names replaced by one of `names` that it lacks; empty where it shows none."""
    own, others = _NAME.findall(text), [name for name in names if name not in text]
    return text.replace(generator.choice(own), generator.choice(others)) if own and others else ""


def negated(text: str) -> str:
    """English `text` with `not` added, or removed where it has one; empty where neither can be done."""
    if regex.search(r"\bnot\b", text):
        return str(regex.sub(r"\bnot ?\b", "", text, count=1))
    found = _AUXILIARY.search(text)
    return f"{text[: found.end()]} not{text[found.end() :]}" if found else ""


def run_memerag(suite: Suite, encoder: Encoder, _: Path) -> dict[str, float]:
    """MEMERAG (Blandón et al. 2025): precision and recall of "supported", and the ROC-AUC of the verdict's order."""
    scores: dict[bool, list[Support]] = {True: [], False: []}
    paths = sorted(suite.path().glob("*.jsonl.gz"))
    if not paths:
        raise SetMissing(f"{suite.path()} has no *.jsonl.gz; fix: name the folder of the data with --shared")
    for path in paths:
        language = path.name.split(".")[0]
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                passages = [_passage(item["text"], language) for item in row["context"]]
                for sentence in row["answer"]:
                    if sentence["factuality"] in ("Supported", "Not Supported"):
                        found = [support(sentence["sentence"], passage, encoder) for passage in passages]
                        scores[sentence["factuality"] == "Supported"].append(max(found, key=_score))
    holds = {label: [one.holds for one in own] for label, own in scores.items()}
    n_accepted = sum(holds[True]) + sum(holds[False])
    return {
        "n": sum(map(len, scores.values())),
        "precision": sum(holds[True]) / max(1, n_accepted),
        "recall": fmean(holds[True]),
        "roc_auc": roc_auc(list(map(_score, scores[True])), list(map(_score, scores[False]))),
    }


def _score(found: Support) -> float:
    """The verdict first, then the similarity."""
    return -2.0 * list(Verdict).index(found.verdict) + found.cosine


def _passage(text: str, language: str) -> StoredPassage:
    return StoredPassage(1, "", "", "", "", "", "", language, "", 0, len(text), text, ((0, len(text)),))
