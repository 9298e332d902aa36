"""`python -m eval.latency.stores PLACE PLACE --data FOLDER`: the same searches in several stores, side by side.

The stores hold the same index (`dragoman move`). Each question is asked of one after the other, so that what else the
machine does falls on all of them alike: once as it comes ("new"), once more ("again"), then
leg by leg.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from eval.latency.articles import questions
from eval.latency.measure import NEW, ask, legs, timed
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.store import as_place, open_backend, shown_place
from index.store.base import Backend

AGAIN = "again"
_LEGS = ("dense", "words", "names")
_COLUMNS = (NEW, AGAIN, *_LEGS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eval.latency.stores", description=__doc__)
    parser.add_argument("places", nargs="+", help="index folders and addresses")
    parser.add_argument("--data", type=Path, required=True, help="folder with dev/xquad, or questions.jsonl")
    parser.add_argument("--questions", type=int, default=60, help="how many are asked")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        backends = [open_backend(as_place(place)) for place in given.places]
        for backend in backends:
            stack.callback(backend.close)
        encoder = load_encoder(backends[0].encoder_name)
        Console(width=None if sys.stdout.isatty() else 200).print(
            _table(backends, encoder, questions(given.data, given.questions))
        )
    return 0


def _table(backends: Sequence[Backend], encoder: Encoder, asked: Sequence[str]) -> Table:
    times: list[dict[str, list[float]]] = [{leg: [] for leg in _COLUMNS} for _ in backends]
    for backend in backends:
        ask(backend, encoder, "What is loaded when an index is opened?")
    for column in (NEW, AGAIN):
        for question in asked:
            for backend, own in zip(backends, times, strict=True):
                own[column].append(timed(functools.partial(ask, backend, encoder, question)))
    for question in asked:
        for backend, own in zip(backends, times, strict=True):
            measured = legs(backend, encoder, question)
            for leg in _LEGS:
                own[leg].append(measured[leg])
    titles = [f"{column} p50 / p95 ms" for column in _COLUMNS]
    table = Table("store", "passages", "disk MiB", "vectors", *titles, title=f"{len(asked)} questions")
    for backend, own in zip(backends, times, strict=True):
        stats = backend.stats()
        shares = [np.percentile(values, (50, 95)) for values in own.values()]
        table.add_row(
            shown_place(backend.place),
            f"{stats.n_passages:,}",
            f"{stats.bytes_on_disk / 2**20:,.0f}",
            f"{stats.vector_index}, recall {stats.recall:.3f}",
            *(f"{half:.1f} / {most:.1f}" for half, most in shares),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
