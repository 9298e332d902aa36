"""`python -m eval.latency --data FOLDER`: grow an index, and time searches of it on the way."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from eval.errors import SetMissing
from eval.latency.articles import questions, sentence_pools, write_articles
from eval.latency.measure import LEGS, NEW, Size, measure
from eval.latency.plot import growth_svg
from index.encoders import load_encoder
from index.errors import IndexProblem
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend

_CHARS_A_PASSAGE = 550.0  # to begin with; then as many as were seen
_AT_ONCE = 100_000  # passages a file of articles


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.latency",
        description="Grow an index of shuffled real sentences in many languages; at each size time the legs and the "
        "whole of searches, and tell memory and disk a passage.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with dev/xquad, or with articles, questions.jsonl"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000], help="passages")
    parser.add_argument("--questions", type=int, default=60, help="how many are asked at each size")
    parser.add_argument("--index", type=Path, help="grow the index here and keep it; a temporary folder by default")
    parser.add_argument("--svg", type=Path, help="also draw the growth there")
    parser.add_argument("--json", type=Path, dest="json_path", help="also write every figure there, after each size")
    given = parser.parse_args(arguments)
    sizes: list[Size] = []
    with TemporaryDirectory() as scratch:
        folder = given.index or Path(scratch) / "index"
        try:
            pools, asked = sentence_pools(given.data), questions(given.data, given.questions)
            rate = _CHARS_A_PASSAGE
            for wanted in sorted(given.sizes):
                rate = _grow(folder, Path(scratch), pools, wanted, rate)
                sizes.append(measure(folder, asked))
                if given.json_path is not None:
                    given.json_path.write_text(json.dumps([asdict(size) for size in sizes], indent=1) + "\n", "utf-8")
        except (SetMissing, IndexProblem) as problem:
            sys.stderr.write(f"error: {problem}\n")
            return 1
    Console(width=None if sys.stdout.isatty() else 200).print(_table(sizes))
    if given.svg is not None:
        curves = {leg: [(size.n_passages, size.p50_ms[leg]) for size in sizes] for leg in LEGS}
        given.svg.write_text(growth_svg(curves), "utf-8")
    return 0


def _grow(folder: Path, scratch: Path, pools: dict[str, list[str]], wanted: int, rate: float) -> float:
    """Add articles until there are about `wanted` passages; characters a passage, as far as known before and after."""
    encoder = load_encoder("embedded")
    n_passages = _n_passages(folder)
    seed = n_passages
    while n_passages < 0.98 * wanted:
        more = min(_AT_ONCE, wanted - n_passages)
        path = scratch / f"articles-{seed}.jsonl"
        write_articles(path, pools, int(more * rate), seed)
        n_chars = path.stat().st_size
        ingest(folder, [str(path)], encoder)
        path.unlink()
        added = _n_passages(folder) - n_passages
        sys.stderr.write(f"{n_passages + added:,} passages ({n_chars / 1e6:.0f} MB more)\n")
        rate *= more / max(1, added)
        n_passages += added
        seed = n_passages
    return rate


def _n_passages(folder: Path) -> int:
    if not folder.exists():
        return 0
    backend = EmbeddedBackend(folder)
    try:
        return backend.stats().n_passages
    finally:
        backend.close()


def _table(sizes: Sequence[Size]) -> Table:
    legs = [f"{leg} p50 / p95 ms" for leg in (*LEGS, NEW)]
    table = Table("passages", "vectors", *legs, "first ms", "memory / passage", "disk / passage", title="Search")
    for size in sizes:
        table.add_row(
            f"{size.n_passages:,}",
            f"{size.n_vectors:,} {size.vector_index}",
            *(f"{size.p50_ms[leg]:.1f} / {size.p95_ms[leg]:.1f}" for leg in (*LEGS, NEW)),
            f"{size.first_ms:.0f}",
            f"{size.memory_bytes / size.n_passages / 1024:.1f} KiB",
            f"{size.disk_bytes / size.n_passages / 1024:.1f} KiB",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
