"""`python -m eval.bench --data FOLDER`: every benchmark, each in a process of its own, into one file of JSON lines."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval.bench.codes import codes
from eval.bench.limit import read_speed, scans
from eval.bench.start import starts
from eval.latency.plot import growth_svg
from eval.provenance import commit, machine

_DIM = 256  # of the embedded encoder
_LEGS = ("dense", "words", "names", "whole")

Row = dict[str, Any]
Step = Callable[[argparse.Namespace, Path], Iterator[Row]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status: 1 where a benchmark failed."""
    given = _parser().parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "bench.jsonl"
    made = {"commit": commit(), "machine": machine()}
    done = {row["benchmark"] for row in _rows(path) if {**row, **made} == row}
    failed = []
    for name in given.only:
        if name in done and not given.again:
            sys.stderr.write(f"{name}: measured already at {made['commit']}; --again repeats it\n")
            continue
        sys.stderr.write(f"{name} ...\n")
        try:
            with TemporaryDirectory(prefix="bench-") as scratch:
                found = list(STEPS[name](given, Path(scratch)))
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{name}: failed with exit status {error.returncode}\n")
            failed.append(name)
            continue
        on = time.strftime("%Y-%m-%d", time.gmtime())
        with path.open("a", encoding="utf-8") as opened:
            for row in found:
                opened.write(json.dumps({"benchmark": name, **made, "on": on, **row}, ensure_ascii=False) + "\n")
    _draw(_rows(path), given.out)
    return int(bool(failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.bench",
        description="Run the benchmarks of speed, memory and disk one after the other. Each adds its rows to"
        " OUT/bench.jsonl, with commit and machine; what has rows of this commit and machine is not repeated.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with dev/xquad, or with articles, questions.jsonl"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="where rows and plots go")
    parser.add_argument("--only", nargs="+", choices=list(STEPS), default=list(STEPS), help="which to run")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000], help="passages, for latency")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 10, 40, 200], help="at once, for load")
    parser.add_argument("--again", action="store_true", help="also what has rows of this commit and machine")
    return parser


def _limit(given: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    """A search of all vectors against the time that reading them takes."""
    speed = read_speed()
    for scan in scans([10_000, 100_000, 1_000_000], _DIM, speed):
        yield {**asdict(scan), "times_least": scan.times_least}


def _codes(given: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    """Shorter codes of vectors against exact search."""
    for code in codes(given.data):
        yield asdict(code)


def _start(given: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    yield from starts(given.data, scratch)


def _latency(given: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    path = scratch / "latency.json"
    _run("eval.latency", given.data, "--sizes", *map(str, given.sizes), "--json", str(path))
    yield from json.loads(path.read_text("utf-8"))


def _ingest(given: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    path = scratch / "ingest.jsonl"
    _run("eval.ingest", given.data, "--json", str(path))
    yield from _rows(path)


def _load(given: argparse.Namespace, scratch: Path) -> Iterator[Row]:
    path = scratch / "load.jsonl"
    users = ("--users", *map(str, given.users), "--jsonl", str(path))
    _run("eval.load", given.data, *users)
    if (n_cores := os.cpu_count() or 1) > 1:
        _run("eval.load", given.data, *users, "--starts", "0", "--set", f"processes={n_cores}")
    yield from _rows(path)


STEPS: Mapping[str, Step] = {
    "limit": _limit,
    "codes": _codes,
    "start": _start,
    "latency": _latency,
    "ingest": _ingest,
    "load": _load,
}


def _run(module: str, data: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", module, "--data", str(data), *arguments]
    subprocess.run(command, check=True)  # noqa: S603 - this project's own modules


def _rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _draw(rows: Sequence[Row], out: Path) -> None:
    """Draw what grows, by the last row of each size."""
    sizes = {row["n_passages"]: row for row in rows if row["benchmark"] == "latency"}
    if len(sizes) > 1:
        curves = {leg: [(n, row["p50_ms"][leg]) for n, row in sorted(sizes.items())] for leg in _LEGS}
        (out / "latency.svg").write_text(growth_svg(curves), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
