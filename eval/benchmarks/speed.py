"""Speed suites: a cold start, ingest, search at several sizes, and the server under load."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import httpx
import numpy as np

from eval.benchmarks.suites import Suite
from eval.benchmarks.texts import grow, questions, sentence_pools
from eval.errors import ServerFailed
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.store import open_backend
from rag.chain import Chain

_ROUNDS = 5
_K = 10
_MIB = 2**20
_READY_S = 120.0
_ANSWER_S = 120.0


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
    built = grow(folder / "index", sentence_pools(suite), int(suite.values["passages"]), encoder)
    return {
        "n": built.n_passages,
        "characters a passage": built.n_chars / built.n_passages,
        "passages/s": built.n_passages / built.seconds,
        "disk bytes per text byte": disk_bytes(folder / "index") / built.n_bytes,
    }


def run_search(suite: Suite, encoder: Encoder, folder: Path) -> dict[str, float]:
    """Milliseconds of a search, of new questions and of repeated ones, and the memory of the process, by size."""
    index, asked = folder / "index", questions(suite, int(suite.values["questions"]))
    pools, n_bytes, there = sentence_pools(suite), 0, 0
    found: dict[str, float] = {"n": len(asked)}
    for size in suite.values["passages"]:
        built = grow(index, pools, size, encoder, there=there)
        n_bytes, there = n_bytes + built.n_bytes, there + built.n_passages
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # its memory is that of searches alone
            own = pool.submit(probe, index, encoder.name, asked).result()
        own |= {"passages": there, "disk bytes per text byte": disk_bytes(index) / n_bytes}
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
        asyncio.run(ask_all(address, asked[:n], 2))  # warms it up
        for i, n_users in enumerate(suite.values["users"], 1):
            started = time.perf_counter()
            times = asyncio.run(ask_all(address, asked[n * i : n * (i + 1)], n_users))
            rate = len(times) / (time.perf_counter() - started)
            own = {"answers/s": rate, "p50 ms": median(times), "not answered": n - len(times)}
            found |= {f"{n_users} users: {name}": value for name, value in own.items()}
    return found


@contextmanager
def serving(index: Path, folder: Path) -> Iterator[str]:
    """The address of `dragoman serve` for an index, ready; its log is in `folder`.

    Raises:
        ServerFailed: It ended before it was ready, or was not ready in time.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "ui.cli", "serve", "--index", str(index.absolute()), "--port", port, "--no-ui"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    environment["DRAGOMAN_SERVER_PER_MINUTE"] = "1000000"  # all users come from one address
    log = folder / "server.log"
    with log.open("wb") as opened:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=opened, stderr=opened)  # noqa: S603
    try:
        address = f"http://127.0.0.1:{port}"
        if not _ready(process, f"{address}/readyz"):
            raise ServerFailed(f"the server did not start; the end of its log: {log.read_text('utf-8')[-500:]}")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(_READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: subprocess.Popen[bytes], address: str) -> bool:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(address, trust_env=False).status_code == httpx.codes.OK:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.01)
    return False


async def ask_all(address: str, asked: Sequence[str], n_users: int) -> list[float]:
    """Have `n_users` ask until no question is left, each again at once; milliseconds of those that were answered."""
    coming, times = iter(asked), []
    async with httpx.AsyncClient(base_url=address, timeout=_ANSWER_S, trust_env=False) as client:

        async def user() -> None:
            for question in coming:
                started = time.perf_counter()
                response = await client.post("/api/v1/ask", json={"question": question})
                if response.status_code == httpx.codes.OK:
                    times.append((time.perf_counter() - started) * 1000)

        await asyncio.gather(*(user() for _ in range(n_users)))
    return times


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
