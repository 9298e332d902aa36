"""Speed suites: a cold start, ingest, search at several sizes, and the server under load."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np

from eval.benchmarks.server import ask_all, serving
from eval.benchmarks.suites import Suite
from eval.benchmarks.texts import count_passages, grow, questions, sentence_pools
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.store import open_backend
from rag.chain import Chain

_ROUNDS = 5
_K = 10
_MIB = 2**20


def run_start(suite: Suite, encoder: Encoder, folder: Path) -> dict[str, float]:
    """Seconds of cold commands over a small index, medians, beside those of a bare interpreter."""
    grow(folder / "index", sentence_pools(suite), int(suite.values["passages"]), encoder)
    commands = {
        "python": ("-c", "pass"),
        "dragoman --version": ("-m", "ui.cli", "--version"),
        "dragoman ask": ("-m", "ui.cli", "ask", "Kimchi?", "--index", str(folder / "index")),
    }
    seconds = {name: median(_seconds(partial(_run, own)) for _ in range(_ROUNDS)) for name, own in commands.items()}
    return {"n": _ROUNDS, **{f"{name}: s": value for name, value in seconds.items()}}


def run_ingest(suite: Suite, encoder: Encoder, folder: Path) -> dict[str, float]:
    """Passages a second of a new index, and what it takes on disk."""
    index = folder / "index"
    built = grow(index, sentence_pools(suite), int(suite.values["passages"]), encoder)
    return {
        "n": built.n_passages,
        "characters a passage": built.n_chars / built.n_passages,
        "passages/s": built.n_passages / built.seconds,
        "disk bytes per text byte": disk_bytes(index) / built.n_bytes,
    }


def run_search(suite: Suite, encoder: Encoder, folder: Path) -> dict[str, float]:
    """Milliseconds of a search, of new questions and of repeated ones, and the memory of the process, by size."""
    index, asked = folder / "index", questions(suite, int(suite.values["questions"]))
    pools, n_bytes = sentence_pools(suite), 0
    found: dict[str, float] = {"n": len(asked)}
    for size in suite.values["passages"]:
        n_bytes += grow(index, pools, size, encoder).n_bytes
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # its memory is that of searches alone
            own = pool.submit(probe, index, encoder.name, asked).result()
        own |= {"passages": count_passages(index), "disk bytes per text byte": disk_bytes(index) / n_bytes}
        found |= {f"{size:,}: {name}": value for name, value in own.items()}
    return found


def probe(index: Path, encoder_name: str, asked: Sequence[str]) -> dict[str, float]:
    """Times of searches in this process, and the memory that they add to it."""
    encoder = load_encoder(encoder_name)
    encoder.encode_queries(asked[:1])
    before = _resident_bytes()
    backend = open_backend(index)
    chain = Chain(backend, encoder)
    first = _seconds(partial(chain.retrieve, asked[0], _K))
    new, again = ([1000 * _seconds(partial(chain.retrieve, one, _K)) for one in asked] for _ in range(2))
    added = _resident_bytes() - before
    backend.close()
    return {
        "first ms": 1000 * first,
        "p50 ms": float(np.percentile(new, 50)),
        "p95 ms": float(np.percentile(new, 95)),
        "repeated p50 ms": float(np.percentile(again, 50)),
        "memory MiB": added / _MIB,
    }


def run_load(suite: Suite, encoder: Encoder, folder: Path) -> dict[str, float]:
    """Answers a second and their times for each number of users that ask at once."""
    index, n = folder / "index", int(suite.values["answers"])
    grow(index, sentence_pools(suite), int(suite.values["passages"]), encoder)
    asked = questions(suite, n * (1 + len(suite.values["users"])))
    found: dict[str, float] = {"n": n}
    with serving(index, folder) as address:
        ask_all(address, asked[:n], 2)  # warms it up
        for i, n_users in enumerate(suite.values["users"], 1):
            some = asked[n * i : n * (i + 1)]
            started = time.perf_counter()
            times = ask_all(address, some, n_users)
            rate = len(times) / (time.perf_counter() - started)
            own = {"answers/s": rate, "p50 ms": median(times), "not answered": len(some) - len(times)}
            found |= {f"{n_users} users: {name}": value for name, value in own.items()}
    return found


def disk_bytes(folder: Path) -> int:
    """Bytes of all files of an index."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _run(arguments: Sequence[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603 - our own commands


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _resident_bytes() -> int:
    """Memory of this process; 0 where the system has no /proc."""
    path = Path("/proc/self/statm")
    return int(path.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.is_file() else 0
