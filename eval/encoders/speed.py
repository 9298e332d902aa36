"""How fast an encoder is, on this machine: short passages a second, seconds to load, bytes on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from index.encoders import Encoder, load_encoder
from index.encoders.static import StaticEncoder

_LOADS = 3
_SECONDS = 20.0  # after which the rate of a slow encoder is known well enough
_AT_ONCE = 1_000  # texts


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured on this machine; compare only what one run printed.

    A static encoder is measured in as many processes as there are cores, as the product
    ingests with it; any other one in this process, where it uses the cores itself.
    """

    passages_a_second: float
    n_processes: int
    load_seconds: float
    megabytes: float


def speed(name: str, texts: Sequence[str]) -> Speed:
    """Median time to load the encoder called `name`, and its rate on `texts`, each met for the first time."""
    loads: list[float] = []
    for _ in range(_LOADS):
        started = time.perf_counter()
        encoder = load_encoder(name)
        encoder.encode_queries(["a"])
        loads.append(time.perf_counter() - started)
    n_processes = (os.cpu_count() or 1) if isinstance(encoder, StaticEncoder) else 1
    rate = _rate(encoder, texts) if n_processes == 1 else _rate_of_all(name, texts, n_processes)
    return Speed(rate, n_processes, sorted(loads)[_LOADS // 2], _megabytes(encoder))


def _rate(encoder: Encoder, texts: Sequence[str]) -> float:
    n_done, started = 0, time.perf_counter()
    while n_done < len(texts) and time.perf_counter() - started < _SECONDS:
        n_done += len(encoder.encode_passages(texts[n_done : n_done + _AT_ONCE]))
    return n_done / (time.perf_counter() - started)


def _rate_of_all(name: str, texts: Sequence[str], n_processes: int) -> float:
    """Sum of the rates of processes that encode at the same time."""
    context = get_context("spawn")
    barrier = context.Barrier(n_processes)
    with ProcessPoolExecutor(n_processes, mp_context=context, initializer=_wait_at, initargs=(barrier,)) as pool:
        shares = [list(texts[i::n_processes]) for i in range(n_processes)]
        return sum(pool.map(_rate_in_process, [name] * n_processes, shares))


_shared: dict[str, Any] = {}  # of a process of the pool


def _wait_at(barrier: Any) -> None:
    _shared["barrier"] = barrier


def _rate_in_process(name: str, texts: list[str]) -> float:
    encoder = load_encoder(name)
    encoder.encode_queries(["a"])
    _shared["barrier"].wait(timeout=120)  # no process starts before the others can
    return _rate(encoder, texts)


def _megabytes(encoder: Encoder) -> float:
    path = getattr(encoder, "path", None)
    if not isinstance(path, Path) or not path.is_dir():
        return float("nan")
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 2**20
