"""`python -m eval.ingest --data FOLDER`: index shuffled real sentences, step by step and as a whole."""

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
from eval.ingest.stages import STEPS, stages
from eval.ingest.whole import Ingested, whole
from eval.latency.articles import sentence_pools, write_articles
from eval.provenance import commit, machine
from index.settings import IndexSettings

SIZES = {"default": IndexSettings(), "short": IndexSettings(target_tokens=64, max_tokens=96)}
_CHARS_A_PASSAGE = {"default": 520, "short": 180}  # about


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.ingest",
        description="Index articles of shuffled real sentences in many languages, in passages of default size and in "
        "short ones (64 tokens): processor time by step in one process, then whole ingests. Other libraries: "
        "python -m eval.peers.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with dev/xquad, or with articles, questions.jsonl"
    )
    parser.add_argument("--passages", type=int, default=10_000, help="about how many, of each size")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3], help="processes that cut and encode")
    parser.add_argument("--json", type=Path, dest="json_path", help="also add every figure there, one JSON line a run")
    given = parser.parse_args(arguments)
    by_step: dict[str, dict[str, float]] = {}
    runs: list[tuple[str, int, Ingested]] = []
    with TemporaryDirectory() as scratch:
        try:
            pools = sentence_pools(given.data)
        except SetMissing as problem:
            sys.stderr.write(f"error: {problem}\n")
            return 1
        for size, settings in SIZES.items():
            articles = Path(scratch) / f"{size}.jsonl"
            write_articles(articles, pools, given.passages * _CHARS_A_PASSAGE[size], 1)
            n_passages, by_step[size] = stages(articles, Path(scratch) / f"{size}-stages", settings)
            _keep(given.json_path, {"size": size, "n_passages": n_passages, "cpu_ms_by_step": by_step[size]})
            for n_workers in given.workers:
                done = whole(articles, Path(scratch) / f"{size}-{n_workers}", settings, n_workers)
                runs.append((size, n_workers, done))
                _keep(given.json_path, {"size": size, "n_workers": n_workers, **asdict(done)})
    Console(width=None if sys.stdout.isatty() else 200).print(_steps(by_step))
    Console(width=None if sys.stdout.isatty() else 200).print(_wholes(runs))
    return 0


def _keep(path: Path | None, figures: dict[str, object]) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps({"commit": commit(), "machine": machine(), **figures}) + "\n")


def _steps(by_step: dict[str, dict[str, float]]) -> Table:
    table = Table("step", *(f"{size}: ms a passage (share)" for size in by_step), title="Processor time in one process")
    for step in STEPS:
        table.add_row(step, *(f"{own[step]:.3f} ({own[step] / sum(own.values()):.0%})" for own in by_step.values()))
    table.add_row("all", *(f"{sum(own.values()):.3f}" for own in by_step.values()))
    return table


def _wholes(runs: Sequence[tuple[str, int, Ingested]]) -> Table:
    table = Table("size", "workers", "passages", "passages/s", "CPU ms / passage", "peak memory", title="Whole ingest")
    for size, n_workers, done in runs:
        table.add_row(
            size,
            str(n_workers),
            f"{done.n_passages:,}",
            f"{done.n_passages / done.seconds:,.0f}",
            f"{done.cpu_seconds / done.n_passages * 1000:.3f}",
            f"{done.peak_bytes / 2**20:,.0f} MiB" if done.peak_bytes else "-",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
