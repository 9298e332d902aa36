"""How near a search of all vectors comes to what the memory can deliver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from index.encoders.base import FloatArray
from index.store.sqlite.building import build_exact
from index.store.sqlite.vectors import MAX_PARTS, VectorView

_READ_BYTES = 2**30
_ROUNDS = 5
_QUERIES = 30
_HALF = 2  # bytes a component


@dataclass(frozen=True, slots=True)
class Scan:
    """A query against all of `n_vectors`, by one thread."""

    n_vectors: int
    dim: int
    bytes_read: int
    bytes_per_s: float  # that this machine reads of its memory, one thread
    p50_ms: float
    least_ms: float  # bytes_read / bytes_per_s

    @property
    def times_least(self) -> float:
        """How many times as long it takes as reading the bytes would."""
        return self.p50_ms / self.least_ms


def read_speed(n_bytes: int = _READ_BYTES) -> float:
    """Bytes a second that one thread reads of memory too large for any cache: the best of a few rounds."""
    values = np.ones(n_bytes // 8)
    return n_bytes / min(_seconds(values.max) for _ in range(_ROUNDS))


def scans(sizes: list[int], dim: int, bytes_per_s: float) -> Iterator[Scan]:
    """Exact search of random unit vectors as fp16, of each size."""
    generator = np.random.default_rng(0)
    queries = _unit(generator.standard_normal((_QUERIES, dim), np.float32))
    for n in sizes:
        rows = _unit(generator.standard_normal((n, dim), np.float32)).astype(np.float16)
        blocks = [(i, "", rows[first : first + MAX_PARTS]) for i, first in enumerate(range(0, n, MAX_PARTS))]
        view = VectorView(build_exact(blocks, {"": n}, dim), None, np.empty(0, np.int64))
        times = sorted(_seconds(partial(view.nearest, query, 10)) for query in queries)
        n_bytes = n * dim * _HALF
        yield Scan(n, dim, n_bytes, bytes_per_s, 1000 * times[len(times) // 2], 1000 * n_bytes / bytes_per_s)


def _unit(rows: FloatArray) -> FloatArray:
    norms: FloatArray = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / norms).astype(np.float32)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
