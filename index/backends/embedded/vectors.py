"""The vectors of an index in FAISS: derived from the store, immutable once made.

FAISS searched and changed at once crashes, so nothing here changes: a new state is a new
object. Ids are `pid * 256 + part`, so that a vector names its passage.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.backends.embedded.manifest import rename_synced
from index.encoders.base import FloatArray

MAX_PARTS = 256  # vectors a passage; the chunker makes far fewer
EXACT_MAX = 400_000  # vectors: above, exact search takes over 15 ms; docs/decisions/0007
_TARGET_RECALL = 0.99  # of exact search at 10, which nprobe is tuned to
_TRAIN_PER_LIST = 20
_TRAIN_ITERATIONS = 5  # more cost seconds and move recall by less than tuning nprobe does

IntArray = NDArray[np.int64]
Rows = Iterable[tuple[int, FloatArray]]  # (pid, (n_parts, dim))


@dataclass(frozen=True, slots=True)
class Built:
    """A FAISS index and how it is to be searched."""

    index: Any
    kind: str
    nprobe: int
    recall: float


def part_ids(pid: int, n_parts: int) -> IntArray:
    """Ids of a passage's vectors."""
    return np.arange(n_parts, dtype=np.int64) + pid * MAX_PARTS


def build(rows: Rows, n_vectors: int, dim: int, exact_max: int = EXACT_MAX) -> Built:
    """An index over `rows`: exact up to `exact_max` vectors, IVF above, both fp16."""
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    try:
        if n_vectors <= exact_max:
            return Built(_fill(_exact(dim), rows, dim), "exact-fp16", 0, 1.0)
        return _build_ivf(rows, n_vectors, dim)
    finally:
        faiss.omp_set_num_threads(1)


def _exact(dim: int) -> Any:
    quantiser = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexIDMap2(quantiser)


def _fill(index: Any, rows: Rows, dim: int) -> Any:
    for ids, vectors in _batches(rows, dim):
        index.add_with_ids(vectors, ids)
    return index


def _batches(rows: Rows, dim: int, size: int = 16_384) -> Iterator[tuple[IntArray, FloatArray]]:
    ids: list[IntArray] = []
    vectors: list[FloatArray] = []
    n = 0
    for pid, matrix in rows:
        ids.append(part_ids(pid, len(matrix)))
        vectors.append(matrix)
        n += len(matrix)
        if n >= size:
            yield np.concatenate(ids), np.concatenate(vectors).astype(np.float32)
            ids, vectors, n = [], [], 0
    if ids:
        yield np.concatenate(ids), np.concatenate(vectors).astype(np.float32)


