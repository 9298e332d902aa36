"""Logistic regression and how well its probabilities hold, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_RIDGE = 1e-4
_ROUNDS = 50


def fit(features: Floats, labels: Floats, weights: Floats) -> Floats:
    """Coefficients (n_features,) of greatest likelihood, by Newton's method; give a column of ones for the bias.

    `features` is (n, n_features), `labels` and `weights` (n,).
    """
    coefficients = np.zeros(features.shape[1])
    for _ in range(_ROUNDS):
        share = probabilities(features, coefficients)
        curvature = (features * (weights * share * (1 - share))[:, None]).T @ features
        slope = features.T @ (weights * (labels - share)) - _RIDGE * coefficients
        change = np.linalg.solve(curvature + _RIDGE * np.eye(len(coefficients)), slope)
        coefficients = coefficients + change
        if np.abs(change).max() < 1e-10:
            break
    return coefficients


def probabilities(features: Floats, coefficients: Floats) -> Floats:
    """(n,) in (0, 1)."""
    result: Floats = 1 / (1 + np.exp(-np.clip(features @ coefficients, -500, 500)))
    return result


@dataclass(frozen=True, slots=True)
class Bin:
    """Questions whose probability lies in one tenth: its mean, the share that was so, and how many."""

    said: float
    was: float
    n: int


def reliability(said: Floats, was: Floats, n_bins: int = 10) -> list[Bin]:
    """What was said against what was, by tenths of what was said; empty tenths are left out."""
    place = np.minimum((said * n_bins).astype(int), n_bins - 1)
    chosen = (place == number for number in range(n_bins))
    return [Bin(float(said[own].mean()), float(was[own].mean()), int(own.sum())) for own in chosen if own.any()]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error (Naeini et al. 2015): mean distance of said and was, in [0, 1]."""
    total = sum(one.n for one in bins)
    return sum(one.n * abs(one.said - one.was) for one in bins) / total if total else 0.0
