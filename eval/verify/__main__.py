"""`python -m eval.verify --data FOLDER`: what the verifier lets pass and what it catches, in tables."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.encoders.sets import Bitext, flores
from eval.errors import SetMissing
from eval.measures.roc_auc import roc_auc
from eval.verify.changes import name_swapped, negated, number_changed
from eval.verify.judged import JudgedSentence, judged_sentences
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.errors import IndexProblem
from index.names.question import is_acronym, shown_names
from index.store.base import StoredPassage
from rag.errors import AnswerProblem
from rag.verify import Support, Verdict, figures, support
from rag.verify.judges import Judge, judged, load_judge

_LANGUAGES = ("ar", "de", "el", "es", "fr", "hi", "ja", "ko", "ru", "th", "tr", "vi", "zh-Hans", "zh-Hant")
_BOTH = ("one language", "two languages")
_KINDS = ("number", "name", "negation", "other")


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim held against the sentence that it was made from; `kind` is empty where it is right."""

    claim: str  # languages
    source: str
    kind: str
    has_figures: bool
    has_names: bool
    found: Support


@dataclass(frozen=True, slots=True)
class Check:
    """How a sentence is held against a passage."""

    encoder: Encoder
    judge: Judge | None = None

    def __call__(self, sentence: str, passage: StoredPassage) -> Support:
        found = support(sentence, passage, self.encoder)
        return found if self.judge is None else judged(found, sentence, passage, self.judge)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.verify",
        description="Hold sentences against their translations, as they are and made wrong in one way each; and the "
        "sentences of answers that people have judged against the passages that they rest on.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with flores101-devtest and verify")
    parser.add_argument("--encoder", default="embedded", help="embedded, a folder, or a sentence-transformers model")
    parser.add_argument("--judge", help="also ask a cross-encoder for entailment, or a chat model as PROVIDER:NAME")
    parser.add_argument("--every", type=int, default=6, help="hold every n-th sentence only")
    parser.add_argument("--languages", nargs="+", default=list(_LANGUAGES), help="against English, both ways")
    parser.add_argument("--json", type=Path, dest="json_path", help="also write every figure there")
    given = parser.parse_args(arguments)
    console = Console()
    try:
        encoder = load_encoder(given.encoder)
        bitext = flores(given.data / "flores101-devtest")
        sentences = judged_sentences(given.data / "verify" / "memerag" / "memerag")
        check = Check(encoder, load_judge(given.judge) if given.judge else None)
    except (SetMissing, IndexProblem, AnswerProblem) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    checked = [
        one
        for language in ["en", *given.languages]
        for claim, source in dict.fromkeys([("en", language), (language, "en")])
        for one in _checked(check, bitext, claim, source, given.every)
    ]
    figures_of = {"changes": _changes(console, checked), "judged": _judged(console, check, sentences)}
    if given.json_path is not None:
        given.json_path.write_text(json.dumps(figures_of, indent=1) + "\n", "utf-8")
    return 0


