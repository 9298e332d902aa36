"""One step of a peer in a process of its own: `PYTHON worker.py PEER.py ingest|ask JOB.json REPORT.json`.

Only the standard library and the peer are needed. PEER.py has `PACKAGES`, the names of the distributions whose
versions are told, and three functions of the job, a dictionary:

- `load(job)`: imports what is needed and loads the encoder; what it returns is passed on as `loaded`;
- `ingest(job, loaded)`: puts the articles of `job["corpus"]` into the folder `job["index"]`; how many passages;
- `opened(job, loaded)`: opens that folder; a function from a question to its best `job["k"]` passages, best first, each
  a dictionary with `doc`, the article's id, and `text`, the passage, and where the peer knows them `start` and `end`.

The corpus is JSON lines of `id`, `title`, `text`, `lang`; the questions of `id`, `question`. `job["mode"]` is what the
peer is to rank by, `job["encoder"]` the folder of a sentence-transformers model, if there is one, `job["step"]` what
is being done.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def main(script: str, step: str, job_path: str, report_path: str) -> None:
    """Do `step` and write what it measured."""
    # This folder's scripts are named like the libraries they use.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    job = json.loads(Path(job_path).read_text("utf-8")) | {"step": step}
    peer = _module(Path(script))
    report = {"ingest": _ingest, "ask": _ask}[step](peer, job)
    report["versions"] = {name: found for name in peer.PACKAGES if (found := _version(name))}
    Path(report_path).write_text(json.dumps(report), "utf-8")


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("measured_peer", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no Python script")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _ingest(peer: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Seconds from the articles to an index that can be opened; imports and the encoder's loading are not in them."""
    loaded = peer.load(job)
    started, used = time.perf_counter(), _cpu_seconds()
    n_passages = peer.ingest(job, loaded)
    return {
        "n_passages": n_passages,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu_seconds() - used,
    }


def _cpu_seconds() -> float:
    """Of this process and of those that it has waited for: what a busy machine does not make longer."""
    return sum(os.times()[:4])


def _ask(peer: Any, job: dict[str, Any]) -> dict[str, Any]:
    """When the first answer was there, milliseconds of the later ones, what was found, and memory at the end."""
    lines = Path(job["questions"]).read_text("utf-8").split("\n")
    questions = [json.loads(line) for line in lines if line]
    ask = peer.opened(job, peer.load(job))
    ask(questions[0]["question"])
    first_at = time.time()
    for question in questions[1 : 1 + job["n_warm"]]:
        ask(question["question"])
    ranked: dict[str, Any] = {}
    times: list[float] = []
    for question in questions:
        started = time.perf_counter()
        found = ask(question["question"])
        times.append((time.perf_counter() - started) * 1000)
        ranked[question["id"]] = [_plain(hit) for hit in found]
    return {"first_at": first_at, "ms": times, "ranked": ranked, "memory_bytes": _memory()}


def _plain(hit: dict[str, Any]) -> dict[str, Any]:
    """What is told of a passage; one without `doc` or `text` is an error of the peer's script."""
    return {"doc": str(hit["doc"]), "text": str(hit["text"]), "start": hit.get("start"), "end": hit.get("end")}


def _memory() -> int:
    """Bytes of memory that this process has in use; its greatest so far where the system does not tell; else 0."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
