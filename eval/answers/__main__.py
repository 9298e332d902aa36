"""`python -m eval.answers --data FOLDER`: what answers cite, in tables; and the weights of sentences."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eval.answers.gather import Cited, Weighed, cited, weighed
from eval.errors import SetMissing
from eval.relevance.logistic import Floats, fit
from index.encoders import load_encoder
from index.errors import IndexProblem
from rag.answerers.sentences import WEIGHTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or fit, by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.answers",
        description="Ask XQuAD's questions in their passages' own language and in the others: does a citation hold the "
        "answer? With --fit, fit the weights of sentences, and say how they do where they were not fitted.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with xquad")
    parser.add_argument("--encoder", default="embedded", help="embedded, a folder, or a sentence-transformers model")
    parser.add_argument(
        "--every", type=int, default=6, help="ask every n-th question only; every 12 n-th across languages"
    )
    parser.add_argument("--fit", action="store_true", help="fit the weights instead of measuring")
    parser.add_argument("--json", type=Path, dest="json_path", help="also write every figure there")
    given = parser.parse_args(arguments)
    folder = given.data / "xquad"
    across = 12 * given.every  # eleven times as many pairs
    figures: Any
    try:
        encoder = load_encoder(given.encoder)
        if given.fit:
            cases = [*weighed(encoder, folder, given.every, own=True), *weighed(encoder, folder, across, own=False)]
            figures = _fit(Console(), cases)
        else:
            own, other = (
                list(cited(encoder, folder, given.every, own=True)),
                list(cited(encoder, folder, across, own=False)),
            )
            figures = _measure(Console(), own, other)
    except (SetMissing, IndexProblem) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    if given.json_path is not None:
        given.json_path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


def _measure(console: Console, own: Sequence[Cited], other: Sequence[Cited]) -> dict[str, Any]:
    """Tables of the share of answers of which the first, and any, citation holds the answer."""
    figures: dict[str, Any] = {}
    table = Table("passages in", "n", "first / any", "citations", "asked in others: n", "first / any", title="Answers")
    for held in [*sorted({case.held for case in own}), ""]:
        mine = [case for case in own if held in ("", case.held)]
        theirs = [case for case in other if held in ("", case.held)]
        figures[held or "all"] = {"own": _shares(mine), "other": _shares(theirs)}
        cells = [
            str(len(mine)), _shown(mine), f"{fmean(case.n for case in mine):.2f}", str(len(theirs)),
            _shown(theirs) if theirs else "",
        ]  # fmt: skip
        table.add_row(held or "all", *cells)
    console.print(table)
    return figures


def _shares(cases: Sequence[Cited]) -> dict[str, float]:
    if not cases:
        return {"n": 0}
    first, some = (fmean(getattr(case, name) for case in cases) for name in ("first", "any"))
    return {"n": len(cases), "first": first, "any": some, "citations": fmean(case.n for case in cases)}


def _shown(cases: Sequence[Cited]) -> str:
    return f"{fmean(case.first for case in cases):.3f} / {fmean(case.any for case in cases):.3f}"


def _fit(console: Console, cases: Sequence[Weighed]) -> dict[str, float]:
    """Weights fitted on all; and, each half judged by weights of the other, how often the best sentence is right."""
    features, labels = _arrays(cases)
    first_half = max(case.question for case in cases) // 2
    half = np.array([case.question <= first_half for case in cases for _ in case.right])
    shares = {}
    for own in (True, False):
        hits = []
        for first in (True, False):
            fitted_on = half == first
            weights = _weights(features[fitted_on], labels[fitted_on])
            judged = [case for case in cases if (case.question <= first_half) != first and case.sentences]
            hits += [_best_is_right(case, weights) for case in judged if (case.asked == case.held) == own]
        shares["own language" if own else "across languages"] = fmean(hits) if hits else 0.0
    for name, share in shares.items():
        console.print(f"{name}: the best sentence holds the answer in {share:.3f}")
    weights = _weights(features, labels)
    console.print("WEIGHTS = {")
    for name, weight in zip(WEIGHTS, weights, strict=True):
        console.print(f'    "{name}": {weight:.2f},')
    console.print("}")
    return dict(zip(WEIGHTS, map(float, weights), strict=True))


def _arrays(cases: Sequence[Weighed]) -> tuple[Floats, Floats]:
    features = [[one.features[name] for name in WEIGHTS] for case in cases for one in case.sentences]
    return np.array(features), np.array([float(right) for case in cases for right in case.right])


def _weights(features: Floats, labels: Floats) -> Floats:
    """Logistic weights of the features, without the bias; fitted on standardised ones, so that the ridge is fair."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    standard = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    result: Floats = fit(standard, labels, np.ones(len(labels)))[:-1] / spread
    return result


def _best_is_right(case: Weighed, weights: Floats) -> bool:
    scores = [sum(w * one.features[name] for name, w in zip(WEIGHTS, weights, strict=True)) for one in case.sentences]
    return case.right[int(np.argmax(scores))]


if __name__ == "__main__":
    sys.exit(main())