def _build_ivf(rows: Rows, n_vectors: int, dim: int) -> Built:
    n_lists = int(4 * math.sqrt(n_vectors))
    coarse: Any = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, dim, n_lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.own_fields = True
    coarse.this.disown()
    index.cp.niter = _TRAIN_ITERATIONS
    index.cp.min_points_per_centroid = 1
    stride = max(1, n_vectors // (n_lists * _TRAIN_PER_LIST))
    generator = np.random.default_rng(0)
    sample, held = [], []
    for _, vectors in _batches(_again(rows), dim):
        sample.append(vectors[::stride].copy())  # a view would keep the whole batch alive
        held.append(vectors[generator.integers(0, len(vectors), size=max(1, 2_000 * len(vectors) // n_vectors))])
    index.train(np.concatenate(sample))
    _fill(index, _again(rows), dim)
    queries = np.concatenate(held)
    queries = queries[generator.permutation(len(queries))[:200]]
    noise = generator.standard_normal(queries.shape).astype(np.float32) * (0.5 / math.sqrt(dim))
    nprobe, recall = _tune(index, queries + noise, rows, dim)
    index.nprobe = nprobe
    return Built(index, f"ivf{n_lists}-fp16", nprobe, recall)


def _again(rows: Rows) -> Rows:
    """The rows from the start: a source that can be read more than once."""
    if iter(rows) is rows:
        raise TypeError("the rows of a large index are read three times: give an iterable, not an iterator")
    return rows


def _tune(index: Any, queries: FloatArray, rows: Rows, dim: int) -> tuple[int, float]:
    """The smallest nprobe that reaches the target recall@10 against exact search, and the recall it has."""
    exact_scores = np.full((len(queries), 10), -np.inf, dtype=np.float32)
    exact_ids = np.full((len(queries), 10), -1, dtype=np.int64)
    for ids, vectors in _batches(_again(rows), dim):
        scores = queries @ vectors.T
        merged_scores = np.concatenate([exact_scores, scores], axis=1)
        merged_ids = np.concatenate([exact_ids, np.broadcast_to(ids, scores.shape)], axis=1)
        top = np.argpartition(-merged_scores, 10, axis=1)[:, :10]
        exact_scores = np.take_along_axis(merged_scores, top, axis=1)
        exact_ids = np.take_along_axis(merged_ids, top, axis=1)
    nprobe, recall = 8, 0.0
    while nprobe <= index.nlist:
        index.nprobe = nprobe
        _, found = index.search(queries, 10)
        hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact_ids, strict=True)]
        recall = float(np.mean(hits)) / 10
        if recall >= _TARGET_RECALL:
            break
        nprobe *= 2
    return min(nprobe, int(index.nlist)), round(recall, 4)


def save(index: Any, path: Path) -> None:
    """Write an index beside `path`, sync it, and rename it there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    faiss.write_index(index, str(beside))
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    rename_synced(beside, path)


def load(path: Path, nprobe: int) -> Any:
    """The index in a file whose checksum has been verified.

    Raises:
        RuntimeError: FAISS cannot read it.
    """
    index = faiss.read_index(str(path))
    if nprobe:
        faiss.extract_index_ivf(index).nprobe = nprobe
    return index


@dataclass(frozen=True, slots=True)
class VectorView:
    """What one generation can find: a base index, a small delta, and what of the base is dead."""

    base: Any | None
    delta: Any | None
    dead: IntArray  # vector ids, sorted

    def nearest(self, query: FloatArray, n: int) -> list[tuple[int, float]]:
        """(pid, best cosine of its parts) of the passages of the `n` nearest vectors, nearest first."""
        hits: list[tuple[float, int]] = []
        faiss.omp_set_num_threads(1)  # two threads make a single query ten times slower (measured)
        for index, skip in ((self.base, self.dead), (self.delta, None)):
            if index is None or not index.ntotal:
                continue
            scores, ids = _search(index, query, min(n, index.ntotal), skip)
            hits += zip(scores[0].tolist(), ids[0].tolist(), strict=True)
        hits = sorted((hit for hit in hits if hit[1] >= 0), key=lambda hit: (-hit[0], hit[1]))
        best: dict[int, float] = {}
        for score, vector_id in hits[:n]:
            best.setdefault(vector_id // MAX_PARTS, score)
        return list(best.items())


def _search(index: Any, query: FloatArray, n: int, dead: IntArray | None) -> tuple[FloatArray, IntArray]:
    rows = np.ascontiguousarray(query.reshape(1, -1), dtype=np.float32)
    if dead is None or not len(dead):
        scores, ids = index.search(rows, n)
        return scores, ids
    alive = faiss.IDSelectorNot(faiss.IDSelectorBatch(dead))
    inner: Any = faiss.downcast_index(index)
    # faiss's own type stubs do not know these keyword arguments.
    library: Any = faiss
    if isinstance(inner, faiss.IndexIVF):
        params = library.SearchParametersIVF(sel=alive, nprobe=inner.nprobe)
    else:
        params = library.SearchParameters(sel=alive)
    scores, ids = index.search(rows, n, params=params)
    return scores, ids
