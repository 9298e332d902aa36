"""`python -m eval.benchmarks [SUITE...]`: run suites, print one table, exit 1 where a threshold is missed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from eval.benchmarks.claims import run_changed_sentences, run_memerag
from eval.benchmarks.quality import run_quality
from eval.benchmarks.sets import CONVERTERS
from eval.benchmarks.speed import run_ingest, run_load, run_search, run_start
from eval.benchmarks.suites import Suite, choose, read_suites, read_thresholds
from eval.benchmarks.table import as_table, missed
from eval.errors import ServerFailed, SetMissing
from eval.provenance import commit, machine
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.errors import IndexProblem

Run = Callable[[Suite, Encoder, Path], dict[str, float]]

RUNS: Mapping[str, Run] = {
    **dict.fromkeys(CONVERTERS, run_quality),
    "changed-sentences": run_changed_sentences,
    "memerag": run_memerag,
    "start": run_start,
    "ingest": run_ingest,
    "search": run_search,
    "load": run_load,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites that the command line names; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        chosen = choose(read_suites(given.shared), given.suites)
        encoder = load_encoder(given.encoder)
        before = json.loads(given.against.read_text("utf-8"))["suites"] if given.against else None
    except (ValueError, OSError, IndexProblem) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    made = {"commit": commit(), "machine": machine(), "on": time.strftime("%Y-%m-%d", time.gmtime())}
    measures: dict[str, dict[str, float]] = {}
    for suite in chosen:
        try:
            measures[suite.name] = _measured(suite, encoder, given.passages)
        except (SetMissing, ServerFailed) as problem:
            sys.stderr.write(f"skipped: {suite.name}: {problem}\n")
            continue
        if given.out is not None:
            _write(given.out, made, measures)
    Console(width=None if sys.stdout.isatty() else 140).print(as_table(measures, before))
    lines = missed(measures, read_thresholds())
    sys.stderr.writelines(f"missed: {line}\n" for line in lines)
    return int(bool(lines) or not measures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval.benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="names, or quality, or speed; all by default")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and gold")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the measures there")
    parser.add_argument("--against", type=Path, metavar="FILE.json", help="show an earlier --out beside them")
    parser.add_argument("--passages", type=int, nargs="+", help="sizes of the suite search")
    parser.add_argument("--encoder", default="embedded", help="embedded, a folder, or a sentence-transformers model")
    return parser


def _measured(suite: Suite, encoder: Encoder, sizes: Sequence[int] | None) -> dict[str, float]:
    sys.stderr.write(f"{suite.name} ...\n")
    if suite.kind == "search" and sizes:
        suite = replace(suite, values={**suite.values, "passages": sorted(sizes)})
    started = time.monotonic()
    with TemporaryDirectory(prefix="benchmark-") as folder:
        found = RUNS[suite.kind](suite, encoder, Path(folder))
    return {**found, "seconds": time.monotonic() - started}


def _write(path: Path, made: Mapping[str, str], measures: Mapping[str, Mapping[str, float]]) -> None:
    """Write all measures so far, and where they come from; suites of the file that were not run again stay."""
    kept: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {"suites": {}, "made": {}}
    kept["suites"] |= {suite: {name: round(v, 4) for name, v in own.items()} for suite, own in measures.items()}
    kept["made"] |= dict.fromkeys(measures, made)
    path.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
