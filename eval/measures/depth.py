"""What every measure of a ranking asks of its arguments."""

from __future__ import annotations


def check_depth(k: int) -> None:
    """Refuse a ranking cut at less than one passage: a slice would take a negative `k` from the end.

    Raises:
        ValueError: `k` is less than 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected: at least 1")


def check_evidence(measure: str, n_evidence: int) -> None:
    """Refuse a question without evidence, over which `measure` is not defined.

    Raises:
        ValueError: There is no evidence.
    """
    if n_evidence < 1:
        raise ValueError(f"{measure} needs at least one evidence span")
