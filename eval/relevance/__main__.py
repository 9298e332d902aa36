"""`python -m eval.relevance --data FOLDER`: fit the relevance, check it, draw it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from eval.errors import SetMissing
from eval.measures.roc_auc import roc_auc
from eval.relevance.logistic import Bin, Floats, calibration_error, fit, probabilities, reliability
from eval.relevance.plot import reliability_svg
from eval.retrieval import collections as sets
from eval.retrieval.collections import Question
from eval.retrieval.measure import indexed
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.errors import IndexProblem
from index.search import search
from index.settings import SearchSettings
from index.store.base import Snapshot
from index.text.language import same_language

_FIRST = 5  # passages a question that the relevance of passages is fitted on
_THRESHOLDS = (0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True, slots=True)
class Case:
    """A passage as found for a question: what is known of it, and whether it is the one wanted."""

    above: float
    same: bool
    lacking: float
    right: bool
    level: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.relevance",
        description="Fit the relevance of results and of passages on XQuAD, with the passage that answers and "
        "without it; print the weights for index/relevance.py, what they tell apart, and how well they are calibrated.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with xquad")
    parser.add_argument("--encoder", default="embedded", help="embedded, a folder, or a sentence-transformers model")
    parser.add_argument("--every", type=int, default=20, help="ask every n-th question only")
    parser.add_argument("--svg", type=Path, help="also draw the reliability there")
    given = parser.parse_args(arguments)
    try:
        encoder = load_encoder(given.encoder)
        results, passages = gather(encoder, given.data, given.every)
    except (SetMissing, IndexProblem) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    console = Console()
    for same in (True, False):
        level = np.mean([case.level for case in results if case.same == same])
        console.print(
            f"usual level where question and passage {'share a' if same else 'differ in'} language: {level:.3f}"
        )
    bins = {}
    for name, cases in (("RESULT", results), ("PASSAGE", passages)):
        bins[name] = _report(console, name, cases)
    if given.svg is not None:
        given.svg.write_text(reliability_svg(bins), "utf-8")
    return 0


def gather(encoder: Encoder, data: Path, every: int) -> tuple[list[Case], list[Case]]:
    """First passages, with the wanted one in the pool and without, labelled by that; and the first few, by themselves.

    The pools are the passages of one language of XQuAD; questions are of each language.
    """
    collections = sets.xquad(data / "xquad")
    results: list[Case] = []
    passages: list[Case] = []
    for held, collection in collections.items():
        with indexed(collection.documents, encoder) as snapshot:
            for other in collections.values():
                for asked in other.questions[::every]:
                    gold = {f"{held}/{name.partition('/')[2]}" for name in asked.gold}
                    cases = list(_cases(snapshot, encoder, asked, gold))
                    others = [case for case in cases if not case.right]
                    passages += cases[:_FIRST]
                    # The pool holds the wanted passage; and as if it did not: the first of the others is then first.
                    results.append(_labelled(cases[0], right=True))
                    results.append(_labelled(others[0], right=False))
    return results, passages


def _cases(snapshot: Snapshot, encoder: Encoder, asked: Question, gold: set[str]) -> Iterator[Case]:
    settings = SearchSettings(copy_share=2.0)
    found = search(snapshot, encoder, asked.text, 2 * _FIRST, settings)
    for item in found.passages:
        same = same_language(found.language, item.passage.language)
        yield Case(item.above, same, item.lacking, item.passage.source in gold, item.level)


def _labelled(case: Case, *, right: bool) -> Case:
    return replace(case, right=right)


def _report(console: Console, name: str, cases: list[Case]) -> list[Bin]:
    features = np.array(
        [[case.above, case.same, case.lacking * case.same, case.lacking * (not case.same), 1.0] for case in cases]
    )
    labels = np.array([float(case.right) for case in cases])
    same = np.array([case.same for case in cases])
    # Questions in the passages' own language are one pair in twelve, and the usual ones: both kinds weigh the same.
    weights = np.where(same, (~same).sum() / max(1, same.sum()), 1.0)
    coefficients = fit(features, labels, weights)
    console.print(f"\n{name} = Weights({', '.join(f'{value:.2f}' for value in coefficients)})")
    said = _held_out(features, labels, weights)
    table = Table(
        "", "n", "ROC-AUC", *(f"over {least}" for least in _THRESHOLDS), title="right / wrong over a threshold"
    )
    for label, chosen in (("same language", same), ("other language", ~same)):
        right, wrong = said[chosen & (labels == 1)], said[chosen & (labels == 0)]
        cells = [f"{(right >= least).mean():.2f} / {(wrong >= least).mean():.2f}" for least in _THRESHOLDS]
        table.add_row(label, str(chosen.sum()), f"{roc_auc(right.tolist(), wrong.tolist()):.3f}", *cells)
    console.print(table)
    bins = reliability(said, labels)
    shown = Table("said", "was", "n", title=f"calibration error {calibration_error(bins):.3f}")
    for one in bins:
        shown.add_row(f"{one.said:.2f}", f"{one.was:.2f}", str(one.n))
    console.print(shown)
    return bins


def _held_out(features: Floats, labels: Floats, weights: Floats) -> Floats:
    """What each half says when fitted on the other."""
    said = np.zeros(len(labels))
    first = np.arange(len(labels)) < len(labels) // 2  # whole languages of passages apart
    for half in (first, ~first):
        said[~half] = probabilities(features[~half], fit(features[half], labels[half], weights[half]))
    return said


if __name__ == "__main__":
    sys.exit(main())
