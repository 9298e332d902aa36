"""One system in a process of its own: `PYTHON worker.py SYSTEM.py JOB.json REPORT.json`.

Only the standard library and the system's own packages are needed. SYSTEM.py has two functions:

- `load(job)`: imports what is needed and loads the encoder; what it returns is passed on as `model`;
- `index(articles, job, model)`: how many passages it indexed, and a function from a question to the best `job["k"]`
  passages, best first: dictionaries of `doc` (the article's id), `text`, and `start` and `end` where they are known.

Articles are dictionaries of `id`, `title`, `text`, `lang`. `job["mode"]` is what the passages are ranked by: `words`,
`vectors` or `hybrid`; `job["encoder"]` is the folder of a sentence-transformers model.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_N_WARM = 10  # questions asked before those that are timed
_REPORTED = ("faiss", "haystack", "langchain", "llama", "rank-bm25", "sentence-transformers", "torch", "txtai")


def main(script: str, job_path: str, report_path: str) -> None:
    """Do the job and write its report."""
    # The scripts of this folder are named like the libraries that they import.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    spec = importlib.util.spec_from_file_location("measured_system", script)
    assert spec is not None and spec.loader is not None
    system = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(system)
    report = _measured(system, json.loads(Path(job_path).read_text("utf-8")))
    Path(report_path).write_text(json.dumps(report), "utf-8")


def _measured(system: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the ingest without imports and loading, milliseconds and passages of each question, and memory."""
    articles, questions = _lines(job["corpus"]), _lines(job["questions"])
    model = system.load(job)
    started, used = time.perf_counter(), time.process_time()
    n_passages, ask = system.index(articles, job, model)
    report = {"n_passages": n_passages, "ingest_s": time.perf_counter() - started}
    report["ingest_cpu_s"] = time.process_time() - used
    for question in questions[:_N_WARM]:
        ask(question["question"])
    times, ranked = [], {}
    for question in questions:
        started = time.perf_counter()
        ranked[question["id"]] = ask(question["question"])
        times.append((time.perf_counter() - started) * 1000)
    installed = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}
    versions = {name: version for name, version in installed.items() if name and name.startswith(_REPORTED)}
    return {**report, "ms": times, "ranked": ranked, "versions": versions, "memory_bytes": _memory()}


def _lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").split("\n") if line]


def _memory() -> int:
    """Bytes of memory that this process has in use; 0 where the system has no /proc."""
    path = Path("/proc/self/statm")
    return int(path.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.is_file() else 0


if __name__ == "__main__":
    main(*sys.argv[1:])