def _checked(check: Check, bitext: Bitext, claim: str, source: str, every: int) -> Iterator[Checked]:
    """Sentences of `claim`, right and made wrong, held against those of `source`."""
    generator = random.Random(f"{claim} {source}")
    claims, sources = bitext.sentences[claim], bitext.sentences[source]
    names = [name for text in claims for name in shown_names(text, claim) if not is_acronym(name)]
    for i in range(0, len(claims), every):
        right = claims[i]
        made = {
            "": right,
            "number": number_changed(right, generator),
            "name": name_swapped(right, claim, names, generator) if names else "",
            "negation": negated(right) if claim == "en" else "",
            "other": claims[(i + len(claims) // 2) % len(claims)],
        }
        for kind, text in made.items():
            if text:
                found = check(text, _passage(sources[i], source))
                yield Checked(claim, source, kind, bool(figures(text, claim)), bool(shown_names(text, claim)), found)


def _passage(text: str, language: str) -> StoredPassage:
    return StoredPassage(1, "", "", "", "", "", "", language, "", 0, len(text), text, ((0, len(text)),))


def _changes(console: Console, checked: Sequence[Checked]) -> dict[str, Any]:
    """By pair of languages: right sentences that pass, in all and by each check; wrong ones that do not."""
    table = Table(
        "claim -> source", "n", "right: pass", "by figures / names / negation", *(f"{kind}: caught" for kind in _KINDS),
        title="Translated sentences, right and made wrong in one way",
    )  # fmt: skip
    groups: dict[str, list[Checked]] = defaultdict(list)
    for one in checked:
        groups[f"{one.claim} -> {one.source}"].append(one)
        groups["one language" if one.claim == one.source else "two languages"].append(one)
    figures_of = {}
    for name, own in sorted(groups.items()):
        right = [one for one in own if not one.kind]
        row: dict[str, float] = {
            "n": len(right),
            "pass": fmean(one.found.holds for one in right),
            "figures pass": _share([not one.found.figures for one in right if one.has_figures]),
            "names pass": _share([not one.found.names for one in right if one.has_names]),
            "negation pass": _share([not one.found.opposed for one in right]),
        }
        for kind in _KINDS:
            row[f"{kind} caught"] = _share([not one.found.holds for one in own if one.kind == kind])
        row["number caught by figures"] = _share([bool(one.found.figures) for one in own if one.kind == "number"])
        row["name caught by names"] = _share([bool(one.found.names) for one in own if one.kind == "name"])
        row["negation caught by negation"] = _share([one.found.opposed for one in own if one.kind == "negation"])
        figures_of[name] = row
        checks = " / ".join(f"{row[f'{check} pass']:.2f}" for check in ("figures", "names", "negation"))
        caught = [f"{row[f'{kind} caught']:.2f}" for kind in _KINDS]
        table.add_row(name, str(len(right)), f"{row['pass']:.2f}", checks, *caught)
    console.print(table)
    for kind, check in (("number", "figures"), ("name", "names"), ("negation", "negation")):
        shares = [
            figures_of[name][f"{kind} caught by {check}"]
            for name in ("one language", "two languages")
            if name in figures_of
        ]
        console.print(
            f"{kind}, caught by its own check: {' / '.join(f'{share:.3f}' for share in shares)} (one / two languages)"
        )
    return figures_of


def _share(cases: Sequence[bool]) -> float:
    return fmean(cases) if cases else float("nan")


def _judged(console: Console, check: Check, sentences: Sequence[JudgedSentence]) -> dict[str, Any]:
    """By language: precision and recall of "supported", and how well the order of verdicts and nearness tells."""
    table = Table("", "n", "supported", "precision", "recall", "ROC-AUC", title="Sentences that people judged")
    figures_of: dict[str, Any] = {}
    scores: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    for sentence in sentences:
        best = max(
            (check(sentence.text, _passage(text, sentence.language)) for text in sentence.passages),
            key=_score,
        )
        scores[sentence.language].append((sentence.supported, best.holds, _score(best)))
    scores["all"] = [one for own in scores.values() for one in own]
    for language, own in scores.items():
        said = [right for right, holds, _ in own if holds]
        kept = [holds for right, holds, _ in own if right]
        auc = roc_auc([score for right, _, score in own if right], [score for right, _, score in own if not right])
        row = {
            "n": len(own), "supported": fmean(right for right, _, _ in own), "precision": _share(said),
            "recall": _share(kept), "auc": auc,
        }  # fmt: skip
        figures_of[language] = row
        table.add_row(
            language, str(len(own)), *(f"{row[name]:.3f}" for name in ("supported", "precision", "recall", "auc"))
        )
    console.print(table)
    return figures_of


def _score(found: Support) -> float:
    """The verdict first, then how near the sentence is."""
    return -2.0 * list(Verdict).index(found.verdict) + found.cosine


if __name__ == "__main__":
    sys.exit(main())
