"""Logistic regression against scipy's optimiser, calibration by hand, and the command on a small world."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from eval.measures.roc_auc import roc_auc
from eval.relevance.__main__ import main
from eval.relevance.logistic import Bin, calibration_error, fit, probabilities, reliability
from eval.relevance.plot import reliability_svg
from index.relevance import USUAL, Weights, above_usual, probability


def test_the_fit_is_that_of_a_general_optimiser() -> None:
    generator = np.random.default_rng(0)
    features = np.column_stack([generator.standard_normal((400, 2)), np.ones(400)])
    labels = (generator.random(400) < 1 / (1 + np.exp(-features @ [2.0, -1.0, 0.5]))).astype(float)
    weights = generator.uniform(0.5, 2.0, 400)

    def loss(coefficients: np.ndarray) -> float:
        margin = (2 * labels - 1) * (features @ coefficients)
        return float((weights * np.logaddexp(0, -margin)).sum() + 0.5e-4 * coefficients @ coefficients)

    expected = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    found = fit(features, labels, weights)
    assert found == pytest.approx(expected, abs=1e-4)
    assert found == pytest.approx([2.0, -1.0, 0.5], abs=0.5)
    assert probabilities(np.array([[0.0, 0.0, 1.0]]), np.array([1.0, 1.0, 0.0]))[0] == 0.5


def test_reliability_by_hand() -> None:
    said = np.array([0.05, 0.05, 0.31, 0.39, 0.95, 1.0])
    was = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    bins = reliability(said, was)
    assert bins == [Bin(0.05, 0.5, 2), Bin(0.35, 0.5, 2), Bin(pytest.approx(0.975), 1.0, 2)]
    # (2 * 0.45 + 2 * 0.15 + 2 * 0.025) / 6
    assert calibration_error(bins) == pytest.approx(1.25 / 6)
    assert calibration_error([]) == 0.0


def test_the_area_under_the_curve_counts_pairs() -> None:
    # Of the six pairs 0.9 > both, 0.5 > 0.1 and ties with 0.5, 0.2 > 0.1: four and a half.
    assert roc_auc([0.9, 0.5, 0.2], [0.1, 0.5]) == pytest.approx(4.5 / 6)


def test_the_probability_is_the_logistic_function() -> None:
    weights = Weights(3.0, -1.0, -2.0, -0.5, 0.5)
    assert probability(weights, 0.1, True) == pytest.approx(1 / (1 + math.exp(-(0.3 - 1.0 + 0.5))))
    assert probability(weights, 0.1, False) == pytest.approx(1 / (1 + math.exp(-(0.3 + 0.5))))
    assert probability(weights, 0.1, True, 0.25) == pytest.approx(1 / (1 + math.exp(-(0.3 - 1.0 - 0.5 + 0.5))))
    assert probability(weights, 0.1, False, 1.0) == pytest.approx(1 / (1 + math.exp(-(0.3 - 0.5 + 0.5))))
    assert 0 <= probability(weights, -1e9, False) < 1e-100


def test_of_few_passages_what_is_usual_elsewhere_is_taken_off() -> None:
    assert above_usual(0.6, 0.6, True, 60) == pytest.approx(0.6 - 0.5 * 0.6 - 0.5 * USUAL[True])
    assert above_usual(0.6, 0.2, False, 5_940) == pytest.approx(0.6 - 0.99 * 0.2 - 0.01 * USUAL[False])


def test_the_command_fits_on_a_small_world_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "xquad").mkdir()
    things = {
        "en": ["river", "bread", "train", "moon", "piano", "winter", "doctor", "island"],
        "de": ["Fluss", "Brot", "Zug", "Mond", "Klavier", "Winter", "Arzt", "Insel"],
    }
    for language, words in things.items():
        ask, tell = (
            ("Where is the", "stands in this text about the") if language == "en" else ("Wo ist", "steht hier über")
        )
        paragraphs = [
            {"context": f"The {word} {tell} {word}." * 3, "qas": [{"question": f"{ask} {word}?", "answers": []}]}
            for word in words
        ]
        (tmp_path / "xquad" / f"xquad.{language}.json").write_text(
            json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8"
        )
    assert main(["--data", str(tmp_path), "--every", "1", "--svg", str(tmp_path / "r.svg")]) == 0
    shown = capsys.readouterr().out
    assert "RESULT = Weights(" in shown
    assert "PASSAGE = Weights(" in shown
    assert "calibration error" in shown
    assert (tmp_path / "r.svg").read_text("utf-8").count("<circle") >= 2
    assert main(["--data", str(tmp_path / "nothing")]) == 1
    assert "no xquad.*.json" in capsys.readouterr().err


def test_a_dot_stands_at_what_was_said_and_what_was() -> None:
    svg = reliability_svg({"RESULT": [Bin(0.25, 0.5, 9), Bin(0.75, 1.0, 1)]})
    # 48 + 320 * 0.25 = 128 and 48 + 320 * (1 - 0.5) = 208
    assert '<circle cx="128.0" cy="208.0" r="10.0"' in svg
    assert svg.count("<circle") == 2
