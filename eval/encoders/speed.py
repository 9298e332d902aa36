"""How fast an encoder is, on this machine: short passages a second, seconds to load, bytes on disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from index.encoders import Encoder, load_encoder

_LOADS = 3
_SECONDS = 20.0  # after which the rate of a slow encoder is known well enough
_AT_ONCE = 1_000  # texts


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured on this machine; compare only what one run printed."""

    passages_a_second: float
    load_seconds: float
    megabytes: float


def speed(name: str, texts: Sequence[str]) -> Speed:
    """Median time to load the encoder called `name`, and its rate on `texts`, each met for the first time."""
    loads: list[float] = []
    encoder: Encoder | None = None
    for _ in range(_LOADS):
        started = time.perf_counter()
        encoder = load_encoder(name)
        encoder.encode_queries(["a"])
        loads.append(time.perf_counter() - started)
    assert encoder is not None
    n_done, started = 0, time.perf_counter()
    while n_done < len(texts) and time.perf_counter() - started < _SECONDS:
        n_done += len(encoder.encode_passages(texts[n_done : n_done + _AT_ONCE]))
    rate = n_done / (time.perf_counter() - started)
    return Speed(rate, sorted(loads)[_LOADS // 2], _megabytes(encoder))


def _megabytes(encoder: Encoder) -> float:
    path = getattr(encoder, "path", None)
    if not isinstance(path, Path) or not path.is_dir():
        return float("nan")
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 2**20
